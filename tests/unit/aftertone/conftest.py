"""Settings that don't depend on the machine's environment, and the loop in memory."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from aftertone.settings import Settings
from aftertone_model.progress import hide_library_bars
from tests import backbones
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio
from tests.unit.aftertone.loops import MemoryLoop, connect


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small wait longer for a second thread than they compute."""
    torch.set_num_threads(1)
    hide_library_bars()


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Settings of nobody's environment."""
    for name in (*Settings.model_fields, "exam_share", "label_studio_host"):
        monkeypatch.delenv(name.upper(), raising=False)
    return Settings(model_dir=tmp_path)  # pyright: ignore[reportCallIssue] -- pydantic's defaults


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return backbones.nano(tmp_path_factory.mktemp("backbone") / "nano")


@pytest.fixture
def make_loop(settings: Settings, nano: Path) -> Callable[..., MemoryLoop]:
    """Makes a loop around a new project: `make_loop(tasks, **extra params)`."""
    return lambda tasks=20, **extra: connect(FakeLabelStudio(tasks=tasks), settings, nano, extra)
