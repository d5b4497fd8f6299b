"""Watching the worker's files: bars for its stages, its problems once, and no endless wait."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from aftertone.demo import wait as module
from aftertone.demo.console import Bar, Screen
from aftertone.demo.errors import DemoError
from aftertone.demo.wait import Watch
from aftertone.store.project import ProjectStore
from aftertone.store.records import Doing


class Recorder(Screen):
    """A screen that remembers its bars: name, and what was done at each report."""

    def __init__(self) -> None:
        super().__init__()
        self.bars: list[tuple[str, list[int]]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[Bar]:
        done: list[int] = []
        self.bars.append((name, done))
        yield lambda number, _total: done.append(number)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    screen = Screen()
    monkeypatch.setattr(screen, "_console", Console(file=io.StringIO(), highlight=False))
    return screen


def printed(screen: Screen) -> str:
    return screen._console.file.getvalue()  # type: ignore[attr-defined]


def test_it_waits_for_the_round(tmp_path: Path, screen: Screen) -> None:
    store = ProjectStore(tmp_path)
    looks = []

    def check() -> None:
        looks.append(store.current)
        if len(looks) == 3:
            store.set_current(1)
        if len(looks) == 5:
            store.set_current(2)

    Watch(store, screen, check).until_round(2)
    assert looks == [None, None, None, 1, 1]


def test_a_problem_is_told_once(tmp_path: Path, screen: Screen) -> None:
    store = ProjectStore(tmp_path)
    store.record_problem("fetch audio", "The token is wrong.", at=0.0)
    looks = iter(range(5))
    Watch(store, screen, lambda: None).until(lambda: next(looks) == 4)
    assert printed(screen).count("could not fetch audio: The token is wrong.") == 1


def test_parts_of_a_stage_do_not_interrupt_its_bar(tmp_path: Path) -> None:
    store, screen = ProjectStore(tmp_path), Recorder()
    reports = [("adapt", 1), ("validate", 9), ("adapt", 2), ("wait for labels", 0), ("train", 5)]
    left = iter(reports)

    def check() -> None:
        stage, done = next(left)
        store.save(Doing(stage=stage, done=done, total=10, at=time.time()))

    looks = iter(range(len(reports) + 1))
    Watch(store, screen, check).until(lambda: next(looks) == len(reports))
    assert screen.bars == [("Adapting the backbone to the audio", [1, 2]), ("Fine-tuning", [5])]


def test_silence_ends_the_wait_unless_people_are_awaited(
    tmp_path: Path, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALLED_SECONDS", 0.0)
    with pytest.raises(DemoError, match="no sign of life"):
        Watch(ProjectStore(tmp_path), screen, lambda: None).until(lambda: False)
    looks = iter(range(5))
    Watch(ProjectStore(tmp_path), screen, lambda: None).until(lambda: next(looks) == 4, patient=True)
