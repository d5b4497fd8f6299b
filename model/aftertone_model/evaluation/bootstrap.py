"""How sure a figure on a test set is: intervals by drawing speakers, or clips, again with replacement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

RESAMPLES = 1_000  # bootstrap replicates: the ends of a 95 % interval then rest on 25 replicates each
MIN_SPEAKERS = 5  # with fewer nobody can tell how much voices differ, and no interval for new ones is claimed
UPPER = 0.975  # probability up to the upper end of a 95 % interval

Basis = Literal["speakers", "clips"]
"""What was drawn: an interval by speakers holds for new voices, one by clips for more clips of the same voices."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """What is drawn with replacement: clips of one unit are right or wrong together."""

    of_clip: NDArray[np.intp]  # (N,) number of each clip's unit, 0 to U - 1
    basis: Basis
    speakers: int | None  # voices among the clips; None where one of them is unknown

    @property
    def count(self) -> int:
        """U."""
        return int(self.of_clip.max()) + 1

    def summed(self, table: NDArray) -> NDArray[np.float64]:
        """(U, ...) sums over each unit's clips of a table (N, ...)."""
        if self.count == len(table):  # a clip each, in order
            return table.astype(np.float64)
        sums = np.zeros((self.count, *table.shape[1:]))
        np.add.at(sums, self.of_clip, table)
        return sums

    def draws(self, seed: int) -> NDArray[np.float64]:
        """(R, U) how often each unit occurs in each replicate."""
        count = self.count
        return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)

    def interval(self, value: float, replicates: NDArray[np.floating]) -> tuple[float, float]:
        """Ends of the 95 % interval around `value`, from what the replicates (R,) say.

        Their percentiles, stretched about the value: few units differ less among themselves than the population does,
        by √((U − 1)/U), and what is estimated from few needs Student's quantile in place of the normal one.

        Source: Hesterberg 2015 (arXiv 1411.5279), section 4.2 on the narrowness of percentile intervals.
        """
        low, high = np.percentile(replicates, [100 * (1 - UPPER), 100 * UPPER])
        stretch = 1.0
        if (units := self.count) > 1:
            student, normal = scipy.special.stdtrit(units - 1, UPPER), scipy.special.ndtri(UPPER)  # quantiles
            stretch = float(student / normal * np.sqrt(units / (units - 1)))
        return value + stretch * (float(low) - value), value + stretch * (float(high) - value)


def units_of(speakers: Sequence[str | None] | None, clips: int, files: Sequence[str] | None = None) -> Units:
    """What to draw: speakers where all are known and there are `MIN_SPEAKERS` or more, else clips.

    Segments of one file are drawn together, as they are of one voice in one place.

    Args:
        speakers: (N,) who speaks; None where unknown.
        clips: N > 0.
        files: (N,) what each clip is a segment of; None where they are files.
    """
    by_clip = np.arange(clips) if files is None else np.unique(np.asarray(files, str), return_inverse=True)[1]
    if len(set(by_clip.tolist())) == clips:  # a file each, in order
        by_clip = np.arange(clips)
    if speakers is None or None in speakers:
        return Units(of_clip=by_clip, basis="clips", speakers=None)
    names, of_clip = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    if len(names) >= MIN_SPEAKERS:
        return Units(of_clip=of_clip, basis="speakers", speakers=len(names))
    return Units(of_clip=by_clip, basis="clips", speakers=len(names))


def scope(basis: Basis, speakers: int | None) -> str:
    """For whom an interval holds, for people."""
    if basis == "speakers":
        return f"over {speakers} speakers"
    if speakers is None:
        return "speakers unknown: no interval for new speakers"
    return f"{speakers} voice{'' if speakers == 1 else 's'}: no interval for new speakers"
