"""DIRECT: for each class find where its scores stop meaning it, and ask there. Finds clips of rare classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked

ROUNDING = 1e-9  # cuts whose agreement with the labels differs by less agree equally


def rank_by_direct(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """Classes take turns, the rarest first: a clip near the class's best cut, then one of where the cut may be.

    For each class all clips stand in one row, the surest of that class first. The best cut is the place with the most
    labelled clips of the class before it and others behind it; a soft label counts in parts. Half of a class's clips
    are those around the cut, half are drawn from the interval between the labels that leave no doubt.

    Scores are minus the number of clips between a clip and the nearest cut of a class, as a share of all.

    Source: Nuggehalli, Zhang, Jain, Nowak, arXiv 2312.09196, and the authors' code (in LabelBench) for the order of
    the clips.
    """
    known, size = inputs.known(), inputs.candidates
    probabilities = np.concatenate([inputs.require(Requires.PROBABILITIES), known.predictions])  # (N + M, C)
    votes = np.concatenate(
        [np.zeros((size, known.labels.shape[1])), 2 * known.labels.astype(np.float64) - 1]
    )  # 1: of the class, -1: not
    scores = np.full(size, -np.inf)
    queues: list[NDArray[np.intp]] = []
    for column in np.argsort(known.labels.sum(axis=0), kind="stable"):
        order = by_confidence(probabilities, int(column), inputs.exclusive)
        ordered = votes[order, column]
        cut, (first, last) = best_cut(ordered), doubtful(ordered)
        places = np.flatnonzero(order < size)  # of the candidates in the row
        away = np.abs(places + 0.5 - cut)
        scores[order[places]] = np.maximum(scores[order[places]], -away / len(order))
        near = order[places[np.argsort(away, kind="stable")[:k]]]
        inside = places[(places >= first) & (places < last)]
        drawn = order[rng.permutation(inside)[:k]]
        queues.append(alternate(near, drawn))
    return Ranked.picks_first(in_turns(queues, k), scores, k)


def by_confidence(probabilities: NDArray[np.floating], column: int, exclusive: bool) -> NDArray[np.intp]:
    """(N,) rows, surest of a class first.

    Where classes exclude each other: rows whose likeliest class it is by their probability, then the others by how much
    their likeliest class is ahead of it.
    """
    own = probabilities[:, column]
    if not exclusive:
        return np.argsort(-own, kind="stable")
    return np.lexsort((-own, probabilities.max(axis=1) - own))


def best_cut(votes: NDArray[np.float64]) -> int:
    """The cut 0..N, so many of the votes (N,) being before it, that agrees best with them; of equal ones the middle."""
    before = np.concatenate([[0.0], np.cumsum(votes)])
    agreement = 2 * before - before[-1]  # sum before the cut less the sum behind it
    equal = np.flatnonzero(agreement >= agreement.max() - ROUNDING)
    return int(equal[len(equal) // 2])


def doubtful(votes: NDArray[np.float64]) -> tuple[int, int]:
    """Start and end of what lies behind the labels at the start that are all for, before those at the end all against.

    0 and N where there are no such labels.
    """
    start, end = 0, len(votes)
    told = np.flatnonzero(votes)
    against, agreed = told[votes[told] < 0], told[votes[told] > 0]
    sure = agreed[agreed < against[0]] if len(against) else agreed
    if len(sure):
        start = int(sure[-1]) + 1
    unsure = against[against > agreed[-1]] if len(agreed) else against
    if len(unsure):
        end = int(unsure[0])
    return start, end


def alternate(first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.intp]:
    """One of the first, one of the second, and so on; the longer one's tail at the end. Repetitions stay."""
    turns = np.concatenate([np.arange(len(first)), np.arange(len(second))])
    return np.concatenate([first, second])[np.argsort(turns, kind="stable")]


def in_turns(queues: Sequence[NDArray[np.intp]], k: int) -> NDArray[np.intp]:
    """Up to k distinct rows: each queue in its turn gives its next one that nobody has given."""
    picks: dict[int, None] = {}
    waiting = [iter(queue.tolist()) for queue in queues]
    while waiting and len(picks) < k:
        for queue in list(waiting):
            row = next((row for row in queue if row not in picks), None)
            if row is None:
                waiting.remove(queue)
            elif len(picks) < k:
                picks[row] = None
    return np.array(list(picks), dtype=np.intp)
