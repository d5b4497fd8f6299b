"""Greedy sampling for regression: clips far from every labelled one in what they are and in how they are rated."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances

from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked

CHUNK = 512  # labelled clips whose distances are held at once


def rank_by_greedy_sampling(inputs: Inputs, k: int, _rng: np.random.Generator) -> Ranked:
    """Again and again the clip whose smallest distance from a labelled one is the largest.

    The distance of two clips is that of their embeddings times that of their ratings in each dimension; a clip without
    a label counts with the ratings predicted for it, and so does a pick from then on. Without any label the first pick
    is the clip nearest to the pool's mean. Scores are the smallest distance: of a pick when it was picked, of the
    others once all were.

    Source: improved greedy sampling, Wu, Lin, Huang 2019 (arXiv 1808.04245); several dimensions as in its multi-task
    form, Wu, Huang 2019 (arXiv 1808.04244).
    """
    points = np.asarray(inputs.require(Requires.EMBEDDINGS), np.float64)  # (N, D)
    ratings = np.asarray(inputs.require(Requires.RATINGS), np.float64)  # (N, R)
    known = inputs.known()
    nearest = np.full(len(points), np.inf)
    for start in range(0, len(known.embeddings), CHUNK):
        rows = slice(start, start + CHUNK)
        distances = _distances(points, ratings, known.embeddings[rows], known.labels[rows])  # (N, M)
        nearest = np.minimum(nearest, distances.min(axis=1))
    if len(known.embeddings) == 0:
        pick = int(np.argmin(np.square(points - points.mean(axis=0)).sum(axis=1)))
    else:
        pick = int(np.argmax(nearest))
    scores, picks = np.zeros(len(points)), np.empty(k, np.intp)
    for done in range(k):
        picks[done], scores[pick] = pick, nearest[pick]
        nearest = np.minimum(nearest, _distances(points, ratings, points[[pick]], ratings[[pick]])[:, 0])
        nearest[picks[: done + 1]] = -1  # never again
        pick = int(np.argmax(nearest))
    others = nearest >= 0
    scores[others] = nearest[others]
    most = scores[np.isfinite(scores)].max(initial=0.0)
    return Ranked.picks_first(picks, np.where(np.isfinite(scores), scores, most), k)  # a first pick without a label


def _distances(
    points: NDArray[np.float64], ratings: NDArray[np.float64], others: NDArray[np.floating], given: NDArray[np.floating]
) -> NDArray[np.float64]:
    """(N, M) between clips (N, D) rated (N, R) and others (M, D) rated (M, R)."""
    found = pairwise_distances(points, np.asarray(others, np.float64))
    for column in range(ratings.shape[1]):
        found *= np.abs(ratings[:, column, None] - given[None, :, column])
    return found
