"""The rule's decisions: who tires is noticed soon, and who doesn't is left in peace however often it is asked."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from aftertone_model.votes.fatigue import EARLIER, LATEST, agrees_less, hurries

DRAWS = 60


def share_noticed(
    rule: Callable[[Sequence[float]], bool], draw: Callable[[np.random.Generator], np.ndarray], since: int
) -> float:
    """Share of annotators whom the rule, asked at each tenth vote from `since` on, calls tired at least once."""
    found = 0
    for seed in range(DRAWS):
        values = draw(np.random.default_rng(seed)).tolist()
        found += any(rule(values[:count]) for count in range(since, len(values) + 1, 10))
    return found / DRAWS


@pytest.mark.parametrize("right", [0.3, 0.6, 0.9])
def test_whoever_stays_the_same_is_left_in_peace(right: float) -> None:
    assert share_noticed(agrees_less, lambda rng: (rng.random(400) < right).astype(float), EARLIER) <= 0.05
    assert share_noticed(hurries, lambda rng: rng.lognormal(2, 0.8, 400), EARLIER) <= 0.05


def test_whoever_begins_to_guess_is_noticed_within_fifty_votes() -> None:
    def guessing(rng: np.random.Generator) -> np.ndarray:
        return np.concatenate([rng.random(200) < 0.8, rng.random(50) < 0.25]).astype(float)

    assert share_noticed(agrees_less, guessing, EARLIER) >= 0.95


def test_whoever_begins_to_click_through_is_noticed_within_fifty_votes() -> None:
    def hurrying(rng: np.random.Generator) -> np.ndarray:
        return np.concatenate([rng.lognormal(2, 0.6, 200), rng.lognormal(0.8, 0.6, 50)])

    assert share_noticed(hurries, hurrying, EARLIER) >= 0.95


def test_whoever_gets_a_little_faster_with_practice_is_left_in_peace() -> None:
    def practised(rng: np.random.Generator) -> np.ndarray:
        return rng.lognormal(np.linspace(2.2, 1.8, 300), 0.5)

    assert share_noticed(hurries, practised, EARLIER) <= 0.05


def test_few_votes_say_nothing() -> None:
    assert not agrees_less([1.0] * (EARLIER - 1) + [0.0] * LATEST)
    assert agrees_less([1.0] * EARLIER + [0.0] * LATEST)
    assert not hurries([])
    assert not agrees_less([1.0] * 500)
