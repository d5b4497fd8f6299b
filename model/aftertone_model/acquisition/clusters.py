"""Strategies that spread their picks over k-means clusters, with or without uncertainty."""

import numpy as np

from aftertone_model.acquisition.clustering import kmeans
from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked
from aftertone_model.acquisition.uncertainty import answer_entropy

SHORTLIST = 10  # uncertain clips per pick that go into the clustering: Zhdanov's beta
LEAST_WEIGHT = 1e-6  # nats; a clip without any entropy still counts as a point


def rank_by_kmeans(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """k clusters, the clip nearest to each centre, largest cluster first; then each cluster's second nearest, …

    "wav2vec 2.0 & clustering" of AFTER (arXiv 2310.00283 §3.1.2). Scores are minus the distance to the own centre.
    """
    clustering = kmeans(inputs.require(Requires.EMBEDDINGS), k, rng)
    return Ranked(order=clustering.interleaved(), k=k, scores=-clustering.distances, clusters=clustering.labels)


def rank_by_entropy_and_clusters(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """The 10 k most uncertain clips, clustered into k with entropy as weight; the clip nearest to each centre.

    Picks and rest are ordered by entropy. Clips off the shortlist carry the number of clusters as their cluster: none.

    Source: Zhdanov, arXiv 1901.05954, algorithm 1, with entropy in place of margin. Not AFTER's "Entropy+Clustering",
    which is plain entropy after a clustered seed set.
    """
    scores = answer_entropy(inputs)
    shortlist = np.argsort(-scores, kind="stable")[: SHORTLIST * k]
    shortlist.sort()
    weights = np.maximum(scores[shortlist], LEAST_WEIGHT)
    clustering = kmeans(inputs.require(Requires.EMBEDDINGS)[shortlist], k, rng, weights=weights)
    nearest = shortlist[clustering.interleaved()[: clustering.count]]
    clusters = np.full(len(scores), clustering.count, dtype=np.intp)
    clusters[shortlist] = clustering.labels
    return Ranked.picks_first(nearest[np.argsort(-scores[nearest], kind="stable")], scores, k, clusters=clusters)
