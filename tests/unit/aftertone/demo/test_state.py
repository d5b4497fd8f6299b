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


@pytest.mark.parametrize("content", ["", "{", "[]", '{"password": 1}', "\0", '{"password": "p", "projects": [1]}'])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)
    with pytest.raises(DemoError, match=r"state\.json is damaged(.|\n)*remove the folder"):
        StateFile(path)
    assert path.read_text() == content


def test_a_new_demo_signs_with_a_key_of_its_own_and_an_older_one_goes_on_with_label_studios(tmp_path: Path) -> None:
    new = StateFile(tmp_path / "new.json").state
    assert len(new.secret_key) >= 50
    assert new.secret_key.isalnum()
    assert new.secret_key not in repr(new)
    (tmp_path / "old.json").write_text('{"password": "p"}')
    assert StateFile(tmp_path / "old.json").state.secret_key == ""


def test_a_folder_has_room_for_one_demo(tmp_path: Path) -> None:
    with only_demo(tmp_path), pytest.raises(DemoError, match="already running"), only_demo(tmp_path):
        pass
    with only_demo(tmp_path):
        pass
