"""Which tests stay in one process where several share the work (`pytest -n 2`)."""

import pytest
from xdist.scheduler import LoadScopeScheduling

INTEGRATION = "tests/integration/"


class Together(LoadScopeScheduling):
    """A file's tests share what its fixtures make; the integration tests share one Label Studio."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return INTEGRATION if file.startswith(INTEGRATION) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together:
    return Together(config, log)  # pyright: ignore[reportArgumentType] -- xdist's own kind of log
