"""TypiClust: the most typical clip of each cluster that holds no label; alone, and followed by margin (TCM)."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.clustering import Clustering, kmeans
from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked
from aftertone_model.acquisition.uncertainty import answer_margin

MOST_CLUSTERS = 500  # in the authors' code
NEIGHBOURS = 20  # whose mean distance says how typical a clip is; same place
SMALL_CLUSTER = 5  # clips; clusters no larger, which hold outliers, are passed over; same place
REFERENCES = 500  # neighbours are looked for among at most this many clips of a cluster
BLOCK = 4_000_000  # distances held at once, in each thread
FEW_LABELS = 20  # per class; with fewer on average a clip is chosen for being typical, then for its margin. Ours


def typical_first(
    points: NDArray[np.floating], labelled: NDArray[np.floating] | None, k: int, rng: np.random.Generator
) -> Ranked:
    """The most typical clip of each cluster that holds no label, largest cluster first; then the second most typical, …

    As many clusters as there will be labels (at most 500), typicality = 1 / mean distance to the nearest neighbours in
    the cluster: half of the cluster, at most 20. Clusters of up to 5 clips come last.

    Args:
        points: (N, D) of the clips that may be asked for, N >= 1.
        labelled: (M, D) of clips that have a label already.
        k: clips to ask for, >= 1.

    Returns:
        Scores are minus the mean distance.

    Source: Hacohen, Dekel, Weinshall, arXiv 2202.02794, algorithm 1, with the authors' code for the numbers.
    """
    size = len(points)
    points = points if labelled is None else np.concatenate([points, labelled])
    clustering = kmeans(points, min(len(points) - size + k, MOST_CLUSTERS), rng)
    typical = Clustering(
        labels=clustering.labels,
        distances=_mean_neighbour_distances(points, clustering, rng),
        count=clustering.count,
    )
    small = np.bincount(clustering.labels) <= SMALL_CLUSTER
    return typical.rank(size, k, delay=np.where(small, len(points), 0))


def rank_by_typiclust_then_margin(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """While there are fewer than 20 labels per class, TypiClust; the picks beyond that number, and the rest, by margin.

    Source: TCM, Doucet et al., arXiv 2403.03728. When to change over is ours.
    """
    known, margins = inputs.known(), answer_margin(inputs)
    lacking = max(FEW_LABELS * known.labels.shape[1] - len(known.labels), 0)
    if lacking == 0:
        return Ranked.by_score(margins, k)
    typical = typical_first(inputs.require(Requires.EMBEDDINGS), known.embeddings, min(k, lacking), rng)
    return Ranked.picks_first(typical.picks, margins, k, clusters=typical.clusters)


def _mean_neighbour_distances(
    points: NDArray[np.floating], clustering: Clustering, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(N,) mean distance of each point to its nearest neighbours in its own cluster; 0 for a cluster of one."""
    from threadpoolctl import threadpool_info, threadpool_limits

    means = np.zeros(len(points))
    order = np.argsort(clustering.labels, kind="stable")
    clusters = np.split(order, np.cumsum(np.bincount(clustering.labels, minlength=clustering.count))[:-1])
    references = [_references(len(members), rng) for members in clusters]

    def measure(members: NDArray[np.intp], references: NDArray[np.intp]) -> None:
        neighbours = min(NEIGHBOURS, len(members) // 2)
        if neighbours > 0:
            means[members] = _mean_smallest(points[members], references, neighbours)

    # As many clusters at once as BLAS has threads: half of the time isn't in products, and theirs are small.
    count = max((library["num_threads"] for library in threadpool_info()), default=1)
    with threadpool_limits(limits=1), ThreadPoolExecutor(count) as threads:
        list(threads.map(measure, clusters, references))
    return means


def _references(size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Ascending rows of a cluster among which neighbours are looked for."""
    if size <= REFERENCES:
        return np.arange(size)
    return np.sort(rng.choice(size, REFERENCES, replace=False))


def _mean_smallest(points: NDArray[np.floating], references: NDArray[np.intp], neighbours: int) -> NDArray[np.float64]:
    """(N,) mean distance of points (N, D) to their nearest neighbours among some of them, whose rows are given."""
    points = points - points.mean(axis=0)  # products of short vectors round less
    squares = np.einsum("nd,nd->n", points, points)
    others, lengths = points[references].T, squares[references]
    place = np.full(len(points), -1)
    place[references] = np.arange(len(references))
    means, rounding = np.empty(len(points)), 16 * np.finfo(points.dtype).eps
    step = max(1, BLOCK // len(references))
    for start in range(0, len(points), step):
        block = slice(start, start + step)
        found = points[block] @ others
        found *= -2
        found += squares[block, None] + lengths  # in one, so that it is as far from one to the other as back
        own = np.flatnonzero(place[block] >= 0)
        found[own, place[block][own]] = np.inf  # a point is no neighbour of its own
        found.partition(neighbours - 1, axis=1)
        nearest = found[:, :neighbours]
        nearest[nearest < rounding * squares[block, None]] = 0
        means[block] = np.sqrt(nearest).mean(axis=1, dtype=np.float64)
    return means
