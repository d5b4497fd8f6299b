"""Greedy sampling for regression: clips far from every labelled one in what they are and in how they are rated."""

import numpy as np

from aftertone_model.acquisition.distances import SquaredDistances, furthest_first
from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked


def rank_by_greedy_sampling(inputs: Inputs, k: int, _rng: np.random.Generator) -> Ranked:
    """Again and again the clip whose smallest distance from a labelled one is the largest.

    The distance of two clips is that of their embeddings times that of their ratings in each dimension; a clip without
    a label counts with the ratings predicted for it, and so does a pick from then on. Without any label the first pick
    is the clip nearest to the pool's mean. Scores are the smallest distance: of a pick when it was picked, of the
    others once all were.

    Source: improved greedy sampling, Wu, Lin, Huang 2019 (arXiv 1808.04245); several dimensions as in its multi-task
    form, Wu, Huang 2019 (arXiv 1808.04244).
    """
    ratings, known = inputs.require(Requires.RATINGS), inputs.known()
    pool = SquaredDistances(inputs.require(Requires.EMBEDDINGS), ratings)
    nearest = np.full(inputs.candidates, np.inf)
    if len(known.embeddings):
        pool.lower(nearest, known.embeddings, known.labels)
        picks, distances = furthest_first(pool, nearest, k)
    else:
        first = int(np.argmin(pool.squares))
        pool.lower(nearest, pool.points[[first]], ratings[[first]])
        nearest[first] = -1
        others, distances = furthest_first(pool, nearest, k - 1)
        most = max(distances.max(initial=0.0), nearest.max(initial=0.0))
        picks, distances = np.append(first, others), np.append(most, distances)
    nearest[picks] = distances
    return Ranked.picks_first(picks, np.sqrt(nearest), k)
