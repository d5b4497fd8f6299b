"""How common each class is in a pool of which few clips are labelled: the model's scores, corrected by a test set.

Clips that the model scores alike are taken together in a bin, and the test clips of that bin say which share of it has
the class. So a model that calls everything neutral is corrected, and a good one makes the interval narrower. Labels of
clips that were chosen for training say nothing here, since they were chosen; they only bound the share.

Source: Navine et al. 2024 (arXiv 2402.15360), section 2: bins of the score that get finer towards its top, a beta
distribution of the share in each. There the labelled clips are drawn by bin; here they are a random part of the pool.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aftertone_model.evaluation.bootstrap import UPPER, units_of

DRAWS = 1_000
FEWEST = 10  # test clips in the top bin; the next ones hold twice, four times as many
MOST_BINS = 4
PRIOR = 0.5  # Jeffreys' of a share: counted as half a clip with and half a clip without the class


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A share of a pool, in [0, 1], with its 95 % interval."""

    value: float
    low: float
    high: float


def class_share(
    pool: NDArray[np.floating],
    tested: NDArray[np.floating],
    truth: NDArray[np.floating],
    known: float = 0.0,
    unknown: int | None = None,
    *,
    speakers: Sequence[str | None] | None = None,
    seed: int = 0,
) -> Share | None:
    """The share of a pool that has a class, with its 95 % interval; None without a test clip.

    Where whole speakers are held out, as far as they are known and enough, the interval is as wide as drawing speakers
    makes it, or clips, whichever is wider.

    Args:
        pool: (N,) scores of the class, of every clip, N > 0.
        tested: (T,) the same of the labelled test clips, a random part of the pool.
        truth: (T,) whether they have the class, 0 to 1, votes in parts.
        known: clips of this class among all that have a label.
        unknown: clips that have none; all by default.
        speakers: (T,) who speaks in the test clips, where known.
    """
    if not len(tested):
        return None
    edges = np.quantile(tested, [1 - 0.5**level for level in range(1, _bins(len(tested)))])
    bins, size = len(edges) + 1, len(pool)
    held = np.bincount(np.searchsorted(edges, pool, side="right"), minlength=bins)  # (B,) clips of the pool
    place = np.searchsorted(edges, tested, side="right")  # (T,)
    table = np.zeros((len(tested), bins, 2))  # of each test clip, in its bin: 1, and whether it has the class
    table[np.arange(len(tested)), place] = np.stack([np.ones(len(tested)), truth], axis=1)
    counts = table.sum(axis=0)  # (B, 2)
    value = float(held @ _shares(counts, float(truth.mean()))) / size
    ends = [_ends(_draws(counts, held, np.random.default_rng(seed)) / size)]
    units = units_of(speakers, len(tested))
    if units.basis == "speakers":
        drawn = np.tensordot(units.draws(seed), units.summed(table), axes=1)  # (R, B, 2)
        means = drawn[..., 1].sum(axis=1) / drawn[..., 0].sum(axis=1)
        ends.append(units.interval(value, _shares(drawn, means[:, None]) @ held / size))
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    least, most = known / size, (known + (size if unknown is None else unknown)) / size
    value, low, high = (float(np.clip(end, least, min(most, 1))) for end in (value, low, high))
    return Share(value=value, low=min(low, value), high=max(high, value))


def _bins(tested: int) -> int:
    """How many, so that the smallest has FEWEST test clips: B bins hold 1/2, 1/4, ..., and the last two alike."""
    return min(MOST_BINS, 1 + max(0, int(np.log2(max(tested, 1) / FEWEST))))


def _shares(counts: NDArray[np.floating], otherwise: NDArray | float) -> NDArray[np.float64]:
    """(..., B) share of each bin, from (..., B, 2) test clips and those of the class; of an empty bin `otherwise`."""
    clips, hits = counts[..., 0], counts[..., 1]
    return np.where(clips > 0, hits / np.maximum(clips, 1e-9), otherwise)


def _draws(counts: NDArray[np.floating], held: NDArray[np.integer], random: np.random.Generator) -> NDArray:
    """(R,) how many clips of the bins (B,) have the class, as far as their test clips (B, 2) can tell."""
    clips, hits = counts[:, 0], counts[:, 1]
    shares = random.beta(hits + PRIOR, clips - hits + PRIOR, size=(DRAWS, len(counts)))
    others = np.maximum(held - clips, 0).astype(np.int64)
    return hits.sum() + random.binomial(others, shares).sum(axis=1)


def _ends(draws: NDArray[np.floating]) -> tuple[float, float]:
    low, high = np.percentile(draws, [100 * (1 - UPPER), 100 * UPPER])
    return float(low), float(high)
