import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from aftertone_model.acquisition import STRATEGIES, Inputs, Labelled, typiclust
from aftertone_model.acquisition.clustering import Clustering
from aftertone_model.acquisition.typiclust import FEW_LABELS, typical_first
from aftertone_model.acquisition.uncertainty import margin


def inputs(labels: int) -> Inputs:
    """150 clips of three classes, and so many more with labels."""
    rng = np.random.default_rng(0)
    points, probabilities = rng.normal(size=(150 + labels, 4)), rng.dirichlet(np.ones(3), 150 + labels)
    known = Labelled(
        labels=np.eye(3)[np.arange(labels) % 3].reshape(labels, 3),
        predictions=probabilities[150:],
        embeddings=points[150:],
    )
    return Inputs(candidates=150, probabilities=probabilities[:150], embeddings=points[:150], labelled=known)


@pytest.mark.parametrize(("labels", "typical"), [(0, 12), (30, 12), (3 * FEW_LABELS - 5, 5), (3 * FEW_LABELS, 0)])
def test_changes_over_from_typiclust_to_margin_within_a_batch(labels: int, typical: int) -> None:
    given = inputs(labels)
    assert given.embeddings is not None
    assert given.probabilities is not None
    picks = STRATEGIES["typiclust-margin"].rank(given, 12, np.random.default_rng(0)).picks.tolist()
    first = []
    if typical:
        rng = np.random.default_rng(0)
        first = typical_first(given.embeddings, given.known().embeddings, typical, rng).picks.tolist()
    by_margin = np.argsort(-margin(given.probabilities), kind="stable").tolist()
    assert picks == (first + [row for row in by_margin if row not in first])[:12]


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_typicality_is_the_mean_distance_to_the_nearest_in_the_cluster(
    precision: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typiclust, "BLOCK", 500)  # a few rows at a time
    rng = np.random.default_rng(0)
    points, labels = (30 + rng.normal(size=(200, 6))).astype(precision), np.repeat([0, 1, 2, 3, 4], [120, 70, 7, 2, 1])
    clustering = Clustering(labels=labels, distances=np.zeros(200), count=5)
    expected = np.zeros(200)
    for number, neighbours in enumerate([20, 20, 3, 1]):
        own = points[labels == number]
        search = NearestNeighbors(n_neighbors=neighbours).fit(own)
        expected[labels == number] = search.kneighbors()[0].mean(axis=1)
    found = typiclust._mean_neighbour_distances(points, clustering, rng)
    assert found == pytest.approx(expected, rel=1e-4)
    assert found[197] == found[198]  # from one to the other and back


def test_of_a_large_cluster_a_part_says_who_is_typical(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(0).normal(size=(3_000, 4))
    clustering = Clustering(labels=np.zeros(3_000, dtype=np.intp), distances=np.zeros(3_000), count=1)
    whole = typiclust._mean_neighbour_distances(points, clustering, np.random.default_rng(0))
    monkeypatch.setattr(typiclust, "REFERENCES", 1_000)
    part = typiclust._mean_neighbour_distances(points, clustering, np.random.default_rng(0))
    assert np.corrcoef(whole, part)[0, 1] > 0.95
