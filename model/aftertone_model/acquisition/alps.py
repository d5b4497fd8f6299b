"""ALPS: clusters of what surprises the adapted backbone. Needs no label and no classifier."""

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.clustering import kmeans
from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked


def rank_by_alps(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """k-means on L2-normalised surprisal profiles; the clip nearest to each of the k centres, largest cluster first.

    Clips too short to be masked (negative rows) stand at the median of the others. Clips that nothing surprises (rows
    of zeros) stand at the origin, as far from every direction. Scores are minus the distance to the own centre; the
    rest of the pool follows cluster by cluster in turns.

    Source: Yuan, Lin, Boyd-Graber, arXiv 2010.09535. For what a surprisal profile of audio is, see
    `aftertone_model.pretraining.masked_loss_profiles`.
    """
    profiles = np.asarray(inputs.require(Requires.SURPRISAL), dtype=np.float64)  # (N, B)
    measured: NDArray[np.bool_] = profiles.min(axis=1) >= 0  # (N,)
    points: NDArray[np.float64] = profiles * measured[:, None]
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    np.divide(points, np.where(norms > 0, norms, 1), out=points)
    if measured.any():
        points[~measured] = np.median(points[measured], axis=0)
    clustering = kmeans(points, k, rng)
    return Ranked(order=clustering.interleaved(), k=k, scores=-clustering.distances, clusters=clustering.labels)
