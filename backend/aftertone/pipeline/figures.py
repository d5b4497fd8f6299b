"""What a project's tasks, as last read, say about its pool: counts, annotators, labels found, what is unusable."""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aftertone.attribute_names import count_values
from aftertone.doctor.untouched import Untouched, find_untouched
from aftertone.labelstudio.tasks import NO_ADDRESS, Answer, Task
from aftertone.pipeline.annotators import Annotators, find_annotators
from aftertone.store.project import ProjectStore
from aftertone.store.records import HeldOut, LearnedQuestion, Record, Source, Sources, Tasks
from aftertone_model.labels import Ratings

FILES = (Tasks, Sources, HeldOut, LearnedQuestion)  # what figures are made of


class TaskFigures(Record):
    """Of one project. Written by the worker, so that who shows them needn't read a large project's tasks."""

    FILE = "figures.json"
    PRIVATE = True  # speakers are people
    AFTER_DAMAGE = "They are counted again."

    tasks: int
    answered: int  # tasks
    clips: int
    labelled: int  # clips, as the status document has them
    tested: int
    untested: int
    skipped: int
    fetched: int  # audio addresses that were tried
    unfetched: int  # tasks whose audio nobody has tried to fetch yet
    unusable: dict[int, str]  # task -> why it has no usable audio
    untouched: Untouched
    attributes: dict[str, dict[str, Any]]  # see `aftertone.attribute_names.count_values`
    annotators: Annotators
    found: dict[str, float]  # class, or dimension=rating -> clips that annotators gave it, votes in parts
    done: frozenset[int]  # tasks that have an answer
    passed: frozenset[int]  # tasks that were skipped
    test: frozenset[str]  # clips of the test set
    speakers: dict[str, str]  # labelled test clip -> who speaks, where known


def task_figures(store: ProjectStore) -> TaskFigures:
    """Of the tasks as last read: as the worker wrote them, or counted where it hasn't yet."""
    with _lock:
        known = _known.setdefault(store.folder, _Known())
    return known.today(store)


def save_figures(store: ProjectStore) -> None:
    """Write them, where what they are made of has changed since."""
    if not _is_written(store):
        store.save(_figures(store))


class _Known:
    """A project's figures, and of which state of its files; read by one thread at a time."""

    def __init__(self) -> None:
        self._written: tuple[int, ...] = ()
        self._figures: TaskFigures | None = None
        self._reading = threading.Lock()

    def today(self, store: ProjectStore) -> TaskFigures:
        """Today's figures."""
        with self._reading:
            written = tuple(store.written(kind.FILE) for kind in (TaskFigures, *FILES))
            if self._figures is None or written != self._written:
                read = store.read(TaskFigures) if _is_written(store) else None
                self._figures, self._written = read or _figures(store), written
            return self._figures


_known: dict[Path, _Known] = {}
_lock = threading.Lock()


def _is_written(store: ProjectStore) -> bool:
    return store.written(TaskFigures.FILE) > max(store.written(kind.FILE) for kind in FILES)


def _figures(store: ProjectStore) -> TaskFigures:
    sources, tasks = store.get(Sources).sources, store.get(Tasks).cache.tasks
    held_out, learned = store.get(HeldOut).clips, store.read(LearnedQuestion)
    clips: dict[str, list[Answer]] = {}
    for task in tasks:
        source = sources.get(task.source)
        if source is not None and source.clip is not None:
            clips.setdefault(source.clip, []).append(task.answer)
    given = {clip for clip, answers in clips.items() if any(answer.given for answer in answers)}
    test = {clip for clip in clips if held_out.get(clip)}
    skipped = {clip for clip, answers in clips.items() if all(answer.skipped for answer in answers)} - given - test
    return TaskFigures(
        tasks=len(tasks),
        answered=sum(task.answer.given for task in tasks),
        clips=len(clips),
        labelled=len(given - test),
        tested=len(given & test),
        untested=len(test - given),
        skipped=len(skipped),
        fetched=len(sources),
        unfetched=sum(bool(task.source) and task.source not in sources for task in tasks),
        unusable={task.id: reason for task in tasks if (reason := _unusable(task, sources))},
        untouched=find_untouched(tasks),
        attributes=count_values(_attributes(tasks, sources)),
        annotators=find_annotators(tasks, rated=learned is not None and learned.kind == Ratings.kind),
        found=_found(clips.values()),
        done=frozenset(task.id for task in tasks if task.answer.given),
        passed=frozenset(task.id for task in tasks if task.answer.skipped),
        test=frozenset(test),
        speakers=_speakers(tasks, sources, given & test),
    )


def _found(clips: Iterable[Sequence[Answer]]) -> dict[str, float]:
    """Each clip counts once, in parts where its votes differ; a vote for several classes counts for each."""
    found: dict[str, float] = defaultdict(float)
    for answers in clips:
        voters = sum(answer.voters for answer in answers)
        for answer in answers if voters else ():
            for word, votes in answer.votes.items():
                found[word] += votes / voters
    return dict(found)


def _speakers(tasks: Sequence[Task], sources: Mapping[str, Source], wanted: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for task in tasks:
        source = sources.get(task.source)
        if task.speaker and source is not None and source.clip is not None and source.clip in wanted:
            found.setdefault(source.clip, task.speaker)
    return found


def _attributes(tasks: Sequence[Task], sources: Mapping[str, Source]) -> Iterable[Mapping[str, str]]:
    """The attributes of each usable clip."""
    found: dict[str, dict[str, str]] = {}
    for task in reversed(tasks):  # of several tasks with the same audio the first counts
        if task.attributes and task.source in sources and (clip := sources[task.source].clip) is not None:
            found.setdefault(clip, {}).update(task.attributes)
    return found.values()


def _unusable(task: Task, sources: Mapping[str, Source]) -> str:
    """Why a task has no usable audio; '' where it has some, or it isn't fetched yet."""
    if not task.source:
        return NO_ADDRESS
    return sources[task.source].error if task.source in sources else ""
