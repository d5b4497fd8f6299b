import numpy as np
import pytest

from aftertone_model.acquisition import STRATEGIES, Inputs
from aftertone_model.acquisition.guard import guard_share, rank_guarded

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


def test_the_share_falls_as_the_strategy_gets_ahead() -> None:
    assert guard_share(-np.inf, np.inf) == guard_share(-1, 1) == 0.1
    assert guard_share(0.5, 2) == guard_share(0, 0) == 0.05
    assert guard_share(-2, -1) == guard_share(-2, 0) == 1.0
    shares = [guard_share(middle - 1, middle + 1) for middle in np.linspace(-1.5, 1.5, 61)]
    assert (np.diff(shares) <= 0).all()
    assert -np.diff(shares).min() < 0.06  # and nowhere in a leap


@pytest.mark.parametrize(("low", "high", "least"), [(1, 0, 0.05), (np.nan, 1, 0.05), (0, 1, 0.5)])
def test_refuses_what_is_no_interval_or_no_range(low: float, high: float, least: float) -> None:
    with pytest.raises(ValueError, match=r"interval|rise"):
        guard_share(low, high, least=least)


def played(worth: float, *, adaptive: bool, seed: int, share: float = 0.1) -> float:
    """Points of accuracy after 20 batches of 50, where a chosen label is worth so many random ones.

    Accuracy gains 6 points with each doubling of labels. Each round the strategy's lead is measured on the test set
    with a standard error that falls from 3 points to 1.
    """
    rng, labels = np.random.default_rng(seed), 50.0
    chosen = drawn = 25.0
    for turn in range(20):
        labels += 50 * (share + (1 - share) * worth)
        chosen, drawn = chosen + 50 * (1 - share), drawn + 50 * share
        if adaptive:
            lead = 6 * np.log2(1 + (worth - 1) * chosen / (chosen + drawn))  # of the labels so far
            error = max(1.0, 3 / np.sqrt(1 + turn))
            seen = lead + error * rng.normal()
            share = guard_share(seen - 1.96 * error, seen + 1.96 * error)
    return 6 * float(np.log2(labels))


def test_in_simulation_a_bad_strategy_does_little_harm_and_a_good_one_keeps_its_gain() -> None:
    by_chance = played(1.0, adaptive=False, seed=0)
    for worth in (0.0, 0.2, 0.5, 0.8):
        alone = played(worth, adaptive=False, seed=0, share=0.0) - by_chance  # from -26 to -2 points
        with_guard = [played(worth, adaptive=True, seed=seed) - by_chance for seed in range(100)]
        assert np.quantile(with_guard, 0.05) > max(0.8 * alone, -2.5), worth
    for worth in (1.15, 1.3, 2.0):
        alone = played(worth, adaptive=False, seed=0, share=0.0) - by_chance
        with_guard = [played(worth, adaptive=True, seed=seed) - by_chance for seed in range(100)]
        assert np.mean(with_guard) > 0.85 * alone, worth
        assert np.quantile(with_guard, 0.05) > 0.75 * alone, worth
