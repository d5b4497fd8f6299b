"""How far annotators agree, on the clips that several of them answered."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress

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


def rated_alpha(votes: Sequence[Vote]) -> float | None:
    """The same for ratings, where near values count as near: interval data, the mean over the dimensions.

    None where no clip has two ratings in a dimension, or all ratings are the same.

    Args:
        votes: whose words are `dimension=value`, as those of `labels.Ratings`.

    Source: Krippendorff 2019, Content Analysis, chapter 12: squared differences within clips, over those of any two.
    """
    units: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for vote in votes:
        for word in vote.chosen:
            dimension, _, value = word.rpartition("=")
            with suppress(ValueError):  # an answer from before the question asked for ratings
                units[dimension][vote.clip][vote.annotator] = float(value)
    alphas = [_interval_alpha([list(by.values()) for by in clips.values()]) for clips in units.values()]
    known = [alpha for alpha in alphas if alpha is not None]
    return float(np.mean(known)) if known else None


def _interval_alpha(units: Sequence[Sequence[float]]) -> float | None:
    shared = [np.array(values) for values in units if len(values) > 1]
    if not shared:
        return None
    every = np.concatenate(shared)
    within = sum(2 * len(values) * values.var() * len(values) / (len(values) - 1) for values in shared)
    between = 2 * len(every) ** 2 * every.var() / (len(every) - 1)
    return float(1 - within / between) if between > 0 else None


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
