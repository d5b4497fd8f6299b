"""BatchBALD: the batch whose labels together tell the most about the model's parameters."""

import logging

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.bald import conditional_entropy, mutual_information, power_scores
from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.joint_entropy import JointOutcomes
from aftertone_model.acquisition.strategy import Ranked

log = logging.getLogger(__name__)

OUTCOMES = 4_096  # joint outcomes held: all of them for 6 clips of 4 classes, sampled ones beyond
EXHAUSTED = 0.01  # of the largest BALD score; a batch that gains less per clip has nothing left to learn from
ROUNDING = 1e-6  # nats; gains below are rounding of float32
SLACK = 1e-3  # of the largest BALD score; how far sampling may lift a gain above its bound (1e-4 was seen)


def rank_by_batchbald(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """Greedy BatchBALD; once the MC samples are used up, PowerBALD; the rest of the pool by BALD.

    K MC samples hold at most log K nats, which a few times log K clips use up; after that all gains are rounding and
    the order would be arbitrary. How many picks were informed is logged.

    Source: Kirsch, van Amersfoort, Gal, arXiv 1906.08158, algorithm 1; the fallback is arXiv 2106.12059.
    """
    mc = inputs.require(Requires.MC)
    bald = mutual_information(mc)
    picks = greedy_batch(mc, bald, k, rng)
    if len(picks) < k:
        log.info(
            "BatchBALD used up its %d MC samples after %d of %d picks; PowerBALD draws the others.",
            mc.shape[1],
            len(picks),
            k,
            extra={"action": "batchbald_exhausted", "informed": len(picks), "picks": k},
        )
        noisy = power_scores(bald, rng)
        noisy[picks] = -np.inf
        picks = np.concatenate([picks, np.argsort(-noisy, kind="stable")[: k - len(picks)]])
    return Ranked.picks_first(picks, bald, k)


def greedy_batch(
    mc: NDArray[np.floating],
    bald: NDArray[np.float64],
    k: int,
    rng: np.random.Generator,
    *,
    outcomes: int = OUTCOMES,
) -> NDArray[np.intp]:
    """Up to k rows, each adding the most to I(y_S; theta) given those before; fewer when nothing adds to it any more.

    The gain of a clip only shrinks as the batch grows (mutual information is submodular), so its last known gain is an
    upper bound. Candidates are visited by descending bound and the visit ends where no bound reaches the best gain:
    the picks of the plain greedy search for a fraction of its work (Minoux 1978, "lazy greedy").

    Args:
        mc: (N, K, C) class probabilities under K shared MC samples.
        bald: (N,) the BALD scores, i.e. each clip's gain to the empty batch.
        outcomes: how many joint outcomes to hold; time grows with it, sampling noise falls with its square root.
    """
    conditional = conditional_entropy(mc)  # (N,)
    joint = JointOutcomes(mc.shape[1], outcomes, rng)
    bounds = bald.copy()
    largest = bald.max()
    picks: list[int] = []
    while len(picks) < k:
        best, best_gain = -1, -np.inf
        by_bound = np.argsort(-bounds, kind="stable")[: len(bounds) - len(picks)]
        visited, step = 0, 64
        while visited < len(by_bound) and bounds[by_bound[visited]] + SLACK * largest > best_gain:
            rows = np.sort(by_bound[visited : visited + step])
            bounds[rows] = joint.entropies(mc[rows]) - conditional[rows]
            leader = rows[np.argmax(bounds[rows])]
            if bounds[leader] > best_gain:
                best, best_gain = int(leader), bounds[leader]
            visited, step = visited + len(rows), min(2 * step, 4_096)
        if best_gain <= max(EXHAUSTED * largest, ROUNDING):
            break
        picks.append(best)
        bounds[best] = -np.inf
        joint.add(mc[best])
    return np.array(picks, dtype=np.intp)
