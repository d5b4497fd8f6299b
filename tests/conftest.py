"""Which tests stay in one process where several share the work (`pytest -n 2 --dist loadgroup`)."""

from pathlib import Path

import pytest

INTEGRATION = Path(__file__).parent / "integration"


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests share what its fixtures make; the integration tests share one Label Studio."""
    for item in items:
        together = INTEGRATION if item.path.is_relative_to(INTEGRATION) else item.path
        item.add_marker(pytest.mark.xdist_group(str(together.relative_to(INTEGRATION.parent))))
