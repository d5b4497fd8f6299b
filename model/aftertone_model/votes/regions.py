"""Parts of a recording that annotators marked by hand: which of them are one segment with several votes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

SAME = 0.5  # of the time that two regions cover together, what both cover: from this on they are the same segment
DIGITS = 3  # of seconds that tell regions apart


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """A part of a recording that one annotator marked, and what was answered about it."""

    start: float  # seconds into the recording
    end: float  # seconds, > start
    chosen: tuple[str, ...]  # words of the answer, at least one


@dataclass(kw_only=True, slots=True)
class Segment:
    """A part of a recording that somebody marked first, with the votes of all who marked it."""

    start: float  # seconds into the recording
    end: float  # seconds
    votes: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])  # annotator -> words


def join_regions(marked: Iterable[tuple[str, Sequence[Region]]], seconds: float, shortest: float) -> list[Segment]:
    """The segments that annotators' regions of one recording stand for, in order of time.

    A region is the same segment as an earlier annotator's where what both cover is at least `SAME` of what they cover
    together (Jaccard's index). It then adds a vote; start and end stay those of who marked it first, so that a later
    vote makes no other segment of it. Each of an annotator's regions goes to another segment, the best match first.
    What somebody didn't mark is no vote against what others say of it.

    Args:
        marked: each annotator with their regions, in order of their first answer. What lies beyond the recording is cut
            off.
        seconds: the recording's duration.
        shortest: seconds; shorter regions are left out.
    """
    segments: list[Segment] = []
    for annotator, regions in marked:
        own = usable_regions(regions, seconds, shortest)
        placed = _placed(own, segments)
        for row, region in enumerate(own):
            if row not in placed:
                placed[row] = len(segments)
                segments.append(Segment(start=region.start, end=region.end))
            segments[placed[row]].votes[annotator] = region.chosen
    return sorted(segments, key=lambda segment: (segment.start, segment.end))


def usable_regions(regions: Iterable[Region], seconds: float, shortest: float) -> list[Region]:
    """An annotator's regions within the recording, in order of time, those of the same start and end as one.

    Args:
        seconds: the recording's duration; what lies beyond it is cut off.
        shortest: seconds; shorter regions are left out.
    """
    found: dict[tuple[float, float], tuple[str, ...]] = {}
    for region in regions:
        span = round(max(region.start, 0.0), DIGITS), round(min(region.end, seconds), DIGITS)
        if span[1] - span[0] >= shortest - 10**-DIGITS / 2:
            found[span] = tuple(dict.fromkeys((*found.get(span, ()), *region.chosen)))
    return [Region(start=start, end=end, chosen=chosen) for (start, end), chosen in sorted(found.items())]


def _placed(own: Sequence[Region], segments: Sequence[Segment]) -> dict[int, int]:
    """Row of an annotator's region -> place of the segment that it is, where there is one; each segment once."""
    matches = [
        (overlap, row, place)
        for row, region in enumerate(own)
        for place, segment in enumerate(segments)
        if (overlap := _overlap(region, segment)) >= SAME
    ]
    placed: dict[int, int] = {}
    taken: set[int] = set()
    for _, row, place in sorted(matches, key=lambda match: -match[0]):  # the earlier where two match alike
        if row not in placed and place not in taken:
            placed[row] = place
            taken.add(place)
    return placed


def _overlap(region: Region, segment: Segment) -> float:
    """Of the time that both cover together, what each of them covers."""
    both = min(region.end, segment.end) - max(region.start, segment.start)
    return max(both, 0.0) / (max(region.end, segment.end) - min(region.start, segment.start))
