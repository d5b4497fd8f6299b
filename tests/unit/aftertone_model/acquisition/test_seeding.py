from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skactiveml.pool import TypiClust

from aftertone_model.acquisition import typiclust
from aftertone_model.acquisition.clustering import kmeans
from aftertone_model.acquisition.seeding import (
    SEEDINGS,
    seed_by_kmeans,
    seed_by_kmeans_elbow,
    seed_by_typiclust,
    seed_size,
)


def groups(sizes: list[int], seed: int = 0) -> np.ndarray:
    """Far groups of points, in a row."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.normal(100 * row, 1, (n, len(sizes))) for row, n in zip(np.eye(len(sizes)), sizes, strict=True)]
    )


def test_the_elbow_asks_for_one_per_cent_and_every_cluster() -> None:
    points = groups([400, 300, 200, 100])
    ranked = seed_by_kmeans_elbow(points, None, np.random.default_rng(0))
    assert ranked.k == 10
    assert ranked.clusters is not None
    assert ranked.clusters[ranked.picks].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]  # clusters take turns


def test_with_the_elbow_a_small_pool_still_sees_every_cluster() -> None:
    ranked = seed_by_kmeans_elbow(groups([20, 20, 20, 20]), None, np.random.default_rng(0))
    assert seed_size(80) == 1
    assert ranked.k == 4
    assert sorted(ranked.picks // 20) == [0, 1, 2, 3]


def test_the_elbows_picks_are_nearest_to_the_centres() -> None:
    points = groups([50, 40, 30])
    ranked = seed_by_kmeans_elbow(points, 6, np.random.default_rng(0))
    for start, size, first, second in ((0, 50, 0, 3), (50, 40, 1, 4), (90, 30, 2, 5)):
        members = points[start : start + size]
        nearest = start + np.linalg.norm(members - members.mean(axis=0), axis=1).argsort()[:2]
        assert ranked.picks[[first, second]].tolist() == nearest.tolist()


@pytest.mark.parametrize(("name", "k"), [("kmeans", 2), ("kmeans-elbow", 4), ("typiclust", 2)])
def test_asks_first_for_what_labels_do_not_cover(name: str, k: int) -> None:
    points = groups([60, 50, 40])
    ranked = SEEDINGS[name](points[1:], k, np.random.default_rng(0), points[:1])
    assert np.digitize(ranked.picks[:2] + 1, [60, 110]).tolist() == [1, 2]


def test_typiclust_agrees_with_scikit_activeml() -> None:
    points = groups([61, 57, 53, 49, 44])  # theirs and ours look at 20 neighbours from 40 clips on
    labels = kmeans(points, 5, np.random.default_rng(0)).labels

    class SameClusters:
        def __init__(self, n_clusters: int) -> None:
            assert n_clusters == 5

        def fit_predict(self, _points: np.ndarray) -> np.ndarray:
            return labels

    algorithm: Any = SameClusters
    theirs = np.asarray(
        TypiClust(cluster_algo=algorithm, k=20, random_state=0).query(points, np.full(264, np.nan), batch_size=5)
    )
    assert seed_by_typiclust(points, 5, np.random.default_rng(0)).picks.tolist() == theirs.tolist()


def test_a_clip_is_typical_among_half_of_a_small_cluster() -> None:
    points = groups([14])
    distances = np.sort(np.linalg.norm(points[:, None] - points, axis=2), axis=1)[:, 1:8]  # 7 neighbours, not itself
    assert seed_by_typiclust(points, 1, np.random.default_rng(0)).scores == pytest.approx(-distances.mean(axis=1))


def test_kmeans_asks_for_one_clip_of_every_group_where_the_elbow_asks_for_many_of_few() -> None:
    """Thirty groups of very different sizes: with k = 30 the one seeding covers them, the paper's a part."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(5, 60, 30)
    points = np.concatenate([rng.normal(60 * rng.normal(size=8), 1, (size, 8)) for size in sizes])
    group = np.repeat(np.arange(30), sizes)
    covered = {
        name: len(set(group[SEEDINGS[name](points, 30, np.random.default_rng(0), None).picks]))
        for name in ("kmeans", "kmeans-elbow")
    }
    by_chance = np.mean([len(set(group[rng.permutation(len(points))[:30]])) for _ in range(50)])
    assert covered["kmeans"] >= 27 > by_chance > covered["kmeans-elbow"]


def test_kmeans_picks_the_centre_of_each_cluster_largest_first() -> None:
    points = groups([50, 40, 30])
    picks = seed_by_kmeans(points, 3, np.random.default_rng(0)).picks
    for pick, (start, size) in zip(picks, ((0, 50), (50, 40), (90, 30)), strict=True):
        members = points[start : start + size]
        assert pick == start + np.linalg.norm(members - members.mean(axis=0), axis=1).argmin()
    assert seed_by_kmeans(groups([200, 100]), None, np.random.default_rng(0)).k == 3  # 1 %


def test_typiclust_leaves_outliers_to_the_end() -> None:
    points = np.concatenate([groups([40, 40]), [[5_000.0, 5_000.0]]])
    ranked = seed_by_typiclust(points, 3, np.random.default_rng(0))
    assert ranked.order[-1] == 80


def test_typicality_in_a_large_cluster_is_close_to_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(0).normal(size=(1_000, 3))
    exact = seed_by_typiclust(points, 1, np.random.default_rng(0)).scores
    monkeypatch.setattr(typiclust, "REFERENCES", 300)
    sampled = seed_by_typiclust(points, 1, np.random.default_rng(0)).scores
    assert np.corrcoef(exact, sampled)[0, 1] > 0.95


@pytest.mark.parametrize("name", SEEDINGS)
@settings(max_examples=30, deadline=None)
@given(
    size=st.integers(0, 12),
    k=st.one_of(st.none(), st.integers(0, 15)),
    known=st.integers(0, 4),
    same=st.booleans(),
)
def test_orders_every_pool_whole(name: str, size: int, k: int | None, known: int, same: bool) -> None:
    points = np.zeros((size, 3)) if same else np.random.default_rng(size).normal(size=(size, 3))
    labelled = np.ones((known, 3)) if known else None
    ranked = SEEDINGS[name](points, k, np.random.default_rng(0), labelled)
    assert sorted(ranked.order) == list(range(size))
    assert np.isfinite(ranked.scores).all()
    if k is not None:
        assert ranked.k == min(k, size)
    elif size:
        assert 1 <= ranked.k <= size
