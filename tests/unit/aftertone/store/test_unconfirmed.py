"""Projects that aren't confirmed yet."""

from pathlib import Path

import pytest

from aftertone.errors import TooManyProjectsError, UnknownProjectError
from aftertone.store import unconfirmed
from aftertone.store.unconfirmed import MOST, WaitingRoom


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Epoch seconds, in one place to change them."""
    now = [1e9]
    monkeypatch.setattr(unconfirmed.time, "time", lambda: now[0])
    return now


@pytest.fixture
def waiting(tmp_path: Path) -> WaitingRoom:
    return WaitingRoom(tmp_path)


def test_few_ask_at_a_time_and_others_a_minute_later(waiting: WaitingRoom, clock: list[float]) -> None:
    assert all(waiting.ask(project) for project in range(1, MOST + 1))
    assert waiting.ask(1)  # it waits already
    with pytest.raises(TooManyProjectsError, match="Try again in a minute"):
        waiting.ask(99)
    waiting.leave(1)
    assert waiting.ask(99)
    assert "an `aftertone worker` must run" in waiting.problems()[99]
    clock[0] += 61
    assert waiting.ask(1)


def test_a_refused_project_may_ask_again_after_a_minute(waiting: WaitingRoom, clock: list[float]) -> None:
    waiting.ask(7)
    waiting.refuse(7)
    with pytest.raises(UnknownProjectError, match="project 7"):
        waiting.ask(7)
    clock[0] += 61
    assert waiting.ask(7)


def test_failures_are_listed_for_a_day_and_tried_less_and_less(waiting: WaitingRoom, clock: list[float]) -> None:
    waiting.ask(7)
    assert [waiting.postpone(7, "down") for _ in range(8)] == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert not waiting.ask(7)
    clock[0] += 3600
    assert waiting.problems() == {7: "down"}
    assert waiting.ask(7)
    clock[0] += 86_400
    assert waiting.problems() == {}


def test_all_processes_see_the_same_and_a_damaged_file_is_no_obstacle(waiting: WaitingRoom, tmp_path: Path) -> None:
    waiting.refuse(7)
    with pytest.raises(UnknownProjectError):
        WaitingRoom(tmp_path).ask(7)
    (tmp_path / "unconfirmed.json").write_text("{")
    assert waiting.ask(7)
