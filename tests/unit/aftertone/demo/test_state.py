"""What a demo remembers: private, kept across starts, and held by one demo at a time."""

import stat
from pathlib import Path

import pytest

from aftertone.demo.accounts import Account
from aftertone.demo.errors import DemoError
from aftertone.demo.state import StateFile, only_demo


def test_state_is_private_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    file = StateFile(path)
    person = Account(email="a@example.com", password="p", token="t")
    file.update(person=person, annotators=(person,), projects={"voices-123456": 7}, backend_port=1234)
    assert StateFile(path).state == file.state
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(file.state.password) >= 12
    assert file.state.password not in repr(file.state)


def test_a_folder_has_room_for_one_demo(tmp_path: Path) -> None:
    with only_demo(tmp_path), pytest.raises(DemoError, match="already running"), only_demo(tmp_path):
        pass
    with only_demo(tmp_path):
        pass
