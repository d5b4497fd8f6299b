"""CoreSet: clips chosen so that no clip of the pool is far from all labelled ones."""

import numpy as np

from aftertone_model.acquisition.distances import SquaredDistances, furthest_first
from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked


def rank_by_coreset(inputs: Inputs, k: int, _rng: np.random.Generator) -> Ranked:
    """Greedy k-centre: again and again the clip furthest from all labelled ones and all picks.

    Without any label the first pick is the clip nearest to the pool's mean. Scores are the distance to the nearest
    labelled clip or pick: of a pick when it was picked, of the others once all were.

    Source: Sener, Savarese, arXiv 1708.00489, algorithm 1.
    """
    pool = SquaredDistances(inputs.require(Requires.EMBEDDINGS))
    known = inputs.known().embeddings
    nearest = np.full(inputs.candidates, np.inf)
    if len(known):
        pool.lower(nearest, known)
        picks, distances = furthest_first(pool, nearest, k)
    else:
        first = int(np.argmin(pool.squares))
        pool.lower(nearest, pool.points[[first]])
        furthest, nearest[first] = nearest.max(), -1
        others, distances = furthest_first(pool, nearest, k - 1)
        picks, distances = np.append(first, others), np.append(furthest, distances)
    nearest[picks] = distances
    return Ranked.picks_first(picks, np.sqrt(nearest), k)
