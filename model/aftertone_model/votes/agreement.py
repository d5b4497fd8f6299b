"""How far annotators agree, on the clips that several of them answered."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from aftertone_model.votes.vote import Vote


def krippendorff_alpha(votes: Sequence[Vote]) -> float | None:
    """Agreement beyond chance: 1 for perfect, 0 for what chance gives. None where no clip has two votes.

    Nominal, by crowd-kit; several classes chosen together are one value of their own.

    Source: Krippendorff 2019, Content Analysis, chapter 12.
    """
    shared = [vote for cast in _shared(votes).values() for vote in cast]
    if not shared:
        return None
    import pandas as pd  # with crowd-kit a few seconds, and only several annotators need it
    from crowdkit.metrics.data import alpha_krippendorff

    rows = [(vote.clip, vote.annotator, "\n".join(sorted(vote.chosen))) for vote in shared]
    return float(alpha_krippendorff(pd.DataFrame(rows, columns=pd.Index(["task", "worker", "label"]))))


def agreements(votes: Sequence[Vote]) -> dict[int, float]:
    """Row of `votes` -> how far the clip's other votes agree with it, in [0, 1]; rows without others are left out.

    The mean over the others of the classes in common, as a share of those that either chose.
    """
    found: dict[int, float] = {}
    rows = {id(vote): row for row, vote in enumerate(votes)}
    for cast in _shared(votes).values():
        for vote in cast:
            others = [other for other in cast if other is not vote]
            found[rows[id(vote)]] = float(np.mean([_common(vote.chosen, other.chosen) for other in others]))
    return dict(sorted(found.items()))


def _shared(votes: Sequence[Vote]) -> Mapping[str, list[Vote]]:
    by_clip: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        by_clip[vote.clip].append(vote)
    return {clip: cast for clip, cast in by_clip.items() if len({vote.annotator for vote in cast}) > 1}


def _common(first: Sequence[str], second: Sequence[str]) -> float:
    one, other = set(first), set(second)
    return len(one & other) / len(one | other)
