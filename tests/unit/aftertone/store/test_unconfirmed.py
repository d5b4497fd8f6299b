"""Projects that aren't confirmed yet."""

from pathlib import Path

import pytest

from aftertone.errors import TooManyProjectsError, UnknownProjectError
from aftertone.store import unconfirmed as module
from aftertone.store.unconfirmed import MOST, UnconfirmedProjects


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Epoch seconds, in one place to change them."""
    now = [1e9]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    return now


@pytest.fixture
def unconfirmed(tmp_path: Path) -> UnconfirmedProjects:
    return UnconfirmedProjects(tmp_path)


def test_few_ask_at_a_time_and_others_a_minute_later(unconfirmed: UnconfirmedProjects, clock: list[float]) -> None:
    assert all(unconfirmed.ask(project) for project in range(1, MOST + 1))
    assert unconfirmed.ask(1)  # it waits already
    with pytest.raises(TooManyProjectsError, match="Try again in a minute"):
        unconfirmed.ask(99)
    unconfirmed.leave(1)
    assert unconfirmed.ask(99)
    assert "an `aftertone worker` must run" in unconfirmed.problems()[99]
    clock[0] += 61
    assert unconfirmed.ask(1)


def test_a_refused_project_may_ask_again_after_a_minute(unconfirmed: UnconfirmedProjects, clock: list[float]) -> None:
    unconfirmed.ask(7)
    unconfirmed.refuse(7)
    with pytest.raises(UnknownProjectError, match="project 7"):
        unconfirmed.ask(7)
    clock[0] += 61
    assert unconfirmed.ask(7)


def test_failures_are_listed_for_a_day_and_tried_less_and_less(
    unconfirmed: UnconfirmedProjects, clock: list[float]
) -> None:
    unconfirmed.ask(7)
    assert [unconfirmed.postpone(7, "down") for _ in range(8)] == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert not unconfirmed.ask(7)
    clock[0] += 3600
    assert unconfirmed.problems() == {7: "down"}
    assert unconfirmed.ask(7)
    clock[0] += 86_400
    assert unconfirmed.problems() == {}


def test_all_processes_see_the_same_and_a_damaged_file_is_no_obstacle(
    unconfirmed: UnconfirmedProjects, tmp_path: Path
) -> None:
    unconfirmed.refuse(7)
    with pytest.raises(UnknownProjectError):
        UnconfirmedProjects(tmp_path).ask(7)
    (tmp_path / "unconfirmed.json").write_text("{")
    assert unconfirmed.ask(7)


def test_a_clock_that_was_ahead_keeps_nobody_out(unconfirmed: UnconfirmedProjects, clock: list[float]) -> None:
    clock[0] += 1e8
    unconfirmed.ask(7)
    unconfirmed.refuse(7)
    unconfirmed.postpone(8, "down")
    clock[0] -= 1e8
    assert unconfirmed.ask(7)
    assert unconfirmed.ask(8)
