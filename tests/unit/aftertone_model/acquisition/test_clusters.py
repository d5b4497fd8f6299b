import numpy as np
import pytest

from aftertone_model.acquisition import STRATEGIES, Inputs
from aftertone_model.acquisition.uncertainty import entropy


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
