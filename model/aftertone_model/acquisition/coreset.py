"""CoreSet: clips chosen so that no clip of the pool is far from all labelled ones."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin_min

from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked


def rank_by_coreset(inputs: Inputs, k: int, _rng: np.random.Generator) -> Ranked:
    """Greedy k-centre: again and again the clip furthest from all labelled ones and all picks.

    Without any label the first pick is the clip nearest to the pool's mean. Scores are the distance to the nearest
    labelled clip or pick: of a pick when it was picked, of the others once all were.

    Source: Sener, Savarese, arXiv 1708.00489, algorithm 1.
    """
    embeddings = np.asarray(inputs.require(Requires.EMBEDDINGS), dtype=np.float32)  # (N, D)
    centred = embeddings - embeddings.mean(axis=0)  # products of short vectors round less
    squares = np.einsum("nd,nd->n", centred, centred)  # (N,)
    known = inputs.known().embeddings  # (M, D)
    if len(known):
        nearest = pairwise_distances_argmin_min(embeddings, np.asarray(known, dtype=np.float32))[1] ** 2
        pick = int(np.argmax(nearest))
    else:
        pick = int(np.argmin(squares))
        nearest = squared_distances(centred, squares, pick)
        nearest[pick] = nearest.max()
    scores, picks = np.empty(len(centred)), np.empty(k, dtype=np.intp)
    for done in range(k):
        picks[done], scores[pick] = pick, np.sqrt(nearest[pick])
        nearest = np.minimum(nearest, squared_distances(centred, squares, pick))
        nearest[picks[: done + 1]] = -1  # never again
        pick = int(np.argmax(nearest))
    others = nearest >= 0
    scores[others] = np.sqrt(nearest[others])
    return Ranked.picks_first(picks, scores, k)


def squared_distances(points: NDArray[np.float32], squares: NDArray[np.float32], row: int) -> NDArray[np.float64]:
    """(N,) from each of the points (N, D), whose squared norms are given, to one of them; >= 0."""
    return np.maximum(squares + squares[row] - 2 * (points @ points[row]), 0).astype(np.float64)
