"""The seed set: which clips to ask for before there is any label, spread over the clusters of the pool."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.clustering import elbow, kmeans
from aftertone_model.acquisition.strategy import Ranked
from aftertone_model.acquisition.typiclust import typical_first

SHARE = 0.01  # of the pool, the paper's seed set
MOST_CLUSTERS = 1_000  # of k-means; with more labels clusters take turns
MOST_ELBOW_CLUSTERS = 20  # the elbow is looked for among 1..20 clusters

Seeding = Callable[
    [NDArray[np.floating], int | None, np.random.Generator, NDArray[np.floating] | None],
    Ranked,
]


def seed_by_kmeans(
    representations: NDArray[np.floating],
    k: int | None,
    rng: np.random.Generator,
    labelled: NDArray[np.floating] | None = None,
) -> Ranked:
    """As many clusters as there will be labels; from each that holds none the clip nearest to the centre.

    Args:
        representations: (N, D) of the clips that may be asked for.
        k: clips to ask for, >= 0; None is 1 % of them.
        rng: the only source of chance.
        labelled: (M, D) of clips that have a label already. Each counts as its cluster's turn, so that a project that
            starts with labels is asked for what these don't cover.

    Returns:
        The order of all N clips, largest cluster first, then every cluster's second clip, and so on; scores are minus
        the distance to the own centre.
    """
    size = len(representations)
    k = seed_size(size) if k is None else k
    if size == 0 or k == 0:
        return _nothing_asked(size)
    points = _with_labelled(representations, labelled)
    return kmeans(points, min(len(points) - size + k, MOST_CLUSTERS), rng).rank(size, k)


def seed_by_kmeans_elbow(
    representations: NDArray[np.floating],
    k: int | None,
    rng: np.random.Generator,
    labelled: NDArray[np.floating] | None = None,
) -> Ranked:
    """Clips nearest to the centres of Euclidean k-means, as many clusters as the elbow says, clusters taking turns.

    Arguments and result as for `seed_by_kmeans`, except that None for k is at least one clip per cluster. With a k
    there are at most k clusters, so that each has its clip. The paper represents a clip by its mean CNN frame.

    Source: AFTER, arXiv 2310.00283 §3.2.
    """
    size = len(representations)
    if size == 0 or k == 0:
        return _nothing_asked(size)
    points = _with_labelled(representations, labelled)
    most = min(MOST_ELBOW_CLUSTERS, k or MOST_ELBOW_CLUSTERS)
    clustering = kmeans(points, elbow(points, most, rng), rng, restarts=4)
    return clustering.rank(size, max(seed_size(size), clustering.count) if k is None else k)


def seed_by_typiclust(
    representations: NDArray[np.floating],
    k: int | None,
    rng: np.random.Generator,
    labelled: NDArray[np.floating] | None = None,
) -> Ranked:
    """The most typical clip of each cluster that holds no label: `typical_first`. Arguments as for `seed_by_kmeans`."""
    size = len(representations)
    k = seed_size(size) if k is None else k
    if size == 0 or k == 0:
        return _nothing_asked(size)
    return typical_first(representations, labelled, k, rng)


SEEDINGS: dict[str, Seeding] = {
    "kmeans": seed_by_kmeans,
    "kmeans-elbow": seed_by_kmeans_elbow,  # the paper's
    "typiclust": seed_by_typiclust,
}

ON_CNN_MEANS = frozenset({"kmeans-elbow"})
"""Seedings that take mean CNN frames, as the paper does; the others take what the transformer makes of them."""


def seed_size(candidates: int) -> int:
    """1 % of the pool, rounded up."""
    return int(np.ceil(SHARE * candidates))


def _nothing_asked(size: int) -> Ranked:
    return Ranked(order=np.arange(size, dtype=np.intp), k=0, scores=np.zeros(size))


def _with_labelled(
    representations: NDArray[np.floating], labelled: NDArray[np.floating] | None
) -> NDArray[np.floating]:
    return representations if labelled is None else np.concatenate([representations, labelled])
