"""How much UA gains per 100 labels, measured on test clips that every round has answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from aftertone_model.data.clips import file_of
from aftertone_model.evaluation.bootstrap import UPPER, units_of
from aftertone_model.evaluation.held_out import MIN_COMPARED, MIN_TEST_CLIPS, Answers, Milestone, Slope


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOutLabels:
    """What annotators say about the test set."""

    answers: Answers  # of clips whose label is clear
    speakers: Mapping[str, str | None]  # clip id -> who speaks, where known
    exclusive: bool  # classes exclude each other; if not, each is a yes-or-no question

    figure: ClassVar = "UA"
    agreement_figure: ClassVar = "kappa"
    unit: ClassVar = "point"
    part: ClassVar = "class"
    compared: ClassVar = "unlabelled clips"

    def slope(self, rounds: Sequence[tuple[int, Answers]], classes: Sequence[str], seed: int) -> Slope | None:
        """Of UA."""
        return slope_of(rounds, classes, self, seed)

    def agreement(self, earlier: Milestone, later: Milestone) -> float | None:
        """Cohen's kappa on clips unlabelled in both; 1 for identical predictions, also of one class (0/0)."""
        shared = sorted(earlier.predictions.keys() & later.predictions.keys())
        if len(shared) < MIN_COMPARED:
            return None
        before, after = ([one.predictions[clip] for clip in shared] for one in (earlier, later))
        return 1.0 if before == after else float(cohen_kappa_score(before, after))


def slope_of(
    rounds: Sequence[tuple[int, Answers]], classes: Sequence[str], tested: HeldOutLabels, seed: int = 0
) -> Slope | None:
    """Least-squares slope of UA over the number of labels, on the test clips that all rounds have answered.

    Its interval is a paired bootstrap: a replicate draws test speakers (or clips) and measures every round on the same
    draw, so that what all rounds find hard or easy cancels. A bootstrap knows nothing of changes that no clip happens
    to show: 50 clips that never change would be a sure slope of 0. So a clip that turns right and one that turns wrong
    half-way are imagined in each class, as pseudo-counts (after Agresti & Min 2005, for paired proportions).

    Args:
        rounds: labels trained on and answers to test clips, oldest first.
        classes: C names.
        tested: labels as known now; they judge every round alike.

    Returns:
        None with fewer than two rounds of different size, or fewer than `MIN_TEST_CLIPS` clips.
    """
    labels = np.array([count for count, _ in rounds], np.float64) / 100  # (T,)
    if len(rounds) < 2 or np.ptp(labels) == 0:
        return None
    shared = sorted(set(tested.answers).intersection(*(answers for _, answers in rounds)))
    if len(shared) < MIN_TEST_CLIPS:
        return None
    truth = _table(tested.answers, shared, classes)  # (N, C)
    said = np.stack([_table(answers, shared, classes) for _, answers in rounds], axis=1)  # (N, T, C)
    asked, right = _recalls(truth, said, exclusive=tested.exclusive)
    units = units_of([tested.speakers.get(clip) for clip in shared], len(shared), [file_of(c) for c in shared])
    pull = (labels - labels.mean()) / ((labels - labels.mean()) ** 2).sum()  # (T,) of each round's UA on the slope

    clips = asked.sum(axis=0)  # (S,)
    value = float(_ua(clips[None], right.sum(axis=0)[None])[0] @ pull)
    draws, by_unit = units.draws(seed), units.summed(right)  # (R, U), (U, T, S)
    hits = (draws @ by_unit.reshape(units.count, -1)).reshape(len(draws), *right.shape[1:])  # (R, T, S)
    low, high = units.interval(value, _ua(draws @ units.summed(asked), hits) @ pull)
    imagined = scipy.special.ndtri(UPPER) * _pseudo_error(clips, pull)
    return Slope(
        value=value,
        low=value - float(np.hypot(value - low, imagined)),
        high=value + float(np.hypot(high - value, imagined)),
        clips=len(shared),
        basis=units.basis,
        speakers=units.speakers,
    )


def _table(answers: Answers, clips: Sequence[str], classes: Sequence[str]) -> NDArray[np.bool_]:
    """(N, C) which classes were chosen."""
    return np.array([[name in answers[clip] for name in classes] for clip in clips])


def _recalls(
    truth: NDArray[np.bool_], said: NDArray[np.bool_], *, exclusive: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """UA is a mean of S recalls: which clips each is about (N, S), and which of them are right in each round (N, T, S).

    One for each class; of classes that don't exclude each other, one for each yes and each no.
    """
    right = truth[:, None] & said
    if exclusive:
        return truth.astype(np.float64), right.astype(np.float64)
    asked = np.concatenate([truth, ~truth], axis=1)
    return asked.astype(np.float64), np.concatenate([right, ~truth[:, None] & ~said], axis=2).astype(np.float64)


def _ua(clips: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, T) mean of the recalls that have clips, from counts of clips (R, S) and of right ones (R, T, S)."""
    present = (clips > 0)[:, None]  # (R, 1, S)
    return (right / np.maximum(clips, 1)[:, None] * present).sum(axis=2) / present.sum(axis=2)


def _pseudo_error(clips: NDArray[np.float64], pull: NDArray[np.float64]) -> float:
    """Standard error of the slope that one clip turning right and one turning wrong in each recall would bring.

    Args:
        clips: (S,) behind each recall.
        pull: (T,) weight of each round's UA in the slope.
    """
    turned = float(pull[::-1].cumsum().max())  # slope of one clip that turns right where this counts most
    counts = clips[clips > 0]
    return float(np.sqrt((2 * (turned / (counts + 2)) ** 2).sum()) / len(counts))
