"""A moment of a clock that was wrong holds nothing up, whichever way it was."""

import math

import pytest
from pydantic import ValidationError

from aftertone.store.clock import elapsed
from aftertone.store.records import Doing, Problem, Quiet, Source

NOW = 1.7e9


def test_time_that_has_passed_is_told() -> None:
    assert elapsed(NOW - 90, NOW) == 90
    assert elapsed(NOW, NOW) == 0


@pytest.mark.parametrize("ahead", [1.0, 86_400.0, 10 * 365 * 86_400.0, 1e300, math.inf])
def test_a_moment_still_to_come_is_long_ago(ahead: float) -> None:
    assert elapsed(NOW + ahead, NOW) == math.inf


@pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf])
def test_what_is_no_moment_is_long_ago(at: float) -> None:
    assert Source(at=at).at == Quiet(shape=(0, 0), since=at).since == 0.0
    assert Doing(stage="", done=0, total=0, at=at).at == 0.0
    assert Problem(message="", step="", times=1, at=at).pause(NOW) == 0.0


@pytest.mark.parametrize("times", [0, -5, -(10**400)])
def test_a_count_of_failures_below_one_is_no_record(times: int) -> None:
    with pytest.raises(ValidationError):
        Problem(message="", step="", times=times, at=NOW)


@pytest.mark.parametrize(("times", "pause"), [(1, 60), (2, 120), (7, 3600), (10**6, 3600)])
def test_pauses_double_up_to_an_hour(times: int, pause: float) -> None:
    problem = Problem(message="", step="", times=times, at=NOW)
    assert problem.pause(NOW) == pause
    assert problem.pause(NOW + pause) == 0


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0, 1e300])
def test_a_length_that_no_clip_has_is_no_record(seconds: float) -> None:
    with pytest.raises(ValidationError):
        Source(clip="c", seconds=seconds)
