"""How good a classifier is on clips that it never saw: UA, WA, macro-F1, recall, confusion, ECE, with intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aftertone_model.evaluation.bootstrap import Basis, Units, scope, units_of
from aftertone_model.evaluation.estimate import Estimate, estimate

ECE_BINS = 15  # equal-width confidence bins, as in Guo et al. 2017


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """What a test set says about a classifier."""

    classes: tuple[str, ...]  # names, in the order of every per-class figure below
    clips: int  # test clips with one clear truth, > 0
    ua: Estimate  # unweighted accuracy: mean recall over the classes that occur, in [0, 1]
    wa: Estimate  # weighted accuracy: share of clips that are right, in [0, 1]
    macro_f1: Estimate  # mean F1 over the classes that occur or are predicted, in [0, 1]
    recall: tuple[float | None, ...]  # per class, in [0, 1]; None where no test clip has it
    confusion: tuple[tuple[int, ...], ...]
    """Counts: (C, C) with a row per true and a column per predicted class; of independent classes (C, 4): true
    negatives, false positives, false negatives, true positives of each."""
    ece: float  # expected calibration error over 15 bins, in [0, 1]
    basis: Basis = "clips"  # what intervals were made from; by "clips" they say nothing about new speakers
    speakers: int | None = None  # voices tested; None where not all are known, and in records of older versions

    @property
    def scope(self) -> str:
        """For whom the intervals hold, for people."""
        return scope(self.basis, self.speakers)

    @property
    def summary(self) -> str:
        """The main figures, for people."""
        return f"UA {self.ua.written(3)}, WA {self.wa.value:.3f}"


def measure(
    truth: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    *,
    speakers: Sequence[str | None] | None = None,
    seed: int = 0,
    files: Sequence[str] | None = None,
) -> Metrics:
    """Every metric on one test set.

    Intervals are made from speakers when all are known and there are five or more, since clips of one speaker are
    right or wrong together; otherwise from clips, and then they hold for more clips of these voices alone.

    Args:
        truth: (N,) class index per clip, N > 0.
        probabilities: (N, C), rows summing to 1.
        classes: C names.
        speakers: (N,) who speaks, where known.
        files: (N,) what each clip is a segment of; None where they are files.

    Raises:
        ValueError: no clips, or shapes that don't fit.
    """
    if len(truth) == 0:
        raise ValueError("a test set without clips can't be measured")
    if probabilities.shape != (len(truth), len(classes)):
        raise ValueError(f"{len(truth)} clips and {len(classes)} classes, but probabilities {probabilities.shape}")
    # Here and not above: those who only read records, such as a server at its start, don't wait for scikit-learn.
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

    predicted = probabilities.argmax(axis=1)  # (N,)
    confusion = confusion_matrix(truth, predicted, labels=np.arange(len(classes)))  # (C, C)
    cells = truth * len(classes) + predicted
    units = units_of(speakers, len(truth), files)
    replicates = _resampled(cells, len(classes) ** 2, units, seed).reshape(-1, len(classes), len(classes))  # (R, C, C)
    support = confusion.sum(axis=1)
    occurring = np.flatnonzero(support)  # UA averages over these, as scikit-learn's balanced accuracy does
    ua = confusion[occurring, occurring] / support[occurring]
    return Metrics(
        classes=tuple(classes),
        clips=len(truth),
        ua=_estimate(float(ua.mean()), _ua(replicates), units),
        wa=_estimate(float(accuracy_score(truth, predicted)), _wa(replicates), units),
        macro_f1=_estimate(float(f1_score(truth, predicted, average="macro")), _f1(replicates), units),
        recall=tuple(float(confusion[c, c] / n) if n else None for c, n in enumerate(support)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        ece=calibration_error(truth, probabilities),
        basis=units.basis,
        speakers=units.speakers,
    )


def measure_independent(
    truth: NDArray[np.bool_],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    *,
    speakers: Sequence[str | None] | None = None,
    seed: int = 0,
    files: Sequence[str] | None = None,
) -> Metrics:
    """The same for classes that don't exclude each other: each a yes-or-no question, figures averaged over them.

    UA is the mean of the recalls of yes and no, WA the share of answers that are right, F1 that of yes.

    Args:
        truth: (N, C), N > 0.
        probabilities: (N, C) of yes.
    """
    predicted = probabilities >= 0.5
    units = units_of(speakers, len(truth), files)
    questions = [
        _resampled(2 * truth[:, c] + predicted[:, c], 4, units, seed).reshape(-1, 2, 2) for c in range(len(classes))
    ]
    replicates = np.stack(questions)  # (C, R, 2, 2)
    cells = [np.bincount(2 * truth[:, c] + predicted[:, c], minlength=4) for c in range(len(classes))]
    counts = np.stack(cells).reshape(-1, 1, 2, 2).astype(np.float64)  # (C, 1, 2, 2)
    yes = [float(question[0, 1].sum()) for question in counts]
    return Metrics(
        classes=tuple(classes),
        clips=len(truth),
        ua=_averaged(_ua, counts, replicates, units),
        wa=_averaged(_wa, counts, replicates, units),
        macro_f1=_averaged(_f1_of_yes, counts, replicates, units),
        recall=tuple(float(question[0, 1, 1] / n) if n else None for question, n in zip(counts, yes, strict=True)),
        confusion=tuple(tuple(int(count) for count in question.ravel()) for question in counts),
        ece=calibration_error(
            truth.ravel().astype(np.intp), np.stack([1 - probabilities, probabilities], axis=-1).reshape(-1, 2)
        ),
        basis=units.basis,
        speakers=units.speakers,
    )


def calibration_error(truth: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Expected calibration error: |accuracy − mean confidence| over equal-width bins, weighted by their clips.

    Source: Guo et al. 2017 (arXiv 1706.04599), eq. 3.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == truth).astype(np.float64)
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)  # (low, high] as in the paper
    gaps = np.bincount(bins, right - confidence, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(truth))


def _resampled(cells: NDArray, count: int, units: Units, seed: int) -> NDArray[np.float64]:
    """(R, count) how often each of `count` cells of a table (N,) occurs in bootstrap replicates."""
    by_unit = np.bincount(units.of_clip * count + cells, minlength=units.count * count).reshape(-1, count)  # (U, count)
    return units.draws(seed) @ by_unit


def _averaged(figure: Callable[[NDArray], NDArray], counts: NDArray, replicates: NDArray, units: Units) -> Estimate:
    """Of a figure of 2 x 2 tables, its mean over the classes."""
    each = np.stack([figure(question) for question in counts])  # (C, 1)
    return _estimate(float(each.mean()), np.stack([figure(question) for question in replicates]).mean(axis=0), units)


def _f1_of_yes(confusion: NDArray) -> NDArray:
    hits = confusion[:, 1, 1]
    return 2 * hits / np.maximum(2 * hits + confusion[:, 0, 1] + confusion[:, 1, 0], 1)


def _ua(confusion: NDArray) -> NDArray:
    support = confusion.sum(axis=2)  # (R, C)
    hits = confusion.diagonal(axis1=1, axis2=2)
    return _mean_where(hits / np.maximum(support, 1), support > 0)


def _wa(confusion: NDArray) -> NDArray:
    return confusion.diagonal(axis1=1, axis2=2).sum(axis=1) / confusion.sum(axis=(1, 2))


def _f1(confusion: NDArray) -> NDArray:
    hits = confusion.diagonal(axis1=1, axis2=2)
    touched = confusion.sum(axis=1) + confusion.sum(axis=2)  # (R, C)
    return _mean_where(2 * hits / np.maximum(touched, 1), touched > 0)


def _mean_where(values: NDArray, present: NDArray) -> NDArray:
    return (values * present).sum(axis=1) / present.sum(axis=1)


def _estimate(value: float, replicates: NDArray, units: Units) -> Estimate:
    return estimate(value, replicates, units, least=0, most=1, clips=len(units.of_clip))
