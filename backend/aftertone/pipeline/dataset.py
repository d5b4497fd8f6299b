"""Tasks and clips joined: which clip each task holds, and what people have said about each clip."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aftertone.labelstudio.tasks import NO_ADDRESS, Answer, Snapshot, Task, Work
from aftertone.pipeline.parts import Part, count_short, segments_of
from aftertone.store.clock import elapsed
from aftertone.store.records import Source
from aftertone_model.data.channels import Channel
from aftertone_model.data.clips import Clip, file_of
from aftertone_model.labels import LabelSchema
from aftertone_model.votes.soft_labels import Method, soft_labels


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One clip of the pool with the tasks that hold it; the same audio imported twice is one clip."""

    clip: Clip
    tasks: tuple[int, ...]  # ascending
    answers: tuple[Answer, ...]  # of each of its tasks
    work: tuple[Work, ...] = ()  # of all its tasks, in order of submission
    recording: str | None = None  # that it was cut from, where that is known
    segments: tuple[Part, ...] | None = None  # that were marked, in order of time; None: labels are of the whole clip
    too_short: int = 0  # regions that were marked and are too short to learn from

    @cached_property
    def whole(self) -> Part:
        """All that was said about it."""
        return Part(clip=self.clip, answers=self.answers)

    @property
    def answer(self) -> Answer:
        """Of all its tasks together."""
        return self.whole.answer

    @property
    def parts(self) -> tuple[Part, ...]:
        """What labels are about."""
        return (self.whole,) if self.segments is None else self.segments


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The pool as the project sees it now."""

    schema: LabelSchema
    question: str = ""  # name of the tag in the label config that the labels come from
    entries: Mapping[str, Entry]  # clip id -> entry, in order of the first task
    failed: Mapping[int, str]  # task id -> why its audio can't be used
    missing: tuple[Task, ...]  # tasks whose audio nobody has tried to fetch yet
    retries: tuple[Task, ...] = ()  # tasks whose audio couldn't be fetched and may be tried again by now
    overlap: int = 1  # annotators that the project asks for per task
    awaited: frozenset[str] = frozenset()  # clips that have a vote and wait for others
    lacking: str = ""  # what the method lacks and how to get it; a sentence or more

    @cached_property
    def labels(self) -> dict[str, NDArray[np.float64]]:
        """Soft label (C,) of every complete clip that has a vote that counts: shares of votes, or means of ratings.

        What changes here tells whether to train again. A vote for a label that has left the label config counts for
        nothing until the label comes back.
        """
        found = {
            part.clip.id: self.schema.target(part.answer.votes, part.answer.voters)
            for clip, entry in self.entries.items()
            if entry.answer.votes and clip not in self.awaited
            for part in entry.parts
        }
        return {clip: label for clip, label in found.items() if label is not None}

    def labels_by(self, method: Method) -> dict[str, NDArray[np.float64]]:
        """The same clips' labels as training wants them: with `reliability`, one vote may change all.

        Args:
            method: `TrainingConfig.votes`.
        """
        votes = (vote for entry in self.entries.values() for part in entry.parts for vote in part.votes)
        learned = soft_labels(votes, self.schema, method)
        return {clip: learned.get(clip, label) for clip, label in self.labels.items()}

    @cached_property
    def clips(self) -> list[Clip]:
        """Every usable clip."""
        return [entry.clip for entry in self.entries.values()]

    @cached_property
    def parts(self) -> dict[str, Part]:
        """What has a label, by the clip's or the segment's id."""
        parts = (part for entry in self.entries.values() for part in entry.parts)
        return {part.clip.id: part for part in parts if part.clip.id in self.labels}

    @cached_property
    def labelled_clips(self) -> list[Clip]:
        """Clips, or segments of them, that have a label."""
        return [part.clip for part in self.parts.values()]

    @cached_property
    def clips_and_segments(self) -> list[Clip]:
        """Every usable clip, and the segments that have a label."""
        return [*self.clips, *(clip for clip in self.labelled_clips if clip.audio)]

    @property
    def too_short(self) -> int:
        """Regions that were marked and are too short to learn from."""
        return sum(entry.too_short for entry in self.entries.values())

    def entry_of(self, clip: str) -> Entry:
        """The entry of a clip, or of the clip that a segment is a part of.

        Args:
            clip: an id.
        """
        return self.entries[file_of(clip)]

    @property
    def open_clips(self) -> list[Clip]:
        """Clips that nobody has answered or skipped: what a round may ask for."""
        return [e.clip for e in self.entries.values() if not e.answer.given and not e.answer.skipped]

    @property
    def skipped_clips(self) -> list[Clip]:
        """Clips that were skipped or submitted blank: asked for last, never dropped."""
        return [e.clip for e in self.entries.values() if e.answer.skipped]

    def labels_not_in_config(self) -> dict[str, int]:
        """Answers that the label config doesn't offer any more, with the number of clips that carry them."""
        counts: dict[str, int] = {}
        for entry in self.entries.values():
            for label in (word for word in entry.answer.votes if not self.schema.knows(word)):
                counts[label] = counts.get(label, 0) + 1
        return counts


