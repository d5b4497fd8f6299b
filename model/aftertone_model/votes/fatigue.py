"""Whether an annotator has become careless: the latest votes beside the annotator's own earlier ones.

It is asked again and again while votes come in, so it has to be sure: what it calls tired, somebody will be spoken to
about. Both a large drop and one that chance gives once in a thousand times are asked for.
"""

from collections.abc import Sequence

import numpy as np

LATEST = 30  # votes that are compared with those before
EARLIER = 60  # of these there must be so many
DROP = 0.2  # of the mean agreement, in [0, 1]
HURRY = 0.5  # of the median time that a vote took
CHANCE = 0.001


def agrees_less(agreements: Sequence[float]) -> bool:
    """Whether the annotator's latest votes agree much less with those of others than the earlier ones.

    Args:
        agreements: of the votes on clips that others answered too, in [0, 1], oldest first.
    """
    found = _split(agreements)
    return found is not None and float(found[0].mean() - found[1].mean()) >= DROP and _lower(*found)


def hurries(seconds: Sequence[float]) -> bool:
    """Whether the annotator's latest votes took at most half of the time that the earlier ones took.

    Args:
        seconds: that each vote took, oldest first.
    """
    found = _split(seconds)
    return found is not None and bool(np.median(found[1]) <= HURRY * np.median(found[0])) and _lower(*found)


def _split(values: Sequence[float]) -> tuple[np.ndarray, np.ndarray] | None:
    """Earlier and latest values; None where there are too few."""
    if len(values) < EARLIER + LATEST:
        return None
    return np.asarray(values[:-LATEST], np.float64), np.asarray(values[-LATEST:], np.float64)


def _lower(earlier: np.ndarray, latest: np.ndarray) -> bool:
    if np.ptp(np.concatenate([earlier, latest])) == 0:
        return False
    from scipy.stats import mannwhitneyu  # takes half a second to import, and few annotators get so far

    return float(mannwhitneyu(latest, earlier, alternative="less", method="asymptotic").pvalue) <= CHANCE
