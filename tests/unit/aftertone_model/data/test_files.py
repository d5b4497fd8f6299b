import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from aftertone_model.data.files import is_scratch, read_json, remove, whole_folder, write_json, write_text


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
    with whole_folder(tmp_path / "exported") as scratch:
        (scratch / "weights").touch(0o600)  # as safetensors does
    assert (mode(tmp_path / "report.html"), mode(tmp_path / "exported")) == (0o640, 0o750)
    assert mode(tmp_path / "exported" / "weights") == 0o640


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


def test_contents_reach_the_disk_before_their_names_and_names_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        done.append(f"rename to {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    write_text(tmp_path / "notes", "text")
    scratch, *rest = done
    assert is_scratch(scratch.removeprefix("sync "))
    assert rest == ["rename to notes", f"sync {tmp_path.name}"]

    done.clear()
    with whole_folder(tmp_path / "model") as folder:
        (folder / "weights").write_text("w")
    assert done[0] == "sync weights"
    assert is_scratch(done[1].removeprefix("sync "))
    assert done[2:] == ["rename to model", f"sync {tmp_path.name}"]


def test_a_folder_in_a_files_place_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    (file / "inside").mkdir(parents=True)
    write_json(file, ["new"])
    assert read_json(file) == ["new"]
    assert (tmp_path / "notes.json.corrupt" / "inside").is_dir()


def test_a_folder_whose_removal_is_killed_is_gone_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove(folder)
    (left,) = tmp_path.iterdir()
    assert is_scratch(left.name)
    remove(left)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", [".bashrc", ".notes.json", "notes.0123abcd", ".git", ".a.b.c", ".x.0123ABCD", "..12345678"]
)
def test_other_peoples_files_are_no_scratch(name: str) -> None:
    assert not is_scratch(name)
