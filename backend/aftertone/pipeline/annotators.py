"""What is known of each annotator, from the tasks as last read: how much they do, how fast, and how well."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from aftertone.labelstudio.tasks import Task, Work
from aftertone_model.votes.agreement import agreements, krippendorff_alpha, rated_alpha
from aftertone_model.votes.fatigue import agrees_less, hurries
from aftertone_model.votes.regions import Segment, join_regions
from aftertone_model.votes.vote import Vote

MOST_SECONDS = 1e7  # that an answer takes: Label Studio keeps what a browser says, which may be no time at all


@dataclass(frozen=True, kw_only=True)
class Annotator:
    """One person's figures. Shares are in [0, 1]; None where there is nothing to compute them from."""

    annotator: str  # number of the user in Label Studio
    labels: int  # tasks answered
    skipped: float | None  # share of the tasks seen
    seconds: float | None  # median time that an answer took
    agreement: float | None  # with the other votes on the same tasks
    compared: int  # tasks, or segments that were marked, that this agreement comes from
    gold: int  # starred tasks of others that they answered too
    right: int  # of these, as starred
    tired: tuple[str, ...]  # what their latest answers show beside their earlier ones


@dataclass(frozen=True, kw_only=True)
class Annotators:
    """All of a project's."""

    each: tuple[Annotator, ...]  # most labels first
    alpha: float | None  # Krippendorff's, over the tasks that several answered; None where there are none

    def as_json(self) -> dict[str, Any]:
        """For `aftertone status --json`."""
        return {"each": [asdict(one) for one in self.each], "krippendorff_alpha": self.alpha}


def describe_annotators(found: Mapping[str, Any]) -> list[str]:
    """Lines for people, of what `Annotators.as_json` gave; none for one annotator about whom nothing is remarkable."""
    each = found["each"]
    if len(each) < 2 and not any(one["tired"] or one["gold"] for one in each):
        return []
    alpha = found["krippendorff_alpha"]
    agreement = [] if alpha is None else [f"annotators' agreement: Krippendorff's alpha {alpha:.2f}"]
    return [*agreement, *map(_sentence, each)]


def usual_seconds(annotators: Annotators) -> float | None:
    """Median over the annotators of how long an answer takes each; None where nobody knows."""
    paces = [one.seconds for one in annotators.each if one.seconds is not None and 0 < one.seconds < MOST_SECONDS]
    return median(paces) if paces else None


def find_annotators(tasks: Iterable[Task], *, rated: bool = False) -> Annotators:
    """Their figures. Of several answers by one annotator to one task the last counts.

    Args:
        rated: answers are ratings, of which the same one twice is rare: nobody's agreement, and no gold clips.
    """
    tasks = [task for task in tasks if task.work]
    done: dict[str, list[Work]] = defaultdict(list)
    for task in tasks:
        for work in task.work:
            done[work.annotator].append(work)
    dated = [vote for task in tasks for vote in _votes(task)]
    votes = [vote for _, vote in sorted(dated, key=lambda vote: vote[0])]
    agreed: dict[str, list[float]] = defaultdict(list)
    for row, value in ({} if rated else agreements(votes)).items():
        agreed[votes[row].annotator].append(value)
    examined = {} if rated else _examine(tasks)
    each = [
        _figures(who, sorted(work, key=lambda one: one.at), agreed[who], examined.get(who, (0, 0)))
        for who, work in done.items()
    ]
    ordered = sorted(each, key=lambda one: (-one.labels, one.annotator))
    return Annotators(each=tuple(ordered), alpha=rated_alpha(votes) if rated else krippendorff_alpha(votes))


def _sentence(one: Mapping[str, Any]) -> str:
    said = [f"annotator {one['annotator']}: {one['labels']} labels"]
    if one["skipped"]:
        said.append(f"{one['skipped']:.0%} skipped")
    if one["seconds"] is not None:
        said.append(f"{one['seconds']:.1f} s each")
    if one["compared"]:
        said.append(f"agrees {one['agreement']:.0%} with others on {one['compared']} tasks")
    if one["gold"]:
        said.append(f"right in {one['right']} of {one['gold']} gold clips")
    return ", ".join([*said, *one["tired"]])


def _latest(work: Sequence[Work]) -> Mapping[str, Work]:
    return {one.annotator: one for one in work if one.chosen}


def _votes(task: Task) -> Iterator[tuple[str, Vote]]:
    """The annotators' latest answers with their moments: of the whole task, or of each segment that was marked."""
    latest = _latest(task.work)
    for who, work in latest.items():
        if not work.regions:
            yield work.at, Vote(clip=str(task.id), annotator=who, chosen=work.chosen)
    for number, segment in enumerate(_segments(latest)):
        for who, chosen in segment.votes.items():
            yield latest[who].at, Vote(clip=f"{task.id}@{number}", annotator=who, chosen=chosen)


def _segments(work: Mapping[str, Work]) -> list[Segment]:
    """What answers about regions are about; of the audio's end nothing is known here."""
    return join_regions(((who, one.regions) for who, one in work.items()), math.inf, 0)


def _agree(first: Work, second: Work) -> bool:
    """Whether two answers are the same: of regions, for every region that either marked."""
    if not first.regions and not second.regions:
        return set(first.chosen) == set(second.chosen)
    votes = [segment.votes for segment in _segments({"first": first, "second": second})]
    return all(set(vote.get("first", ())) == set(vote.get("second", ())) for vote in votes)


def _examine(tasks: Sequence[Task]) -> dict[str, tuple[int, int]]:
    """Annotator -> starred tasks of others that they answered, and how many of these right."""
    found: dict[str, tuple[int, int]] = {}
    for task in tasks:
        starred = [one for one in task.work if one.starred and one.chosen]
        for who, one in _latest([one for one in task.work if not one.starred]).items():
            if starred and all(star.annotator != who for star in starred):
                gold, right = found.get(who, (0, 0))
                found[who] = gold + 1, right + any(_agree(one, star) for star in starred)
    return found


def _figures(who: str, work: Sequence[Work], agreed: Sequence[float], examined: tuple[int, int]) -> Annotator:
    answered = [one for one in work if one.chosen]
    seconds = [one.seconds for one in answered if one.seconds is not None and 0 <= one.seconds < MOST_SECONDS]
    skipped = sum(one.skipped for one in work)
    tired = ["agrees with others much less of late"] * agrees_less(agreed) + ["hurries of late"] * hurries(seconds)
    return Annotator(
        annotator=who,
        labels=len(answered),
        skipped=skipped / len(work) if work else None,
        seconds=median(seconds) if seconds else None,
        agreement=sum(agreed) / len(agreed) if agreed else None,
        compared=len(agreed),
        gold=examined[0],
        right=examined[1],
        tired=tuple(tired),
    )
