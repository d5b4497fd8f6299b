"""K-means over clips (scikit-learn's), shared by the seed set and by every strategy that spreads its picks."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.strategy import Ranked

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

FIT_ROWS = 20_000  # centres are fitted on at most this many points, drawn by the seed; every point is then assigned
START_ROWS = 5_000  # k-means++ draws the start from at most this many of them, as it reads all of them for each centre
ELBOW_ROWS = 5_000  # the elbow compares many fits, so each sees fewer points
ROUNDING = 1e-6  # an inertia that falls by less than this share is that of coinciding points


@dataclass(frozen=True, kw_only=True)
class Clustering:
    """Which cluster each of N points is in. No cluster is empty; the largest is number 0."""

    labels: NDArray[np.intp]  # (N,) 0..count-1
    distances: NDArray[np.float64]  # (N,) Euclidean distance to the own cluster's centre
    count: int  # number of clusters, >= 1

    def interleaved(self, taken: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
        """(N,) point indices in turns: every cluster's point nearest to its centre, then every cluster's second, …

        Within a turn the largest cluster goes first. `taken` (count,) says how many turns a cluster has had already.
        """
        by_cluster = np.lexsort((self.distances, self.labels))  # stable: ties in row order
        sizes = np.bincount(self.labels, minlength=self.count)
        turns = np.empty(len(self.labels), dtype=np.intp)
        turns[by_cluster] = np.arange(len(self.labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        if taken is not None:
            turns += taken[self.labels]
        return np.lexsort((self.distances, self.labels, turns))

    def rank(self, size: int, k: int, delay: NDArray[np.intp] | int = 0) -> Ranked:
        """The first `size` points in turns; the others are labelled already and only use up their cluster's turns.

        Args:
            size: candidates N, 0..number of points.
            k: how many of them are picks.
            delay: (count,) turns that a cluster has to wait besides.

        Returns:
            Scores are minus the distance.
        """
        taken = np.bincount(self.labels[size:], minlength=self.count) + delay
        candidates = Clustering(labels=self.labels[:size], distances=self.distances[:size], count=self.count)
        return Ranked(
            order=candidates.interleaved(taken),
            k=min(k, size),
            scores=-candidates.distances,
            clusters=candidates.labels,
        )


def kmeans(
    points: NDArray[np.floating],
    count: int,
    rng: np.random.Generator,
    *,
    weights: NDArray[np.float64] | None = None,
    restarts: int = 1,
) -> Clustering:
    """Euclidean k-means (k-means++ start, Lloyd); fewer clusters than `count` where points coincide.

    Args:
        points: (N, D), N >= 1, finite.
        count: clusters wanted, >= 1; more than N means N.
        weights: (N,) > 0, each point's pull on the centres; all the same by default.
        restarts: fits from this many starts, of which the one with the smallest inertia is kept.
    """
    from sklearn.metrics import pairwise_distances_argmin_min  # takes seconds, which the list of strategies needn't

    rows = _subset(len(points), max(FIT_ROWS, 10 * count), rng)
    fit = _fit(points[rows], count, rng, restarts, None if weights is None else weights[rows])
    labels, distances = pairwise_distances_argmin_min(points, fit.cluster_centers_)
    sizes = np.bincount(labels, minlength=len(fit.cluster_centers_))
    largest_first = np.argsort(-sizes, kind="stable")
    renumbered = np.empty_like(largest_first)
    renumbered[largest_first] = np.arange(len(sizes))
    return Clustering(
        labels=renumbered[labels], distances=distances.astype(np.float64), count=int(np.count_nonzero(sizes))
    )


def elbow(points: NDArray[np.floating], most: int, rng: np.random.Generator) -> int:
    """The number of clusters, 1..most, at the bend of the inertia curve.

    The bend is where the curve, both axes scaled to 0..1, lies furthest below the line between its ends (Satopää et
    al., "Finding a Kneedle in a Haystack", 2011). AFTER (arXiv 2310.00283 §3.2) asks for "the elbow method" without
    saying which.
    """
    points = points[_subset(len(points), ELBOW_ROWS, rng)]
    counts = np.arange(1, min(most, len(points)) + 1)
    inertias = np.array([_fit(points, int(count), rng, 2).inertia_ for count in counts])
    inertias = np.minimum.accumulate(inertias)  # an unlucky start must not look like a bend
    fall = inertias[0] - inertias[-1]
    if fall <= ROUNDING * inertias[0]:
        return 1
    across = (counts - counts[0]) / (counts[-1] - counts[0])
    below = 1 - across - (inertias - inertias[-1]) / fall
    return int(counts[np.argmax(below)])


def _fit(
    points: NDArray[np.floating],
    count: int,
    rng: np.random.Generator,
    restarts: int,
    weights: NDArray[np.float64] | None = None,
) -> "KMeans":
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    def start(points: NDArray[np.floating], count: int, random_state: np.random.RandomState) -> NDArray[np.floating]:
        pull = np.ones(len(points)) if weights is None else weights
        rows, most = np.arange(len(points)), max(START_ROWS, 10 * count)
        if len(points) > most:  # others for each start
            rows = np.sort(random_state.choice(len(points), most, replace=False))
        return points[rows[spread_out(points[rows], count, pull[rows].astype(points.dtype), random_state)]]

    seed = int(rng.integers(2**31))
    estimator = KMeans(min(count, len(points)), init=start, n_init=restarts, random_state=seed)  # pyright: ignore
    # One thread: sums over several come out in any order, and then the same seed may give other picks.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # coinciding points: fewer clusters, as documented
        return estimator.fit(points, sample_weight=weights)


def spread_out(
    points: NDArray[np.floating], count: int, weights: NDArray[np.floating], random_state: np.random.RandomState
) -> NDArray[np.intp]:
    """Rows where k-means begins: greedy k-means++ with the draws of scikit-learn's `kmeans_plusplus`.

    The rows are scikit-learn's, to rounding, for a fraction of the time: it converts float32 points to float64 anew for
    each centre.

    Args:
        points: (N, D) around the origin, so that products round little.
        count: rows wanted, 1..N.
        weights: (N,) > 0, of the points' type.
    """
    trials, rounding = 2 + int(np.log(count)), 8 * np.finfo(points.dtype).eps
    squares = np.einsum("nd,nd->n", points, points)

    def distances(rows: NDArray[np.intp]) -> NDArray[np.floating]:  # (trials, N), squared
        found = np.ascontiguousarray((points @ points[rows].T).T)
        scale = squares[rows, None] + squares
        found *= -2
        found += scale
        found[found < rounding * scale] = 0  # the same point, or another that lies where it does
        return found

    chosen = np.empty(count, dtype=np.intp)
    chosen[0] = random_state.choice(len(points), p=weights / weights.sum())
    nearest = distances(chosen[:1])[0]
    potential = nearest @ weights
    for done in range(1, count):
        aims = random_state.uniform(size=trials) * potential
        rows = np.minimum(np.searchsorted(np.cumsum(weights * nearest), aims), len(points) - 1)
        after = np.minimum(nearest, distances(rows))
        potentials = after @ weights
        best = int(np.argmin(potentials))
        chosen[done], nearest, potential = rows[best], after[best], potentials[best]
    return chosen


def _subset(size: int, most: int, rng: np.random.Generator) -> NDArray[np.intp] | slice:
    if size <= most:
        return slice(None)
    return np.sort(rng.choice(size, most, replace=False))
