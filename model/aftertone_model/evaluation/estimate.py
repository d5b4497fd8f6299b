"""A figure measured on a test set, with its interval where there are clips enough for one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aftertone_model.evaluation.bootstrap import Units

MIN_CLIPS = 20
"""Test clips below which no interval is given: drawing a few clips again tells too little of those not drawn.

Simulated with four classes, 95 % intervals of UA hold the truth in less than 85 % of cases with four clips, and never
with one; with twenty they hold it about as often as they say (tests/unit/aftertone_model/evaluation/test_metrics.py).
"""
TOO_FEW = "too few test clips for an interval"


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure with its 95 % bootstrap interval. For whom that holds is said by the `basis` beside it."""

    value: float  # measured on the clips themselves
    low: float | None  # lower end; None where there are too few clips to say
    high: float | None  # upper end; None likewise

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both ends; None also for an interval without width, as earlier versions gave for a few clips."""
        if self.low is None or self.high is None or self.low == self.high:
            return None
        return self.low, self.high

    def written(self, digits: int) -> str:
        """The figure and its interval, as `0.612 [0.590, 0.634]`."""
        said = TOO_FEW if self.ends is None else f"{self.ends[0]:.{digits}f}, {self.ends[1]:.{digits}f}"
        return f"{self.value:.{digits}f} [{said}]"


def estimate(
    value: float, replicates: NDArray[np.floating], units: Units, *, least: float, most: float, clips: int
) -> Estimate:
    """A figure with the interval that bootstrap replicates (R,) of it give.

    There is none with fewer than `MIN_CLIPS` clips, nor where all replicates agree, as where every clip is right: then
    they say nothing of how often others would be wrong.

    Args:
        least: the smallest value that the figure can have.
        most: the largest one.
        clips: test clips that the figure rests on.
    """
    low, high = np.clip(units.interval(value, replicates), least, most)
    if clips < MIN_CLIPS or low == high:
        return Estimate(value=float(value), low=None, high=None)
    return Estimate(value=float(value), low=float(low), high=float(high))
