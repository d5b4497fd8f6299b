"""Labelled clips that are worth another look: split votes, and votes that the model confidently contradicts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aftertone_model.votes.active_lab import NO_VOTE, active_lab
from aftertone_model.votes.vote import Vote

RIGHT = 0.8  # share of votes taken to be right: what annotators of emotions reach who aren't trained together
FEWEST = 5  # labels of a class: with fewer nobody knows what is unlike it


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """A clip whose label may be wrong."""

    clip: str  # id
    score: float  # how sure the label is, in [0, 1], by ActiveLab
    reason: Literal["split votes", "conflict with the model"]


def relabel_list(
    votes: Sequence[Vote], probabilities: Mapping[str, NDArray[np.floating]], classes: Sequence[str], most: int
) -> list[Doubt]:
    """The clips whose label is least sure, least sure first; those with neither a split nor a conflict are left out.

    A conflict is a label that is likelier wrong than right, given the model's probabilities and that votes err as often
    as RIGHT says. That the model's likeliest class is another isn't enough: a model of few labels is right in two of
    five, and so would contradict most labels that are right.

    Scores are ActiveLab's, which weighs annotators and model by how right each has been.

    Args:
        votes: of a single choice. Clips with a final vote are left out, as nothing could change their label.
        probabilities: clip id -> (C,) by a model that hasn't seen the clip's label; clips that lack one are left out.
        classes: C names.
        most: clips.
    """
    by_clip: dict[str, dict[str, int]] = defaultdict(dict)  # clip -> annotator -> class
    final = {vote.clip for vote in votes if vote.final}
    for vote in votes:
        if vote.clip in probabilities and vote.clip not in final and vote.chosen[0] in classes:
            by_clip[vote.clip][vote.annotator] = classes.index(vote.chosen[0])
    if not by_clip:
        return []
    clips = sorted(by_clip)
    annotators = {who: place for place, who in enumerate(sorted({who for cast in by_clip.values() for who in cast}))}
    table = np.full((len(clips), len(annotators)), NO_VOTE)  # (N, A)
    for row, clip in enumerate(clips):
        for who, chosen in by_clip[clip].items():
            table[row, annotators[who]] = chosen
    predicted = np.array([probabilities[clip] for clip in clips], np.float64)  # (N, C)
    counts = np.array([sum(column in cast.values() for cast in by_clip.values()) for column in range(len(classes))])
    scores = active_lab(table, predicted, np.empty((0, len(classes)))).labelled
    doubts: list[Doubt] = []
    for row in np.argsort(scores, kind="stable"):
        chosen = set(by_clip[clips[row]].values())
        if len(chosen) > 1:
            doubts.append(Doubt(clip=clips[row], score=float(scores[row]), reason="split votes"))
        elif counts[own := chosen.pop()] >= FEWEST and _likely_wrong(predicted[row], own, len(by_clip[clips[row]])):
            doubts.append(Doubt(clip=clips[row], score=float(scores[row]), reason="conflict with the model"))
    return doubts[:most]


def _likely_wrong(predicted: NDArray[np.float64], chosen: int, votes: int) -> bool:
    """Whether all votes on a clip, so many, are likelier wrong than right; what is wrong may be any class."""
    another = (1 - RIGHT) / RIGHT / max(1, len(predicted) - 1)  # how likely a vote is where another class is true
    right = float(predicted[chosen])
    return (1 - right) * another**votes > right
