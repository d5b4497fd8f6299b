"""Strategies that spread their picks over k-means clusters, with or without uncertainty."""

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.clustering import kmeans
from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked
from aftertone_model.acquisition.uncertainty import answer_entropy, answer_margin

ENTROPY_SHORTLIST = 10  # uncertain clips per pick that go into the clustering: Zhdanov's beta
MARGIN_SHORTLIST = 4  # the same for margins; ours
MOST_SHORTLISTED = 0.5  # share of the candidates; a shortlist that is the pool lets uncertainty choose nothing
LEAST_WEIGHT = 1e-6  # nats; a clip without any entropy still counts as a point


def rank_by_kmeans(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """k clusters, the clip nearest to each centre, largest cluster first; then each cluster's second nearest, …

    "wav2vec 2.0 & clustering" of AFTER (arXiv 2310.00283 §3.1.2). Scores are minus the distance to the own centre.
    """
    clustering = kmeans(inputs.require(Requires.EMBEDDINGS), k, rng)
    return Ranked(order=clustering.interleaved(), k=k, scores=-clustering.distances, clusters=clustering.labels)


def rank_by_entropy_and_clusters(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """The 10 k most uncertain clips, at most half of all, in k clusters with entropy as weight; one of each cluster.

    Source: Zhdanov, arXiv 1901.05954, algorithm 1, with entropy in place of margin. Not AFTER's "Entropy+Clustering",
    which is plain entropy after a clustered seed set.
    """
    entropies = answer_entropy(inputs)
    rows = shortlist(entropies, ENTROPY_SHORTLIST, k)
    return one_per_cluster(inputs, entropies, rows, k, rng, weights=np.maximum(entropies[rows], LEAST_WEIGHT))


def rank_by_margin_and_clusters(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """The 4 k smallest margins, at most half of all, in k clusters; one of each.

    After the idea of ClusterMargin, Citovsky et al., arXiv 2107.14263: small margins, spread over clusters.
    """
    margins = answer_margin(inputs)
    return one_per_cluster(inputs, margins, shortlist(margins, MARGIN_SHORTLIST, k), k, rng)


def shortlist(scores: NDArray[np.float64], per_pick: int, k: int) -> NDArray[np.intp]:
    """Ascending rows of the highest scores: `per_pick` times k, at most half of all, at least k."""
    size = max(k, min(per_pick * k, int(MOST_SHORTLISTED * len(scores))))
    return np.sort(np.argsort(-scores, kind="stable")[:size])


def one_per_cluster(
    inputs: Inputs,
    scores: NDArray[np.float64],
    rows: NDArray[np.intp],
    k: int,
    rng: np.random.Generator,
    *,
    weights: NDArray[np.float64] | None = None,
) -> Ranked:
    """Those rows in k clusters; the clip nearest to each centre, highest score first, and then the rest by score.

    Rows off the shortlist carry the number of clusters as their cluster: none.
    """
    clustering = kmeans(inputs.require(Requires.EMBEDDINGS)[rows], k, rng, weights=weights)
    nearest = rows[clustering.interleaved()[: clustering.count]]
    clusters = np.full(len(scores), clustering.count, dtype=np.intp)
    clusters[rows] = clustering.labels
    return Ranked.picks_first(nearest[np.argsort(-scores[nearest], kind="stable")], scores, k, clusters=clusters)
