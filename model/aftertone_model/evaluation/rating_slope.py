"""How much the CCC of ratings gains per 100 labels, measured on test clips that every round has answered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from aftertone_model.data.clips import file_of
from aftertone_model.evaluation.bootstrap import units_of
from aftertone_model.evaluation.concordance import concordance, moments
from aftertone_model.evaluation.held_out import MIN_COMPARED, MIN_TEST_CLIPS, Answers, Milestone, Slope


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOutRatings:
    """What annotators say about the test set, in D dimensions."""

    labels: Mapping[str, NDArray[np.floating]]  # clip id -> (D,) in [0, 1], NaN where nobody rated
    speakers: Mapping[str, str | None]  # clip id -> who speaks, where known
    read: Callable[[Sequence[str]], NDArray[np.float64]]  # (D,) what an answer's words say

    figure: ClassVar = "CCC"
    agreement_figure: ClassVar = "CCC"
    unit: ClassVar = "hundredth"
    part: ClassVar = "dimension"
    compared: ClassVar = "test clips"

    def slope(self, rounds: Sequence[tuple[int, Answers]], classes: Sequence[str], seed: int) -> Slope | None:
        """Of the mean CCC over the dimensions; least squares, with a paired bootstrap as in `slope.slope_of`.

        Predictions are numbers, so that rounds differ on every clip and none need be imagined to.
        """
        del classes
        sizes = np.array([count for count, _ in rounds], np.float64) / 100  # (T,)
        if len(rounds) < 2 or np.ptp(sizes) == 0:
            return None
        shared = sorted(set(self.labels).intersection(*(answers for _, answers in rounds)))
        if len(shared) < MIN_TEST_CLIPS:
            return None
        truth = np.array([self.labels[clip] for clip in shared])  # (N, D)
        said = [np.array([self.read(answers[clip]) for clip in shared]) for _, answers in rounds]  # T of (N, D)
        table = np.stack([moments(truth, one) for one in said], axis=1)  # (N, T, D, 6)
        units = units_of([self.speakers.get(clip) for clip in shared], len(shared), [file_of(c) for c in shared])
        pull = (sizes - sizes.mean()) / ((sizes - sizes.mean()) ** 2).sum()  # (T,) of each round's CCC on the slope
        rated = np.flatnonzero(table[:, 0, :, 0].sum(axis=0))  # dimensions
        value = float(concordance(table.sum(axis=0))[:, rated].mean(axis=1) @ pull)
        drawn = np.einsum("ru,utdm->rtdm", units.draws(seed), units.summed(table))
        low, high = units.interval(value, concordance(drawn)[:, :, rated].mean(axis=2) @ pull)
        return Slope(value=value, low=low, high=high, clips=len(shared), basis=units.basis, speakers=units.speakers)

    def agreement(self, earlier: Milestone, later: Milestone) -> float | None:
        """Mean CCC of two rounds' answers to the test clips, from which neither learned."""
        shared = sorted(earlier.answers.keys() & later.answers.keys())
        if len(shared) < MIN_COMPARED:
            return None
        before, after = (np.array([self.read(one.answers[clip]) for clip in shared]) for one in (earlier, later))
        return float(concordance(moments(before, after).sum(axis=0)).mean())
