import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from aftertone_model.data.files import read_json, whole_folder, write_json, write_text


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_the_umask_says_who_may_read_a_report_or_an_export(tmp_path: Path) -> None:
    write_text(tmp_path / "report.html", "read me")
    with whole_folder(tmp_path / "exported"):
        pass
    assert (mode(tmp_path / "report.html"), mode(tmp_path / "exported")) == (0o640, 0o750)


@pytest.mark.usefixtures("umask")
def test_only_the_owner_reads_what_is_private_also_where_others_could_before(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_json(file, {})
    write_json(file, {"password": "s"}, private=True)
    assert mode(file) == 0o600


def test_what_cannot_be_written_leaves_the_old_content_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    write_json(file, ["old"])
    with pytest.raises(UnicodeEncodeError):
        write_json(file, ["half a character: \ud800"])
    assert read_json(file) == ["old"]
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_fails_half_way_leaves_the_old_one_and_nothing_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with whole_folder(folder) as scratch:
        (scratch / "weights").write_text("old")
    with pytest.raises(FileNotFoundError), whole_folder(folder) as scratch:
        (scratch / "no such folder" / "weights").write_text("new")
    assert (folder / "weights").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]
