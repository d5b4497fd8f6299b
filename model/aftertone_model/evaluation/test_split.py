"""The held-out test set: a random 10 % of the annotation queue, never trained on, so that metrics are unbiased."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import numpy as np

from aftertone_model.data.clips import Clip
from aftertone_model.evaluation.bootstrap import MIN_SPEAKERS

SHARE = 0.1  # of the pool, and of what annotators are asked for
MOST = 3  # times the share that may be held out so that enough speakers are tested


def assign_test_split(
    clips: Iterable[Clip], assigned: Mapping[str, bool], *, share: float = SHARE, seed: int = 0
) -> dict[str, bool]:
    """Which clips are held out: id -> True for the test set, False for training.

    Whole speakers go to one side, so that no voice is both trained on and tested on. A clip without a speaker counts
    as a speaker of its own. Where speakers are too few for that (a tenth would be less than half of any speaker),
    the test set is made of random clips; `speaker_disjoint` tells.

    A figure for new speakers needs five that are tested. Where the share brings fewer and everybody is known, more
    speakers are held out, if five then make up no more than three times the share. Annotators are asked for test clips
    at the same rate all the same; only fewer clips may be trained on.

    Earlier assignments never change, also those of clips that have vanished. The draw depends on the seed and on
    names only, not on the order of the clips.

    Args:
        clips: the pool as it is now.
        assigned: what earlier calls returned; {} at first.
        share: of the clips that should be held out, in (0, 1).
    """
    clips = list(clips)
    sides = dict(assigned)
    of_speaker: dict[str, set[bool]] = defaultdict(set)
    for clip in clips:
        if clip.speaker is not None and clip.id in assigned:
            of_speaker[clip.speaker].add(assigned[clip.id])
    voices: dict[str, list[str]] = defaultdict(list)  # new clips by who speaks
    for clip in clips:
        if clip.id in sides:
            continue
        known: set[bool] = of_speaker.get(clip.speaker, set()) if clip.speaker is not None else set()
        if known:
            sides[clip.id] = known == {True}
        else:
            voices[f"clip {clip.id}" if clip.speaker is None else f"speaker {clip.speaker}"].append(clip.id)

    room = share * len(clips) - sum(sides.get(clip.id, False) for clip in clips)
    order = shuffled(voices, seed)
    for voice in order:
        chosen = len(voices[voice]) <= 2 * room  # overshoot by no more than what leaving it out would lack
        sides |= dict.fromkeys(voices[voice], chosen)
        room -= len(voices[voice]) * chosen
    if all(clip.speaker is not None for clip in clips):
        tested = {clip.speaker for clip in clips if sides[clip.id]}
        spare = [voices[voice] for voice in order if not sides[voices[voice][0]]]
        more = _more_speakers(spare, MIN_SPEAKERS - len(tested), room + (MOST - 1) * share * len(clips))
        sides |= dict.fromkeys(more, True)
        room -= len(more)
    if room >= max(1.0, share * len(clips) / 2):  # speakers too large to move as a whole
        new = [id for ids in voices.values() for id in ids if not sides[id]]
        sides |= dict.fromkeys(shuffled(new, seed)[: round(room)], True)
    return sides


def _more_speakers(voices: Sequence[Sequence[str]], wanted: int, room: float) -> list[str]:
    """The clips of the first `wanted` voices that fit into the room together; none where so many don't fit."""
    taken: list[Sequence[str]] = []
    for clips in voices:
        if len(taken) < wanted and len(clips) <= room:
            taken.append(clips)
            room -= len(clips)
    return [id for clips in taken for id in clips] if len(taken) == wanted else []


def speaker_disjoint(clips: Iterable[Clip], assigned: Mapping[str, bool]) -> bool:
    """Whether every clip's speaker is known and no speaker is on both sides."""
    sides: dict[str | None, set[bool]] = defaultdict(set)
    for clip in clips:
        if clip.id in assigned:
            sides[clip.speaker].add(assigned[clip.id])
    return None not in sides and all(len(side) == 1 for side in sides.values())


def with_test_clips(order: Sequence[str], test: Iterable[str], *, share: float = SHARE, seed: int = 0) -> list[str]:
    """One queue out of two: in every run of 1 / share places, a random one is a test clip, in random order.

    Args:
        order: ids that acquisition ranked, highest priority first.
        test: ids of test clips that still want a label; what is left of them stands at the end.
    """
    waiting = shuffled(test, seed)[::-1]
    run = round(1 / share)
    rng = np.random.default_rng(seed)
    queue: list[str] = []
    for start in range(0, len(order), run - 1):
        stretch = list(order[start : start + run - 1])
        if waiting:
            stretch.insert(int(rng.integers(len(stretch) + 1)), waiting.pop())
        queue += stretch
    return queue + waiting[::-1]


def shuffled(names: Iterable[str], seed: int) -> list[str]:
    """A random order that depends on the seed and each name alone, so that a grown pool keeps its draw."""
    return sorted(names, key=lambda name: sha256(f"{seed} {name}".encode()).digest())
