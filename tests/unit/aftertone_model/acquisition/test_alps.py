import numpy as np

from aftertone_model.acquisition import STRATEGIES, Inputs


def rank(surprisal: np.ndarray, k: int) -> list[int]:
    inputs = Inputs(candidates=len(surprisal), surprisal=surprisal)
    return STRATEGIES["alps"].rank(inputs, k, np.random.default_rng(0)).picks.tolist()


def test_clusters_directions_whatever_the_length() -> None:
    directions = np.repeat([[1.0, 0, 0, 0.1], [0, 1.0, 0, 0.1], [0, 0, 1.0, 0.1]], 5, axis=0)
    loud = directions * np.random.default_rng(0).uniform(0.1, 50, (15, 1))
    assert sorted(pick // 5 for pick in rank(loud, 3)) == [0, 1, 2]


def test_a_clip_too_short_to_be_masked_is_no_cluster_of_its_own() -> None:
    rng = np.random.default_rng(0)
    profiles = np.concatenate([rng.normal([5, 0, 1], 0.1, (10, 3)), rng.normal([0, 5, 1], 0.1, (10, 3))]).clip(0)
    profiles[3] = -1
    picks = rank(profiles, 2)
    assert 3 not in picks
    assert sorted(pick // 10 for pick in picks) == [0, 1]


def test_a_clip_that_nothing_surprises_is_not_taken_for_short() -> None:
    rng = np.random.default_rng(0)
    profiles = np.concatenate([rng.normal([5, 0, 1], 0.1, (10, 3)), rng.normal([0, 5, 1], 0.1, (10, 3))]).clip(0)
    profiles[[3, 4, 15]] = 0  # alike, and unlike all others
    assert len({3, 4, 15} & set(rank(profiles, 3))) == 1


def test_nothing_but_short_clips() -> None:
    assert sorted(rank(-np.ones((4, 8)), 4)) == [0, 1, 2, 3]
