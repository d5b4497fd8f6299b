"""Stop advice: does labelling more still pay? A sentence with its reasons, never an automatic stop."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from aftertone_model.evaluation.held_out import MIN_COMPARED, MIN_TEST_CLIPS, HeldOut, Milestone, Slope, Trend
from aftertone_model.evaluation.test_split import shuffled

STOP_SET = 2_000  # clips whose predictions are compared from round to round
WINDOW = 3  # successive rounds that must agree (Bloodgood & Vijay-Shanker 2009); no slope is drawn through fewer
MIN_KAPPA = 0.95  # their .99 is out of reach with noisy emotion labels
MIN_PER_CLASS = 20  # training labels that every class should have before the model is judged


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """Whether to stop, and why."""

    stop: bool  # every reason speaks for stopping
    sentence: str  # for people: the advice with its reasons
    kappa: float | None  # mean agreement of successive rounds, in [-1, 1]; None where it can't be told
    slope: Slope | None  # change of test UA per 100 labels; None where it can't be told


def stop_set(ids: Iterable[str], *, size: int = STOP_SET, seed: int = 0) -> list[str]:
    """A random choice of clips on which rounds are compared; draw it once per project and keep it."""
    return shuffled(ids, seed)[:size]


def advise(rounds: Sequence[Milestone], classes: Sequence[str], tested: HeldOut, seed: int = 0) -> Advice:
    """Stop where rounds agree, every class is represented, and UA surely gains less than a point per 100 labels.

    Agreement is the mean Cohen kappa between the last three rounds, one after the other (Bloodgood & Vijay-Shanker
    2009), each pair on the clips of the stop set that neither had learned from. Alone it proves little: κ = 0.95 bounds
    the change of F by 4(1 − κ)/κ = 0.21 (arXiv 1504.06329). How UA goes is measured: see `slope_of`.

    Args:
        rounds: every published round, oldest first.
        classes: C names, in the order of `Milestone.per_class`.
        tested: labels of the test set as known now.
        seed: of the resampling.
    """
    recent = rounds[-WINDOW:]
    if len(recent) < WINDOW:
        sentence = f"Keep labelling: advice needs {WINDOW} rounds, there are {len(rounds)}."
        return Advice(stop=False, sentence=sentence, kappa=None, slope=None)
    agreements = [tested.agreement(earlier, later) for earlier, later in pairwise(recent)]
    kappa = None if None in agreements else float(np.mean([one for one in agreements if one is not None]))
    slope = tested.slope([(one.labels, one.answers) for one in _since_half(rounds)], classes, seed)
    scarce = [name for name, count in zip(classes, recent[-1].per_class, strict=True) if count < MIN_PER_CLASS]

    ready = kappa is not None and kappa >= MIN_KAPPA and not scarce
    trend = slope.trend if slope is not None else Trend.UNCLEAR
    if ready and trend is Trend.FLAT:
        advice = "More labels will probably change little"
    elif ready and trend is Trend.UNCLEAR:
        advice = "Can't tell yet whether more labels pay"
    else:
        advice = "Keep labelling"
    reasons = [_agreement(kappa, tested), _gain(slope, tested)]
    if scarce:
        reasons.append(f"fewer than {MIN_PER_CLASS} labels for {', '.join(scarce)}")
    else:
        reasons.append(f"every {tested.part} has at least {MIN_PER_CLASS} labels")
    stop = ready and trend is Trend.FLAT
    return Advice(stop=stop, sentence=f"{advice}: {'; '.join(reasons)}.", kappa=kappa, slope=slope)


def _since_half(rounds: Sequence[Milestone]) -> Sequence[Milestone]:
    """The rounds since there were half as many labels as now, at least `WINDOW`; of those with test predictions.

    UA grows about as much with each doubling, so that a longer look back would see gains that are long over, and a
    shorter one has too few labels between its ends to tell a small gain from none.
    """
    newest = rounds[-1].labels
    kept: list[Milestone] = []
    for one in reversed(rounds):
        if not one.answers or (len(kept) >= WINDOW and one.labels < newest / 2):
            break
        kept.append(one)
    return kept[::-1] if len(kept) >= WINDOW else []


def _agreement(kappa: float | None, tested: HeldOut) -> str:
    if kappa is None:
        return f"the last {WINDOW} rounds share fewer than {MIN_COMPARED} {tested.compared} to be compared on"
    said = "agree" if kappa >= MIN_KAPPA else "still disagree"
    return f"the last {WINDOW} rounds {said} ({tested.agreement_figure} {kappa:.2f}, bar {MIN_KAPPA})"


def _gain(slope: Slope | None, tested: HeldOut) -> str:
    if slope is None:
        return f"the test set is too small to tell (it needs {MIN_TEST_CLIPS} labelled clips in {WINDOW} rounds)"
    value, low, high = (f"{100 * figure:+.1f}" for figure in (slope.value, slope.low, slope.high))
    said = {
        Trend.IMPROVES: f"{tested.figure} on the test set still improves",
        Trend.FLAT: f"{tested.figure} on the test set surely gains less than a {tested.unit} per 100 labels",
        Trend.UNCLEAR: f"the test set can't tell yet whether {tested.figure} still improves",
    }[slope.trend]
    return f"{said} ({value} {tested.unit}s per 100 labels, 95 % interval {low} to {high}, {slope.scope})"
