"""Watching the worker's files: bars for its stages, its problems once, and no endless wait."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import rich.console

from aftertone.demo import wait as module
from aftertone.demo.console import Bar, Console
from aftertone.demo.errors import DemoError
from aftertone.demo.wait import Watch
from aftertone.doctor.registry import CHECKS
from aftertone.store.project import ProjectStore
from aftertone.store.records import Doing, Warnings


class Recorder(Console):
    """A console that remembers its bars: name, and what was done at each report."""

    def __init__(self) -> None:
        super().__init__()
        self.bars: list[tuple[str, list[int]]] = []
        self.ended = 0

    @contextmanager
    def step(self, name: str) -> Iterator[Bar]:
        done: list[int] = []
        self.bars.append((name, done))
        yield lambda number, _total: done.append(number)
        self.ended += 1


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    console = Console()
    monkeypatch.setattr(console, "_console", rich.console.Console(file=io.StringIO(), highlight=False))
    return console


def printed(console: Console) -> str:
    return console._console.file.getvalue()  # type: ignore[attr-defined]


def report(store: ProjectStore, stage: str, done: int, total: int) -> None:
    """As the worker does."""
    store.save(Doing(stage=stage, done=done, total=total, at=time.time()))


def test_it_waits_for_the_round(tmp_path: Path, console: Console) -> None:
    store = ProjectStore(tmp_path)
    looks = []

    def check() -> None:
        looks.append(store.current)
        if len(looks) == 3:
            store.set_current(1)
        if len(looks) == 5:
            store.set_current(2)

    Watch(store, console, check).until_round(2)
    assert looks == [None, None, None, 1, 1]


def test_a_problem_is_told_once(tmp_path: Path, console: Console) -> None:
    store = ProjectStore(tmp_path)
    store.record_problem("fetch audio", "The token is wrong.", at=0.0)
    looks = iter(range(5))
    Watch(store, console, lambda: None).until(lambda: next(looks) == 4)
    assert printed(console).count("could not fetch audio: The token is wrong.") == 1


def test_a_backbone_that_stays_as_it_was_is_told(tmp_path: Path, console: Console) -> None:
    store = ProjectStore(tmp_path)
    reason = "The backbone stays unadapted: the loss on 20 held-out clips was 0.512 before."
    found = [CHECKS["unadapted"].finding(reason), CHECKS["outgrown"].finding("The pool has grown.", 1)]
    store.save(Warnings(findings=tuple(found)))
    Watch(store, console, lambda: None).tell("unadapted")
    assert printed(console).count("unadapted") == 1
    assert reason in printed(console)
    assert "rounds start from the backbone as it was" in printed(console)
    assert "grown" not in printed(console)


def test_parts_of_a_stage_do_not_interrupt_its_bar(tmp_path: Path) -> None:
    store, console = ProjectStore(tmp_path), Recorder()
    reports = [("adapt", 1), ("validate", 9), ("adapt", 2), ("wait for labels", 0), ("train", 5)]
    left = iter(reports)

    def check() -> None:
        stage, done = next(left)
        report(store, stage, done, 10)

    looks = iter(range(len(reports) + 1))
    Watch(store, console, check).until(lambda: next(looks) == len(reports))
    assert console.bars == [("Adapting the backbone to the audio", [1, 2]), ("Fine-tuning", [5])]


def test_the_time_that_the_worker_waits_is_not_counted_to_its_last_stage(tmp_path: Path) -> None:
    store, console = ProjectStore(tmp_path), Recorder()
    ended: list[int] = []  # bars that had ended at each look
    reports = iter([("fetch", 3, 3), ("tasks are still being imported", 0, 0), ("fetch", 1, 2)])

    def check() -> None:
        ended.append(console.ended)
        if told := next(reports, None):
            report(store, *told)

    looks = iter(range(5))
    Watch(store, console, check).until(lambda: next(looks) == 4)
    assert console.bars == [("Fetching the audio", [3]), ("Fetching the audio", [1])]
    assert ended == [0, 0, 1, 1]


def test_silence_ends_the_wait_unless_people_are_awaited(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALLED_SECONDS", 0.0)
    with pytest.raises(DemoError, match="no progress"):
        Watch(ProjectStore(tmp_path), console, lambda: None).until(lambda: False)
    looks = iter(range(5))
    Watch(ProjectStore(tmp_path), console, lambda: None).until(lambda: next(looks) == 4, patient=True)
