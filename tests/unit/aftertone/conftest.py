"""Settings for tests that don't depend on the machine's environment."""

from pathlib import Path

import pytest

from aftertone.settings import Settings


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Settings of nobody's environment."""
    for name in (*Settings.model_fields, "exam_share", "label_studio_host"):
        monkeypatch.delenv(name.upper(), raising=False)
    return Settings(model_dir=tmp_path)
