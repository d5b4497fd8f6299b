"""Stop advice: does labelling more still pay? A sentence with its reasons, never an automatic stop."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from aftertone_model.evaluation.metrics import Estimate, Metrics
from aftertone_model.evaluation.test_split import shuffled

STOP_SET = 2_000  # clips whose predictions are compared from round to round
WINDOW = 3  # successive rounds that are looked at together (Bloodgood & Vijay-Shanker 2009)
MIN_KAPPA = 0.95  # their .99 is out of reach with noisy emotion labels
MIN_TEST_CLIPS = 50  # test clips; with fewer the interval of UA is so wide that any curve looks flat
MIN_PER_CLASS = 20  # training labels that every class should have before the model is judged


@dataclass(frozen=True, kw_only=True, slots=True)
class Milestone:
    """What one round leaves behind for the advice."""

    labels: int  # clips that the round trained on
    per_class: tuple[float, ...]  # (C,) training labels of each class; soft votes count in parts
    predictions: tuple[int, ...]  # class predicted for each clip of the stop set, in its order
    metrics: Metrics | None  # on the held-out test set; None where no test clip was labelled yet


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """Whether to stop, and why."""

    stop: bool  # every reason speaks for stopping
    sentence: str  # for people: the advice with its reasons
    kappa: float | None  # mean agreement of successive rounds on the stop set, in [-1, 1]; None before WINDOW rounds
    slope: Estimate | None  # change of test UA per 100 labels over the window; None where it can't be told


def stop_set(ids: Iterable[str], *, size: int = STOP_SET, seed: int = 0) -> list[str]:
    """A random choice of clips on which rounds are compared; draw it once per project and keep it."""
    return shuffled(ids, seed)[:size]


def advise(rounds: Sequence[Milestone], classes: Sequence[str]) -> Advice:
    """Look at the last three rounds: do they agree, does UA still improve, is every class represented?

    Agreement is the mean Cohen kappa between successive rounds' predictions on the stop set (Bloodgood &
    Vijay-Shanker 2009). The slope is a weighted least-squares line through the test set's UA over the number of labels.
    Its interval treats the rounds' test sets as independent; they share clips, so it errs on the wide side.

    Args:
        rounds: every published round, oldest first.
        classes: C names, in the order of `Milestone.per_class`.
    """
    recent = rounds[-WINDOW:]
    if len(recent) < WINDOW:
        sentence = f"Keep labelling: advice needs {WINDOW} rounds, there are {len(rounds)}."
        return Advice(stop=False, sentence=sentence, kappa=None, slope=None)
    kappa = float(np.mean([_kappa(a, b) for a, b in pairwise(recent)]))
    slope = _slope(recent)
    scarce = [name for name, count in zip(classes, recent[-1].per_class, strict=True) if count < MIN_PER_CLASS]

    stable = kappa >= MIN_KAPPA
    flat = slope is not None and slope.low <= 0
    reasons = [
        f"the last {WINDOW} rounds {'agree' if stable else 'still disagree'} (kappa {kappa:.2f}, bar {MIN_KAPPA})"
    ]
    if slope is None:
        reasons.append(f"the test set is too small to tell (it needs {MIN_TEST_CLIPS} labelled clips)")
    else:
        value, low, high = (f"{100 * figure:+.1f}" for figure in (slope.value, slope.low, slope.high))
        trend = "no longer improves measurably" if flat else "still improves"
        reasons.append(
            f"UA on the test set {trend} ({value} points of UA per 100 labels, 95 % interval {low} to {high})"
        )
    if scarce:
        reasons.append(f"fewer than {MIN_PER_CLASS} labels for {', '.join(scarce)}")
    else:
        reasons.append(f"every class has at least {MIN_PER_CLASS} labels")
    stop = stable and flat and not scarce
    advice = "More labels will probably change little" if stop else "Keep labelling"
    return Advice(stop=stop, sentence=f"{advice}: {'; '.join(reasons)}.", kappa=kappa, slope=slope)


def _kappa(earlier: Milestone, later: Milestone) -> float:
    """Cohen's kappa; 1 for identical predictions, also where only one class is predicted and kappa is 0/0."""
    if earlier.predictions == later.predictions:
        return 1.0
    return float(cohen_kappa_score(earlier.predictions, later.predictions))


def _slope(rounds: Sequence[Milestone]) -> Estimate | None:
    """Weighted least-squares slope of UA per 100 labels, with its 95 % interval."""
    tested = [r.metrics for r in rounds if r.metrics is not None]
    if len(tested) < len(rounds) or tested[-1].clips < MIN_TEST_CLIPS:
        return None
    labels: NDArray = np.array([r.labels for r in rounds]) / 100
    if np.ptp(labels) == 0:
        return None
    ua = np.array([e.ua.value for e in tested])
    errors = np.array([max((e.ua.high - e.ua.low) / (2 * 1.96), 1e-3) for e in tested])
    weights = errors**-2
    centred = labels - np.average(labels, weights=weights)
    spread = (weights * centred**2).sum()
    value = float((weights * centred * ua).sum() / spread)
    half = float(1.96 / np.sqrt(spread))
    return Estimate(value=value, low=value - half, high=value + half)
