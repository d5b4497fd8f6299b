"""From votes to soft labels: by majority, by shares, or by what is known of each annotator's reliability."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aftertone_model.labels import TIE, LabelSchema
from aftertone_model.votes.reliability import estimate_reliability
from aftertone_model.votes.vote import Vote

Method = Literal["majority", "shares", "reliability"]


def soft_labels(
    votes: Iterable[Vote], schema: LabelSchema, method: Method = "shares"
) -> dict[str, NDArray[np.float64]]:
    """Clip id -> soft label (C,), of every clip that has a vote for one of the classes; none is ever lost.

    Where a clip has a final vote, only final ones count. Votes for unknown classes count for nothing.

    Args:
        method: `shares` are the votes' shares. `majority` gives all to the class with most votes; classes that tie
            share. `reliability` weighs votes by how reliable their annotators are, and is `shares` where that can't be
            told: with one annotator, without a clip that two answered, for multiple choice, and for
            ratings, whose mean is taken.
    """
    by_clip = _by_clip(votes, schema)
    labels = {clip: _shares(cast, schema) for clip, cast in by_clip.items()}
    if not schema.exclusive:  # answers are no alternatives: whom one agrees with isn't one number
        return labels
    if method == "majority":
        return {clip: _majority(label) for clip, label in labels.items()}
    if method == "reliability":
        return labels | _by_reliability(by_clip, schema)
    return labels


def _by_clip(votes: Iterable[Vote], schema: LabelSchema) -> dict[str, list[Vote]]:
    """The votes that count, by clip."""
    found = dict[str, list[Vote]]()
    for vote in votes:
        if any(map(schema.knows, vote.chosen)):
            found.setdefault(vote.clip, []).append(vote)
    return {clip: [v for v in cast if v.final] or cast for clip, cast in found.items()}


def _shares(votes: Sequence[Vote], schema: LabelSchema) -> NDArray[np.float64]:
    counts: Counter[str] = Counter()
    for vote in votes:
        counts.update(schema.vote(vote.chosen))
    label = schema.target(counts, len(votes))
    assert label is not None  # each of them is for a known class
    return label


def _majority(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    top = shares >= shares.max() - TIE
    return top / top.sum()


def _by_reliability(by_clip: Mapping[str, Sequence[Vote]], schema: LabelSchema) -> dict[str, NDArray[np.float64]]:
    """Labels of clips without a final vote; empty where reliability can't be told."""
    known = set(schema.classes)
    open_votes = {
        clip: [
            Vote(clip=clip, annotator=vote.annotator, chosen=tuple(name for name in vote.chosen if name in known))
            for vote in votes
        ]
        for clip, votes in by_clip.items()
        if not votes[0].final
    }
    reliability = estimate_reliability([vote for votes in open_votes.values() for vote in votes], schema.classes)
    if reliability is None:
        return {}
    return {clip: reliability.posterior(votes, schema.classes) for clip, votes in open_votes.items()}
