"""AnchorAL: look only near labelled clips of each class, the same number for each, and ask by margin there."""

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.badge import draw_in_proportion
from aftertone_model.acquisition.direct import in_turns
from aftertone_model.acquisition.inputs import Inputs, Labelled, Requires
from aftertone_model.acquisition.probcover import unit_length
from aftertone_model.acquisition.strategy import Ranked
from aftertone_model.acquisition.uncertainty import answer_margin

ANCHORS = 10  # per class; the paper's
NEIGHBOURS = 50  # candidates found by each anchor; the paper's
MOST_SUBPOOL = 1_000  # candidates; the paper's
SUBPOOL_SHARE = 0.1  # of the candidates, at most: a subpool that is the pool is no choice
LEAST_SUBPOOL = 2  # times k, so that the margin has a choice


def rank_by_anchoral(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """The smallest margins among the candidates most similar to anchors: a few labelled clips of each class.

    Each anchor finds the 50 candidates of the highest cosine; a candidate counts by its mean cosine with those anchors
    of a class that found it. Classes take turns, the rarest first, to put their best into the subpool. The rest of the
    pool follows by margin.

    Source: Lesci, Vlachos, arXiv 2404.05623.
    """
    known, margins = inputs.known(), answer_margin(inputs)
    points = unit_length(inputs.require(Requires.EMBEDDINGS))  # (N, D)
    size = max(LEAST_SUBPOOL * k, min(MOST_SUBPOOL, int(SUBPOOL_SHARE * len(points))))
    of_class = members(known, exclusive=inputs.exclusive)
    found: list[NDArray[np.intp]] = []
    for column in np.argsort(known.labels.sum(axis=0), kind="stable"):
        labelled = unit_length(known.embeddings[of_class[:, column]])
        if len(labelled):
            found.append(similar(points, labelled[spread(labelled, ANCHORS, rng)]))
    subpool = in_turns(found, size)
    closest = subpool[np.lexsort((subpool, -margins[subpool]))]
    return Ranked.picks_first(closest[:k], margins, k)


def members(known: Labelled, *, exclusive: bool) -> NDArray[np.bool_]:
    """(M, C) which classes a labelled clip is of: the one with most votes, or all with at least half of them."""
    if not exclusive:
        return known.labels >= 0.5
    best = known.labels.argmax(axis=1) if len(known.labels) else np.empty(0, np.intp)
    return best[:, None] == np.arange(known.labels.shape[1])


def spread(points: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Up to `count` rows of points (M, D), M >= 1, by k-means++: drawn in proportion to the squared distance."""
    if len(points) <= count:
        return np.arange(len(points))
    free, nearest = np.ones(len(points), dtype=bool), np.full(len(points), 4.0)
    rows: list[int] = []
    for _ in range(count):
        row = draw_in_proportion(np.where(free, nearest, 0), free, rng)
        free[row] = False
        rows.append(row)
        nearest = np.minimum(nearest, ((points - points[row]) ** 2).sum(axis=1, dtype=np.float64))
    return np.array(rows, dtype=np.intp)


def similar(points: NDArray[np.float32], anchors: NDArray[np.float32]) -> NDArray[np.intp]:
    """Rows of the points (N, D) that any anchor (A, D) finds, highest mean cosine with those that found them first."""
    neighbours = min(NEIGHBOURS, len(points))
    cosines = anchors @ points.T  # (A, N)
    nearest = np.argpartition(-cosines, neighbours - 1, axis=1)[:, :neighbours]
    sums = np.bincount(nearest.ravel(), np.take_along_axis(cosines, nearest, axis=1).ravel(), minlength=len(points))
    times = np.bincount(nearest.ravel(), minlength=len(points))
    rows = np.flatnonzero(times)
    return rows[np.argsort(-sums[rows] / times[rows], kind="stable")]
