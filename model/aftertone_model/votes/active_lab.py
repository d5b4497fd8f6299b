"""Where the next vote is worth most: another opinion on a labelled clip, or a first one on a new clip (ActiveLab)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

NO_VOTE = -1
LEAST = 1e-6  # a weight is at least this; also the least error that others are measured by
SMALLEST = 1e-30  # of a probability before its logarithm is taken
TEMPERATURES = (0.1, 0.2, 0.5, 0.8, 1.0, 2.0, 3.0, 5.0, 8.0)  # tried first; then steps between the best's neighbours
STEPS = 4


@dataclass(frozen=True, kw_only=True)
class VoteScores:
    """How sure each clip's label is, on one scale; the lowest is worth the next vote."""

    labelled: NDArray[np.float64]  # (N,) in [0, 1]
    unlabelled: NDArray[np.float64]  # (U,) in [0, 1]


@dataclass(frozen=True, kw_only=True)
class NextVotes:
    """Whom to ask about next, both most urgent first."""

    again: tuple[str, ...]  # labelled clips that should get another vote
    new: tuple[str, ...]  # clips without a vote


def active_lab(
    votes: NDArray[np.integer], probabilities: NDArray[np.floating], unlabelled: NDArray[np.floating]
) -> VoteScores:
    """Score labelled and unlabelled clips by how much is known of their class.

    A labelled clip's score averages the quality of its consensus, weighed by its annotators and the model, with 1/C,
    weighed as one more annotator; an unlabelled clip has the model alone. Annotators and model weigh by how much
    better they are than always saying the commonest class. Where no clip has two votes all weigh alike.

    Source: Goh & Mueller 2023 (arXiv 2301.11856); the consensus and weights are those of CROWDLAB (Goh,
    Tkachenko & Mueller 2022, arXiv 2210.06812). A tie that neither the model nor the votes' rarer
    class decides goes to the first class, where the authors' code draws.

    Args:
        votes: (N, A) class that each annotator gave, NO_VOTE where none; at least one in each row.
        probabilities: (N, C) of the model, from trainings without the clip's own label.
        unlabelled: (U, C) of the model.
    """
    classes = unlabelled.shape[1] if unlabelled.size else probabilities.shape[1]
    if len(votes) == 0:
        return VoteScores(labelled=np.empty(0), unlabelled=_averaged(unlabelled.max(axis=1), 1.0, 1.0, classes))
    given = votes != NO_VOTE  # (N, A)
    counts = np.stack([(votes == c).sum(axis=1) for c in range(classes)], axis=1)  # (N, C)
    several = given.sum(axis=1) > 1
    if several.any():
        temperature = _temperature(counts, probabilities)
        probabilities, unlabelled = _scaled(probabilities, temperature), _scaled(unlabelled, temperature)
        consensus = _majority(counts, probabilities)
        posterior, *_ = _crowdlab(votes, counts, probabilities, consensus)
        best = posterior == posterior.max(axis=1, keepdims=True)
        consensus = np.where(best.sum(axis=1) == 1, posterior.argmax(axis=1), consensus)
        posterior, model, annotators = _crowdlab(votes, counts, probabilities, consensus)
        quality = posterior[np.arange(len(votes)), consensus]
    else:
        unlabelled = _scaled(unlabelled, 1.0)
        quality = probabilities[np.arange(len(votes)), _majority(counts, probabilities)].astype(np.float64)
        model, annotators = 1.0, np.ones(votes.shape[1])
    one_more = float(annotators.mean())
    known = given @ annotators + model  # (N,)
    return VoteScores(
        labelled=_averaged(quality, known, one_more, classes),
        unlabelled=_averaged(unlabelled.max(axis=1, initial=0.0), model, one_more, classes),
    )


