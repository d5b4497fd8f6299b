import numpy as np
import pytest

from aftertone_model.acquisition import STRATEGIES, Inputs
from aftertone_model.acquisition.clustering import kmeans
from aftertone_model.acquisition.clusters import shortlist
from aftertone_model.acquisition.uncertainty import entropy, margin


@pytest.fixture
def inputs() -> Inputs:
    """60 clips in 6 far groups of 10; the first three groups are the uncertain ones."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 10)
    confident = np.where(groups < 3, rng.uniform(0.5, 0.6, 60), rng.uniform(0.97, 0.99, 60))
    return Inputs(
        candidates=60,
        probabilities=np.stack([confident, 1 - confident], axis=1),
        embeddings=100 * np.eye(6)[groups] + rng.normal(size=(60, 6)),
    )


def test_kmeans_asks_for_the_clip_nearest_to_each_centre(inputs: Inputs) -> None:
    ranked = STRATEGIES["kmeans"].rank(inputs, 6, np.random.default_rng(0))
    embeddings = inputs.embeddings
    assert embeddings is not None
    groups = embeddings.reshape(6, 10, 6)
    nearest = np.linalg.norm(groups - groups.mean(axis=1, keepdims=True), axis=2).argmin(axis=1) + 10 * np.arange(6)
    assert sorted(ranked.picks) == sorted(nearest)
    assert sorted(ranked.order[6:12] // 10) == list(range(6))  # the next turn visits every cluster again


def test_entropy_clusters_spreads_over_the_uncertain_clips_only(inputs: Inputs) -> None:
    ranked = STRATEGIES["entropy-clusters"].rank(inputs, 3, np.random.default_rng(0))
    assert sorted(ranked.picks // 10) == [0, 1, 2]
    probabilities = inputs.probabilities
    assert probabilities is not None
    assert ranked.clusters is not None
    assert (np.diff(entropy(probabilities)[ranked.picks]) <= 0).all()
    assert set(ranked.clusters[:30]) == {0, 1, 2}
    assert set(ranked.clusters[30:]) == {3}  # off the shortlist


def test_a_shortlist_is_at_most_half_of_the_pool_but_holds_the_picks() -> None:
    scores = np.random.default_rng(0).random(100)
    assert [len(shortlist(scores, 10, k)) for k in (1, 3, 10, 60, 100)] == [10, 30, 50, 60, 100]
    assert shortlist(scores, 10, 2).tolist() == sorted(np.argsort(-scores)[:20])


@pytest.mark.parametrize("name", ["entropy-clusters", "cluster-margin"])
def test_with_a_tenth_of_the_pool_in_a_batch_uncertainty_still_chooses(name: str) -> None:
    """Uncertain and sure clips side by side in every group: only uncertain ones are asked for."""
    rng = np.random.default_rng(0)
    confident = np.concatenate([rng.uniform(0.5, 0.6, 150), rng.uniform(0.9, 1, 150)])
    embeddings = 100 * np.eye(6)[rng.integers(0, 6, 300)] + rng.normal(size=(300, 6))
    inputs = Inputs(candidates=300, probabilities=np.stack([confident, 1 - confident], axis=1), embeddings=embeddings)
    picks = STRATEGIES[name].rank(inputs, 30, rng).picks
    assert len(picks) == 30
    assert (picks < 150).all()


def test_cluster_margin_takes_the_centre_of_each_cluster_by_margin() -> None:
    rng = np.random.default_rng(3)
    probabilities, embeddings = rng.dirichlet(np.ones(3), 200), rng.normal(size=(200, 4))
    inputs = Inputs(candidates=200, probabilities=probabilities, embeddings=embeddings)
    picks = STRATEGIES["cluster-margin"].rank(inputs, 10, np.random.default_rng(0)).picks
    margins = margin(probabilities)
    rows = np.sort(np.argsort(-margins)[:40])
    clustering = kmeans(embeddings[rows], 10, np.random.default_rng(0))
    nearest = [
        rows[min(np.flatnonzero(clustering.labels == number), key=lambda row: clustering.distances[row])]
        for number in range(10)
    ]
    assert picks.tolist() == sorted(nearest, key=lambda row: -margins[row])


def test_cluster_margin_asks_for_no_near_duplicates() -> None:
    """Every uncertain clip lies there in eight nearly equal takes, as speech corpora are made."""
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(40, 8))
    takes = np.repeat(clips, 8, axis=0) + 0.01 * rng.normal(size=(320, 8))
    confident = np.repeat(rng.uniform(0.5, 1, 40), 8) - 0.001 * rng.random(320)
    inputs = Inputs(candidates=320, probabilities=np.stack([confident, 1 - confident], axis=1), embeddings=takes)
    different = {
        name: len({row // 8 for row in STRATEGIES[name].rank(inputs, 16, np.random.default_rng(0)).picks})
        for name in ("margin", "cluster-margin")
    }
    assert different["margin"] <= 3
    assert different["cluster-margin"] >= 8  # as many as there are among the 4 k smallest margins
