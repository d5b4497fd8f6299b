"""A mean with its interval, and how it is written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and its 95 % interval; NaN ends where there is one run only."""

    mean: float
    low: float
    high: float

    def between(self, least: float, most: float) -> "Interval":
        """The part of it that is possible; a few runs that differ much give an interval beyond."""
        low, high = np.clip([self.low, self.high], least, most)
        return replace(self, low=float(low), high=float(high))

    def percent(self) -> str:
        """Of a share: `61.2 [59.0 to 63.4]`."""
        return self.between(0, 1).written(100, 1)

    def written(self, factor: float, digits: int, sign: str = "") -> str:
        """Multiplied by `factor`, as `61.2 [59.0 to 63.4]`; `sign` "+" shows that of positive numbers too."""
        mean = f"{self.mean * factor:{sign}.{digits}f}"
        if np.isnan(self.low):
            return mean
        return f"{mean} [{self.low * factor:{sign}.{digits}f} to {self.high * factor:{sign}.{digits}f}]"


def interval(values: NDArray[np.float64], folds: Sequence[int] = ()) -> Interval:
    """Mean over the runs (R,) and Student's interval for it.

    Runs on one fold are tested on the same speakers, so they aren't independent: where the runs are on several folds,
    the interval is that of the folds' means. Where folds have equally many runs, the mean is that of the runs.

    Args:
        folds: R numbers, the fold of each run; () where runs are independent.
    """
    if len(set(folds)) > 1:
        numbers = np.array(folds)
        values = np.array([values[numbers == fold].mean() for fold in sorted(set(folds))])
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean=mean, low=np.nan, high=np.nan)
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(mean=mean, low=mean - half, high=mean + half)
