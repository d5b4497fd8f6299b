import numpy as np
import pytest
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from aftertone_model.acquisition import clustering
from aftertone_model.acquisition.clustering import Clustering, elbow, kmeans, spread_out


def blobs(count: int, groups: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 8)) + 30 * rng.normal(size=(groups, 8))[rng.integers(0, groups, count)]


def test_agrees_with_scikit_learn() -> None:
    points = np.asarray(make_blobs(600, 8, centers=7, cluster_std=4.0, random_state=0)[0])
    ours = kmeans(points, 7, np.random.default_rng(3))
    seed = int(np.random.default_rng(3).integers(2**31))
    theirs = KMeans(7, n_init=1, random_state=seed).fit(points)  # pyright: ignore[reportArgumentType] -- or a number
    assert adjusted_rand_score(theirs.labels_, ours.labels) == 1
    assert (ours.distances**2).sum() == pytest.approx(theirs.inertia_)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_begins_where_scikit_learn_begins(precision: type, weighted: bool) -> None:
    rng = np.random.default_rng(0)
    for points in (blobs(500, 6), rng.normal(size=(300, 40))):
        points = (points - points.mean(axis=0)).astype(precision)
        weights = (rng.random(len(points)) + 0.1 if weighted else np.ones(len(points))).astype(precision)
        theirs = kmeans_plusplus(points, 12, sample_weight=weights, random_state=5)[1]
        assert spread_out(points, 12, weights, np.random.RandomState(5)).tolist() == theirs.tolist()


def test_the_largest_cluster_is_number_zero() -> None:
    labels = kmeans(blobs(300, 5), 5, np.random.default_rng(0)).labels
    assert (np.diff(np.bincount(labels)) <= 0).all()


def test_coinciding_points_make_fewer_clusters() -> None:
    found = kmeans(np.repeat(np.eye(3), 4, axis=0), 8, np.random.default_rng(0))
    assert found.count == 3
    assert np.bincount(found.labels).tolist() == [4, 4, 4]
    np.testing.assert_allclose(found.distances, 0, atol=1e-7)


def test_a_large_pool_is_fitted_on_a_part_and_assigned_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "FIT_ROWS", 100)
    points = blobs(2_000, 4)
    found = kmeans(points, 4, np.random.default_rng(0), restarts=4)
    assert len(found.labels) == 2_000
    theirs = KMeans(4, n_init=4, random_state=0).fit(points)  # pyright: ignore[reportArgumentType] -- or a number
    assert adjusted_rand_score(theirs.labels_, found.labels) > 0.99


def test_a_start_on_a_part_leads_to_clusters_as_tight(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3_000, 8)) + 2 * rng.normal(size=(40, 8))[rng.integers(0, 40, 3_000)]

    def inertia() -> float:
        found = [kmeans(points, 40, np.random.default_rng(seed)) for seed in range(7)]
        return float(np.median([np.square(one.distances).mean() for one in found]))

    whole = inertia()
    monkeypatch.setattr(clustering, "START_ROWS", 400)
    assert inertia() < 1.02 * whole


@pytest.mark.parametrize("groups", [3, 5, 8])
def test_elbow_finds_well_separated_groups(groups: int) -> None:
    centres = 50 * np.eye(groups)
    points = np.repeat(centres, 60, axis=0) + np.random.default_rng(0).normal(size=(groups * 60, groups))
    assert elbow(points, 20, np.random.default_rng(0)) == groups


@pytest.mark.parametrize("points", [np.zeros((10, 3)), np.ones((1, 3)), np.eye(2)])
def test_elbow_of_next_to_nothing_is_one_cluster(points: np.ndarray) -> None:
    assert elbow(points, 20, np.random.default_rng(0)) == 1


def test_interleaved_takes_turns() -> None:
    groups = Clustering(
        labels=np.array([0, 0, 0, 1, 1, 2]), distances=np.array([0.3, 0.1, 0.2, 0.5, 0.4, 0.0]), count=3
    )
    assert groups.interleaved().tolist() == [1, 4, 5, 2, 3, 0]
    assert groups.interleaved(np.array([1, 0, 0])).tolist() == [4, 5, 1, 3, 2, 0]