def heard_as(sources: Mapping[str, Source], channel: Channel) -> Mapping[str, Source]:
    """The addresses whose audio was heard by this channel, or has no other; the rest has to be heard anew."""
    return {url: row for url, row in sources.items() if row.channel == channel or row.channels == 1}


def join(snapshot: Snapshot, sources: Mapping[str, Source], now: float) -> Dataset:
    """Join a project's tasks with what is known about their audio.

    Args:
        snapshot: the project as it is.
        sources: what became of each audio address so far.
        now: epoch seconds, for addresses that may be tried again.
    """
    failed: dict[int, str] = {}
    missing: list[Task] = []
    retries: list[Task] = []
    for task in snapshot.tasks.values():
        if not task.source:
            failed[task.id] = NO_ADDRESS
        elif (source := sources.get(task.source)) is None:
            missing.append(task)
        elif source.clip is None:
            failed[task.id] = source.error
            if source.retry and elapsed(source.at, now) >= source.pause:
                retries.append(task)
    of_regions = snapshot.question.schema if snapshot.question.regions is not None else None
    return Dataset(
        schema=snapshot.question.schema,
        question=snapshot.question.control,
        entries=entries_of(snapshot.tasks.values(), sources, of_regions),
        failed=failed,
        missing=tuple(missing),
        retries=tuple(retries),
        overlap=snapshot.overlap,
    )


def entries_of(
    tasks: Iterable[Task], sources: Mapping[str, Source], of_regions: LabelSchema | None = None
) -> dict[str, Entry]:
    """The clips that tasks hold, by id, in order of the first task.

    Args:
        of_regions: what kind of answer is given about regions; None where the question is about whole clips.
    """
    held: dict[str, list[Task]] = {}
    for task in tasks:
        source = sources.get(task.source) if task.source else None
        if source is not None and source.clip is not None:
            held.setdefault(source.clip, []).append(task)
    return {clip: _entry(clip, found, sources[found[0].source].seconds, of_regions) for clip, found in held.items()}


def _entry(clip_id: str, tasks: Sequence[Task], seconds: float, of_regions: LabelSchema | None) -> Entry:
    """A clip with the tasks that hold it.

    Args:
        of_regions: what kind of answer is given about regions; None where the question is about the whole clip.
    """
    speaker = next((task.speaker for task in tasks if task.speaker), None)
    attributes = {name: text for task in reversed(tasks) for name, text in task.attributes.items()}
    clip = Clip(id=clip_id, seconds=seconds, speaker=speaker, attributes=attributes)
    return Entry(
        clip=clip,
        tasks=tuple([task.id for task in tasks]),
        answers=tuple([task.answer for task in tasks]),
        work=tasks[0].work
        if len(tasks) == 1
        else tuple(sorted((work for task in tasks for work in task.work), key=lambda work: work.at)),
        recording=next((task.recording for task in tasks if task.recording), None),
        segments=None if of_regions is None else segments_of(clip, tasks, of_regions),
        too_short=0 if of_regions is None else count_short(tasks, seconds),
    )