def next_votes(
    scores: VoteScores, labelled: Sequence[str], unlabelled: Sequence[str], k: int, full: NDArray[np.bool_]
) -> NextVotes:
    """The k clips whose next vote is worth most, one vote each; ties go to new clips, then by place.

    Nothing in the backend asks for it yet: Label Studio serves a clip that has its votes again only where the project
    asks for several annotations a task.

    Args:
        scores: of these clips.
        labelled: N ids.
        unlabelled: U ids.
        k: votes, >= 0; fewer are chosen where clips run out.
        full: (N,) which labelled clips can't be asked for again, since every annotator has answered.
    """
    rows = [row for row in range(len(labelled)) if not full[row]]
    ids = [*unlabelled, *(labelled[row] for row in rows)]
    values = np.concatenate([scores.unlabelled, scores.labelled[rows]])
    chosen = np.argsort(values, kind="stable")[:k]
    first = len(unlabelled)
    return NextVotes(
        again=tuple(ids[row] for row in chosen if row >= first), new=tuple(ids[row] for row in chosen if row < first)
    )


def _averaged(
    quality: NDArray[np.floating], known: NDArray[np.float64] | float, one_more: float, classes: int
) -> NDArray[np.float64]:
    return (quality.astype(np.float64) * known + one_more / classes) / (known + one_more)


def _crowdlab(
    votes: NDArray[np.integer], counts: NDArray, probabilities: NDArray[np.float64], consensus: NDArray[np.integer]
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Class probabilities (N, C) after the votes, the model's weight and the annotators' (A,)."""
    given = votes != NO_VOTE
    number = given.sum(axis=1)  # (N,)
    several = number > 1
    classes = probabilities.shape[1]
    agreement = (votes == consensus[:, None]).sum(axis=1) / number
    right = float(agreement[several].mean())
    wrong = (1 - right) / (classes - 1)
    shared = consensus[several]
    baseline = max(float((shared != np.bincount(shared, minlength=classes).argmax()).mean()), LEAST)
    annotators = np.maximum(1 - (1 - _agreement_with_others(votes, counts)) / baseline, LEAST)
    errors = float((probabilities[several].argmax(axis=1) != shared).mean())
    model = max(1 - errors / baseline, LEAST) * float(np.sqrt(number.mean()))
    weighed = np.stack([((votes == c) * annotators).sum(axis=1) for c in range(classes)], axis=1)  # (N, C)
    total = given @ annotators  # (N,)
    told = weighed * right + (total[:, None] - weighed) * wrong
    return (probabilities * model + told) / (total + model)[:, None], model, annotators


def _agreement_with_others(votes: NDArray[np.integer], counts: NDArray) -> NDArray[np.float64]:
    """(A,) of each annotator's votes on shared clips, the share of other votes that are the same; the mean of all
    annotators where one shares no clip."""
    found = np.full(votes.shape[1], np.nan)
    for annotator, column in enumerate(votes.T):
        rows = np.flatnonzero(column != NO_VOTE)
        others = counts[rows].sum(axis=1) - 1
        if others.sum() > 0:
            found[annotator] = (counts[rows, column[rows]] - 1).sum() / others.sum()
    return np.where(np.isnan(found), np.nanmean(found), found)


def _majority(counts: NDArray, probabilities: NDArray[np.floating]) -> NDArray[np.intp]:
    """(N,) class with most votes; of those that tie the likeliest, then the one with fewest votes everywhere."""
    top = counts == counts.max(axis=1, keepdims=True)
    likely = np.where(top, probabilities, -np.inf)
    top = likely == likely.max(axis=1, keepdims=True)
    return np.where(top, counts.sum(axis=0), np.inf).argmin(axis=1)


def _scaled(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    return softmax(np.log(np.clip(probabilities, SMALLEST, None)) / temperature, axis=1)


def _temperature(counts: NDArray, probabilities: NDArray[np.floating]) -> float:
    """Under which the model's probabilities are nearest to the shares of votes."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    logs = np.log(np.clip(probabilities, SMALLEST, None))

    def loss(temperature: float) -> float:
        return -float((shares * log_softmax(logs / temperature, axis=1)).sum(axis=1).mean())

    def best(tried: Sequence[float]) -> int:
        return int(np.argmin([loss(temperature) for temperature in tried]))

    around = best(TEMPERATURES)
    finer: list[float] = []
    if around > 0:
        finer += np.linspace(TEMPERATURES[around - 1], TEMPERATURES[around], STEPS, endpoint=False).tolist()
    if around < len(TEMPERATURES) - 1:
        finer += np.linspace(TEMPERATURES[around], TEMPERATURES[around + 1], STEPS + 1).tolist()
    return finer[best(finer)]
