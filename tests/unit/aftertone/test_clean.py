"""`aftertone clean`: never beside a worker, and a project only goes when Label Studio says that it is gone."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aftertone.clean import clean_projects, deleted_projects, forget_project
from aftertone.errors import LabelStudioError
from aftertone.labelstudio.client import RefusedError
from aftertone.settings import Settings
from aftertone.store.lease import LeaseRecord
from aftertone.store.project import Store
from aftertone.store.records import Sources
from aftertone_model.data.files import write_text
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio
from tests.unit.aftertone.loops import MemoryLoop

MakeLoop = Callable[..., MemoryLoop]


def clips(loop: MemoryLoop) -> int:
    return len(list(loop.store.folder.glob("pool/clips/*/*.npy")))


def test_it_says_what_would_go_and_then_what_went(make_loop: MakeLoop) -> None:
    loop = make_loop(8)
    loop.advance()
    loop.label_studio.delete_task(3)
    loop.advance()
    store = Store(loop.settings.model_dir)
    asked = list(clean_projects(store, [1], dry_run=True))
    assert asked[0].endswith("would be freed.")
    assert any("clip that no task refers to: 1, " in line for line in asked)
    assert clips(loop) == 8
    done = list(clean_projects(store, [1], dry_run=False))
    assert done[1:] == asked[1:]
    assert done[0] == asked[0].replace("would be freed", "freed")
    assert clips(loop) == 7
    assert list(clean_projects(store, [1], dry_run=False)) == ["Project 1: 0 bytes freed."]


def test_a_project_at_which_a_worker_is_stays_as_it_is(make_loop: MakeLoop) -> None:
    loop = make_loop(8)
    loop.advance()
    loop.label_studio.delete_task(3)
    loop.advance()
    store = Store(loop.settings.model_dir)
    with loop.store.only_writer():
        (line,) = clean_projects(store, [1], dry_run=False)
        assert "a worker is at it" in line
        assert "a worker is at it" in forget_project(store, 1, dry_run=False)
    assert clips(loop) == 8


def test_a_full_disk_can_be_cleaned(make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make_loop(8)
    loop.advance()
    loop.label_studio.delete_task(3)
    loop.advance()

    def write(path: Path, text: str, **options: Any) -> None:
        """With room for a record where something was removed before."""
        if clips(loop) == 8 and (path.name != LeaseRecord.FILE or path.exists()):
            raise OSError(errno.ENOSPC, "No space left on device")
        write_text(path, text, **options)

    monkeypatch.setattr("aftertone.store.folder.write_text", write)
    list(clean_projects(Store(loop.settings.model_dir), [1], dry_run=True))
    list(clean_projects(Store(loop.settings.model_dir), [1], dry_run=False))
    assert clips(loop) == 7
    assert len(loop.store.get(Sources).sources) == 7


class Answers(FakeLabelStudio):
    """Label Studio, with one answer for each project."""

    def __init__(self, *answers: int | None, knows_token: bool = True) -> None:
        super().__init__()
        self._answers, self._knows_token = answers, knows_token

    def whoami(self) -> dict[str, int]:
        if not self._knows_token:
            raise LabelStudioError("refused")
        return {"id": 1}

    def project(self, project: int) -> dict[str, int]:
        status = self._answers[project]
        if status is not None:
            raise RefusedError(status, f"answered {status}")
        return {"id": project}


def test_only_not_found_means_deleted() -> None:
    assert list(deleted_projects(Answers(None, 404, None, 404), range(4))) == [1, 3]
    for status in (401, 403, 429, 500, 502):
        with pytest.raises(LabelStudioError):
            list(deleted_projects(Answers(status, 404), range(2)))
    with pytest.raises(LabelStudioError, match="refused"):
        list(deleted_projects(Answers(404, knows_token=False), range(1)))


def test_a_deleted_project_is_listed_first_and_removed_when_told_to(make_loop: MakeLoop) -> None:
    loop = make_loop(8)
    loop.advance()
    store = Store(loop.settings.model_dir)
    said = forget_project(store, 1, dry_run=True)
    assert str(loop.store.folder) in said
    assert "--yes" in said
    assert loop.store.folder.is_dir()
    assert "is removed" in forget_project(store, 1, dry_run=False)
    assert not list((loop.settings.model_dir / "projects").iterdir())
    loop.advance()  # an alarm that was set before
    assert not loop.store.folder.exists()


def test_a_removal_that_was_killed_is_finished(settings: Settings) -> None:
    store = Store(settings.model_dir)
    left = settings.model_dir / "projects" / ".7.0123abcd"
    (left / "pool").mkdir(parents=True)
    (left.parent / ".notes.txt").write_text("mine")
    assert list(clean_projects(store, [], dry_run=False)) == []
    assert [path.name for path in left.parent.iterdir()] == [".notes.txt"]
