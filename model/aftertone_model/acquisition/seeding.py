"""The seed set: which clips to ask for before there is any label, spread over the clusters of the pool."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from aftertone_model.acquisition import Ranked
from aftertone_model.acquisition.clustering import Clustering, elbow, kmeans

SHARE = 0.01  # of the pool, the paper's seed set
MOST_CLUSTERS = 20  # the elbow is looked for among 1..20 clusters
MOST_TYPICLUST_CLUSTERS = 500  # TypiClust's, in the authors' code
NEIGHBOURS = 20  # whose mean distance says how typical a clip is; same place
SMALL_CLUSTER = 5  # clips; TypiClust passes over clusters no larger, which hold outliers
REFERENCES = 2_000  # neighbours are looked for among at most this many clips of a cluster

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
    """Clips nearest to the centres of Euclidean k-means, as many clusters as the elbow says, clusters taking turns.

    Args:
        representations: (N, D) of the clips that may be asked for; the paper takes the mean CNN encoder frame.
        k: clips to ask for, >= 0; None is the paper's 1 % of the pool, at least one per cluster. With a k there are at
            most k clusters, so that each has its clip.
        rng: the only source of chance.
        labelled: (L, D) of clips that have a label already. Each counts as its cluster's turn, so that a project that
            starts with labels is asked for what these don't cover.

    Returns:
        The order of all N clips, clusters interleaved; scores are minus the distance to the own centre.

    Source: AFTER, arXiv 2310.00283 §3.2.
    """
    size = len(representations)
    if size == 0 or k == 0:
        return _nothing_asked(size)
    points = _with_labelled(representations, labelled)
    clustering = kmeans(points, elbow(points, min(MOST_CLUSTERS, k or MOST_CLUSTERS), rng), rng, restarts=4)
    return _in_turns(clustering, size, k)


def seed_by_typiclust(
    representations: NDArray[np.floating],
    k: int | None,
    rng: np.random.Generator,
    labelled: NDArray[np.floating] | None = None,
) -> Ranked:
    """The most typical clip of each cluster that holds no label, largest cluster first; then the second most typical, …

    As many clusters as there will be labels (at most 500), typicality = 1 / mean distance to the 20 nearest neighbours
    in the cluster. Clusters of up to 5 clips come last. Arguments and result as for `seed_by_kmeans`, except that
    None for k is 1 % of the pool and scores are minus the mean distance.

    Source: Hacohen, Dekel, Weinshall, arXiv 2202.02794, algorithm 1, with the authors' code for the numbers.
    """
    size = len(representations)
    if size == 0 or k == 0:
        return _nothing_asked(size)
    k = seed_size(size) if k is None else k
    points = _with_labelled(representations, labelled)
    wanted = min(len(points) - size + k, MOST_TYPICLUST_CLUSTERS)
    clustering = kmeans(points, wanted, rng)
    typical_first = Clustering(
        labels=clustering.labels,
        distances=_mean_neighbour_distances(points, clustering, rng),
        count=clustering.count,
    )
    small = np.bincount(clustering.labels) <= SMALL_CLUSTER
    return _in_turns(typical_first, size, k, delay=np.where(small, len(points), 0))


SEEDINGS: dict[str, Seeding] = {
    "kmeans": seed_by_kmeans,  # the paper's
    "typiclust": seed_by_typiclust,  # the better theory when labels are few
}


def seed_size(candidates: int) -> int:
    """1 % of the pool, rounded up."""
    return int(np.ceil(SHARE * candidates))


def _nothing_asked(size: int) -> Ranked:
    return Ranked(order=np.arange(size, dtype=np.intp), k=0, scores=np.zeros(size))


def _with_labelled(
    representations: NDArray[np.floating], labelled: NDArray[np.floating] | None
) -> NDArray[np.floating]:
    return representations if labelled is None else np.concatenate([representations, labelled])


def _in_turns(clustering: Clustering, size: int, k: int | None, delay: NDArray[np.intp] | int = 0) -> Ranked:
    """Ranks the first `size` points of the clustering; the others are labelled and only use up turns."""
    taken = np.bincount(clustering.labels[size:], minlength=clustering.count) + delay
    candidates = Clustering(
        labels=clustering.labels[:size], distances=clustering.distances[:size], count=clustering.count
    )
    k = max(seed_size(size), clustering.count) if k is None else k
    return Ranked(
        order=candidates.interleaved(taken),
        k=min(k, size),
        scores=-candidates.distances,
        clusters=candidates.labels,
    )


def _mean_neighbour_distances(
    points: NDArray[np.floating], clustering: Clustering, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(N,) mean distance of each point to its nearest neighbours in its own cluster; 0 for a cluster of one."""
    means = np.zeros(len(points))
    for cluster in range(clustering.count):
        members = np.flatnonzero(clustering.labels == cluster)
        references = members
        if len(members) > REFERENCES:
            references = np.sort(rng.choice(members, REFERENCES, replace=False))
        neighbours = min(NEIGHBOURS, len(references) - 1)
        if neighbours == 0:
            continue
        search = NearestNeighbors(n_neighbors=neighbours + 1, algorithm="brute").fit(points[references])
        distances, _ = search.kneighbors(points[members])  # (members, neighbours + 1), ascending
        itself = np.isin(members, references)  # a reference's nearest reference is itself, at distance 0
        sums = np.where(itself, distances.sum(axis=1), distances[:, :-1].sum(axis=1))
        means[members] = sums / neighbours
    return means
