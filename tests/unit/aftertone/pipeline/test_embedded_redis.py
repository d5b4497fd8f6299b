"""The embedded Redis: what it says when it ends. tests/integration/test_redis.py kills real ones."""

import logging
import time
from pathlib import Path

import pytest

from aftertone.pipeline import embedded_redis
from aftertone.pipeline.embedded_redis import EmbeddedRedis


def test_an_end_while_it_starts_anew_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where the other process that had it ends just before this one."""
    embedded = EmbeddedRedis(tmp_path)
    embedded.start()
    first = embedded._server
    assert first is not None
    never = tmp_path / "redis-server"
    never.write_text("#!/bin/sh\nexec sleep 60\n")
    never.chmod(0o700)
    monkeypatch.setattr(embedded_redis, "executable", lambda: str(never))
    first.kill()
    while embedded._server is first or embedded._server is None:
        time.sleep(0.01)
    embedded.close()
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
