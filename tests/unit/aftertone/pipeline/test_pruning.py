"""What a project no longer needs goes by itself, and comes back where it is needed again."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aftertone.pipeline.pruning import leftovers, prune
from aftertone.store.records import DiskUse, HeldOut, Source, Sources
from tests.unit.aftertone.loops import MemoryLoop

MakeLoop = Callable[..., MemoryLoop]


def files(loop: MemoryLoop, pattern: str) -> set[str]:
    return {path.stem for path in loop.store.folder.glob(pattern)}


def clip_of(loop: MemoryLoop, task: int) -> str:
    return str(loop.store.get(Sources).sources[f"/data/upload/1/tone-{task}.wav"].clip)


def test_a_deleted_tasks_clip_goes_after_the_next_round_and_comes_back_with_the_task(make_loop: MakeLoop) -> None:
    loop = make_loop(20)
    loop.advance()
    deleted = loop.last.published[-1]
    clip, split = clip_of(loop, deleted), loop.store.get(HeldOut).clips
    loop.label_studio.delete_task(deleted)
    loop.advance()
    assert clip in files(loop, "pool/clips/*/*.npy")  # no round yet, and no day has gone by
    loop.label(6)
    loop.advance()
    loop.check_queue()
    assert clip not in files(loop, "pool/clips/*/*.npy") | files(loop, "pool/features/*/*/*.npy")
    assert len(files(loop, "pool/clips/*/*.npy")) == 19
    loop.label_studio.add_task(audio=f"/data/upload/1/tone-{deleted}.wav")
    loop.fetcher.fetched.clear()
    loop.advance()
    assert loop.problem == ""
    assert loop.fetcher.fetched == [f"/data/upload/1/tone-{deleted}.wav"]
    assert clip_of(loop, deleted) == clip
    assert loop.store.get(HeldOut).clips[clip] == split[clip]


def test_most_clips_of_a_project_never_go_by_themselves(make_loop: MakeLoop) -> None:
    loop = make_loop(8)
    loop.advance()
    for task in range(1, 7):
        loop.label_studio.delete_task(task)
    loop.advance()
    prune(loop.store, leftovers(loop.store, cautious=True))
    assert len(files(loop, "pool/clips/*/*.npy")) == 8
    assert prune(loop.store, leftovers(loop.store, cautious=False)) > 0
    assert len(files(loop, "pool/clips/*/*.npy")) == 2
    loop.advance()
    assert loop.problem == ""


@pytest.mark.parametrize("lost", [None, Source(error="The host is down.", retry=True)])
def test_no_clip_goes_while_a_task_may_still_hold_it(make_loop: MakeLoop, lost: Source | None) -> None:
    loop = make_loop(8)
    loop.advance()
    address = "/data/upload/1/tone-3.wav"
    sources = {url: row for url, row in loop.store.get(Sources).sources.items() if url != address}
    loop.store.save(Sources(sources=sources | ({address: lost} if lost else {})))
    assert leftovers(loop.store, cautious=False) == []


def test_what_an_earlier_backbone_made_goes(make_loop: MakeLoop) -> None:
    loop = make_loop(24)
    loop.advance()
    loop.label(6)
    pool = loop.store.folder / "pool"
    for old in (pool / "features" / ("0" * 16), pool / "layers" / ("0" * 16)):
        old.mkdir(parents=True)
        (old / "made").write_text("by another backbone")
    loop.advance()
    loop.check_queue()
    (features,), (layers,) = (pool / "features").iterdir(), (pool / "layers").iterdir()
    assert {features.name, layers.name} & {"0" * 16} == set()
    loop.label(6)
    loop.advance()
    loop.check_queue()


def test_it_is_done_once_a_day_whatever_the_clock_said(make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make_loop(8)
    loop.advance()
    counted: list[Path] = []
    monkeypatch.setattr("aftertone.pipeline.pruning.prune", lambda store, found: counted.append(store.folder))
    loop.advance()
    assert counted == []
    disk = loop.store.get(DiskUse) if loop.store.read(DiskUse) is None else loop.store.read(DiskUse)
    assert disk is not None
    for at in (time.time() - 90_000, time.time() + 1e9):
        loop.store.save(disk.model_copy(update={"at": at}))
        loop.advance()
    assert len(counted) == 2
