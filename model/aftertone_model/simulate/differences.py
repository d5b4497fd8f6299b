"""How sure a difference between two conditions is: paired by run, and clustered by the speakers tested on."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from aftertone_model.simulate.intervals import CONFIDENCE, Interval

Confusions = Mapping[str, list[list[int]]]
"""Speaker -> (C, C) counts of test clips, a row per true and a column per predicted class."""

Figure = Callable[[NDArray[np.float64]], float]


def confusions_by_speaker(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], speakers: Sequence[str], classes: Sequence[str]
) -> dict[str, list[list[int]]]:
    """What a test set says, kept small enough to be stored with every cell."""
    names = np.array(speakers)
    size = len(classes)
    found = {}
    for name in sorted(set(speakers)):
        of_speaker = names == name
        cells = np.bincount(truth[of_speaker] * size + predicted[of_speaker], minlength=size * size)
        found[name] = cells.reshape(size, size).tolist()
    return found


def ua(confusion: NDArray[np.float64]) -> float:
    """Mean recall over the classes that occur, of counts (C, C)."""
    support = confusion.sum(axis=1)
    return float((confusion.diagonal()[support > 0] / support[support > 0]).mean())


def macro_f1(confusion: NDArray[np.float64]) -> float:
    """Mean F1 over the classes that occur or are predicted, of counts (C, C)."""
    touched = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float((2 * confusion.diagonal()[touched > 0] / touched[touched > 0]).mean())


FIGURES: Mapping[str, Figure] = {"ua": ua, "macro_f1": macro_f1}


def clustered(ours: Sequence[Confusions], theirs: Sequence[Confusions], figure: Figure) -> Interval:
    """Mean difference (ours less theirs) over paired runs, with Student's 95 % interval.

    The variance is clustered two ways: runs differ in seed, and a speaker is tested on in several runs. Speakers count
    by the jackknife, which leaves each out of both conditions. Degrees of freedom are those of the fewer clusters.

    Source: Cameron, Gelbach & Miller 2011, "Robust inference with multiway clustering".

    Args:
        ours, theirs: R runs in the same order; each pair of runs has the same test clips.
    """
    names = sorted({speaker for run in ours for speaker in run})
    number = {name: row for row, name in enumerate(names)}
    influence = np.zeros((len(names), len(ours)))  # (G, R) what each speaker in each run adds to the error
    inside = np.zeros((len(names), len(ours)), bool)
    values = np.zeros(len(ours))
    for run, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        rows = [number[name] for name in mine]
        first, second = (np.array([run_of[name] for name in mine], np.float64) for run_of in (mine, other))  # (S, C, C)
        values[run] = figure(first.sum(axis=0)) - figure(second.sum(axis=0))
        inside[rows, run] = True
        if len(rows) > 1:
            without = [figure(a) - figure(b) for a, b in zip(_others(first), _others(second), strict=True)]
            left = np.array(without) - np.mean(without)  # (S,)
            influence[rows, run] = -(len(rows) - 1) / len(rows) * left
    mean = float(values.mean())
    influence += np.where(inside, (values - mean) / inside.sum(axis=0), 0.0)
    influence /= len(ours)
    variances, clusters = [], []
    if len(names) > 1:
        variances.append(_clustered_variance(influence.sum(axis=1)))
        clusters.append(len(names))
    if len(ours) > 1:
        variances.append(_clustered_variance(influence.sum(axis=0)))
        clusters.append(len(ours))
    if not variances:
        return Interval(mean=mean, low=np.nan, high=np.nan)
    both = sum(variances) - float((influence**2).sum()) if len(variances) == 2 else 0.0
    half = float(student.ppf((1 + CONFIDENCE) / 2, min(clusters) - 1) * np.sqrt(max(*variances, both)))
    return Interval(mean=mean, low=mean - half, high=mean + half)


def _others(confusions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, C, C) of all speakers but one."""
    return confusions.sum(axis=0) - confusions


def _clustered_variance(sums: NDArray[np.float64]) -> float:
    return float((sums**2).sum() * len(sums) / (len(sums) - 1))
