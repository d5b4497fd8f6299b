import numpy as np
import pytest

from aftertone_model.acquisition import STRATEGIES, Inputs
from aftertone_model.acquisition.guard import rank_guarded

INPUTS = Inputs(candidates=200, probabilities=np.random.default_rng(0).dirichlet(np.ones(3), 200))


def guarded(k: int, share: float, seed: int = 0) -> list[int]:
    rngs = np.random.default_rng(0), np.random.default_rng(seed)
    return rank_guarded(STRATEGIES["margin"], INPUTS, k, share, *rngs).order.tolist()


def plain(k: int) -> list[int]:
    return STRATEGIES["margin"].rank(INPUTS, k, np.random.default_rng(0)).order.tolist()


def test_the_share_is_drawn_and_spread_through_the_batch() -> None:
    order, own = guarded(40, 0.25), plain(40)
    assert sorted(order) == list(range(200))
    strange = [place for place, row in enumerate(order[:40]) if row not in own[:30]]
    assert strange == [2, 6, 10, 14, 18, 22, 26, 30, 34, 38]
    assert [row for row in order[:40] if row in own[:30]] == own[:30]
    assert order[40:] == [row for row in own if row not in order[:40]]


def test_what_chance_drew_is_told() -> None:
    ranked = rank_guarded(STRATEGIES["margin"], INPUTS, 40, 0.25, np.random.default_rng(0), np.random.default_rng(0))
    assert set(ranked.by_chance) == set(ranked.picks.tolist()) - set(plain(40)[:30])
    assert rank_guarded(STRATEGIES["margin"], INPUTS, 40, 0.0, *[np.random.default_rng(0)] * 2).by_chance == ()


def test_the_extremes_are_the_strategy_alone_and_chance_alone() -> None:
    assert guarded(20, 0.0) == plain(20)
    drawn = np.array([guarded(20, 1.0, seed)[:20] for seed in range(200)])
    assert all(len(set(picks)) == 20 for picks in drawn)
    assert np.bincount(drawn.ravel(), minlength=200).std() < 2 * np.sqrt(20)  # all clips alike: 20 times each


@pytest.mark.parametrize("k", [1, 3, 7])
def test_the_share_is_right_on_average_for_any_size_of_a_batch(k: int) -> None:
    own, seeds = plain(k), range(3_000)
    replaced = [len(set(guarded(k, 0.1, seed)[:k]) - set(own[:k])) for seed in seeds]
    assert np.mean(replaced) / k == pytest.approx(0.1, abs=0.025)


def test_the_same_seeds_the_same_order() -> None:
    assert guarded(20, 0.3, 5) == guarded(20, 0.3, 5) != guarded(20, 0.3, 6)


def test_small_and_empty_pools() -> None:
    for candidates in (0, 1, 3):
        inputs = Inputs(candidates=candidates)
        for share in (0.0, 0.5, 1.0):
            rngs = np.random.default_rng(0), np.random.default_rng(1)
            ranked = rank_guarded(STRATEGIES["random"], inputs, 5, share, *rngs)
            assert sorted(ranked.order) == list(range(candidates))
            assert ranked.k == candidates
    with pytest.raises(ValueError, match="0 to 1"):
        guarded(5, 1.5)
