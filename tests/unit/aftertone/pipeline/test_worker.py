"""The worker's own part of RQ's work."""

from typing import Any, cast

import pytest
from redis import ConnectionError
from rq.exceptions import InvalidJobOperation

from aftertone.pipeline.worker import Worker


@pytest.mark.parametrize("error", [ConnectionError("away"), InvalidJobOperation("forgotten")])
def test_a_job_that_redis_forgot_has_not_failed(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    worker = Worker.__new__(Worker)  # its queue isn't asked
    worker.handle_exception(cast(Any, None), type(error), error, None)
    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("INFO", None)
    assert str(error) in record.getMessage()
