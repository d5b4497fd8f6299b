"""Label Studio's environment: made once, made again when it must be, explained when it can't be."""

from pathlib import Path

import pytest

from aftertone.demo import environment
from aftertone.demo.environment import label_studio_command
from aftertone.demo.errors import DemoError


@pytest.fixture(autouse=True)
def no_command_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABEL_STUDIO_BIN", raising=False)


def test_a_given_command_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_BIN", "/bin/sh")
    assert label_studio_command(tmp_path) == Path("/bin/sh")
    monkeypatch.setenv("LABEL_STUDIO_BIN", str(tmp_path / "none"))
    with pytest.raises(DemoError, match="correct or unset it"):
        label_studio_command(tmp_path)


def test_it_is_installed_once_and_again_for_another_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = []

    def install(folder: Path) -> None:
        installed.append(folder)
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        (folder / "bin" / "label-studio").touch()

    monkeypatch.setattr(environment, "_install", install)
    folder, lock = tmp_path / "env", tmp_path / "lock"
    lock.write_text("label-studio==1")
    monkeypatch.setattr(environment, "LOCK", lock)
    assert label_studio_command(folder) == label_studio_command(folder) == folder / "bin" / "label-studio"
    assert len(installed) == 1
    lock.write_text("label-studio==2")
    label_studio_command(folder)
    assert len(installed) == 2


def test_an_installation_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "lock"
    lock.write_text("not a requirement\n")
    monkeypatch.setattr(environment, "LOCK", lock)
    with pytest.raises(DemoError, match=r"could not be installed:(.|\n)*run the same command again"):
        label_studio_command(tmp_path / "env")
