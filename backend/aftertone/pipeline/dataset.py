"""Tasks and clips joined: which clip each task holds, and what people have said about each clip."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aftertone.labelstudio.tasks import NO_ADDRESS, Answer, Snapshot, Task, Work
from aftertone.store.clock import elapsed
from aftertone.store.records import Source
from aftertone_model.data.clips import Clip
from aftertone_model.labels import LabelSchema
from aftertone_model.votes.soft_labels import Method, soft_labels
from aftertone_model.votes.vote import Vote


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One clip of the pool with the tasks that hold it; the same audio imported twice is one clip."""

    clip: Clip
    tasks: tuple[int, ...]  # ascending
    answers: tuple[Answer, ...]  # of each of its tasks
    work: tuple[Work, ...] = ()  # of all its tasks, in order of submission
    recording: str | None = None  # that it was cut from, where that is known

    @cached_property
    def answer(self) -> Answer:
        """Of all its tasks together."""
        return self.answers[0] if len(self.answers) == 1 else _together(self.answers)

    @property
    def votes(self) -> Iterator[Vote]:
        """Each annotator's vote in each task."""
        for answer in self.answers:
            for who, chosen in answer.by.items():
                yield Vote(clip=self.clip.id, annotator=who, chosen=chosen, final=answer.final)


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
            clip: self.schema.target(entry.answer.votes, entry.answer.voters)
            for clip, entry in self.entries.items()
            if entry.answer.votes and clip not in self.awaited
        }
        return {clip: label for clip, label in found.items() if label is not None}

    def labels_by(self, method: Method) -> dict[str, NDArray[np.float64]]:
        """The same clips' labels as training wants them: with `reliability`, one vote may change all.

        Args:
            method: `TrainingConfig.votes`.
        """
        votes = (vote for entry in self.entries.values() for vote in entry.votes)
        learned = soft_labels(votes, self.schema, method)
        return {clip: learned.get(clip, label) for clip, label in self.labels.items()}

    @cached_property
    def clips(self) -> list[Clip]:
        """Every usable clip."""
        return [entry.clip for entry in self.entries.values()]

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


def join(snapshot: Snapshot, sources: Mapping[str, Source], now: float) -> Dataset:
    """Join a project's tasks with what is known about their audio.

    Args:
        snapshot: the project as it is.
        sources: what became of each audio address so far.
        now: epoch seconds, for addresses that may be tried again.
    """
    held: dict[str, list[Task]] = {}
    failed: dict[int, str] = {}
    missing: list[Task] = []
    retries: list[Task] = []
    for task in snapshot.tasks.values():
        if not task.source:
            failed[task.id] = NO_ADDRESS
        elif (source := sources.get(task.source)) is None:
            missing.append(task)
        elif source.clip is not None:
            held.setdefault(source.clip, []).append(task)
        else:
            failed[task.id] = source.error
            if source.retry and elapsed(source.at, now) >= source.pause:
                retries.append(task)
    entries = {clip: _entry(clip, tasks, sources[tasks[0].source].seconds) for clip, tasks in held.items()}
    return Dataset(
        schema=snapshot.question.schema,
        question=snapshot.question.control,
        entries=entries,
        failed=failed,
        missing=tuple(missing),
        retries=tuple(retries),
        overlap=snapshot.overlap,
    )


def _entry(clip: str, tasks: Sequence[Task], seconds: float) -> Entry:
    speaker = next((task.speaker for task in tasks if task.speaker), None)
    attributes = {name: text for task in reversed(tasks) for name, text in task.attributes.items()}
    return Entry(
        clip=Clip(id=clip, seconds=seconds, speaker=speaker, attributes=attributes),
        tasks=tuple([task.id for task in tasks]),
        answers=tuple([task.answer for task in tasks]),
        work=tasks[0].work
        if len(tasks) == 1
        else tuple(sorted((work for task in tasks for work in task.work), key=lambda work: work.at)),
        recording=next((task.recording for task in tasks if task.recording), None),
    )


def _together(answers: Sequence[Answer]) -> Answer:
    votes: Counter[str] = Counter()
    for answer in answers:
        votes.update(answer.votes)
    skipped = not votes and all(answer.skipped for answer in answers)
    return Answer(votes=dict(votes), voters=sum(answer.voters for answer in answers), skipped=skipped)
