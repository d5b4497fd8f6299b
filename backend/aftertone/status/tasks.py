"""What a project's tasks, as last read, say about its pool: counts, annotators, labels found, what is unusable."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aftertone.attribute_names import count_values
from aftertone.doctor.untouched import Untouched, find_untouched
from aftertone.labelstudio.tasks import NO_ADDRESS, Answer, Task
from aftertone.pipeline.annotators import Annotators, find_annotators
from aftertone.store.project import ProjectStore
from aftertone.store.records import HeldOut, Source, Sources, Tasks

MOST_KEPT = 64  # projects whose figures stay in memory


@dataclass(frozen=True, kw_only=True)
class TaskFigures:
    """Of one project."""

    tasks: int
    answered: int  # tasks
    clips: int
    labelled: int  # clips, as `document.Counts` has them
    tested: int
    untested: int
    skipped: int
    fetched: int  # audio addresses that were tried
    unfetched: int  # tasks whose audio nobody has tried to fetch yet
    unusable: Mapping[int, str]  # task -> why it has no usable audio
    untouched: Untouched
    attributes: Mapping[str, Mapping[str, Any]]  # see `aftertone.attribute_names.count_values`
    annotators: Annotators
    found: Mapping[str, float]  # class, or dimension=rating -> clips that annotators gave it, votes in parts
    done: frozenset[int]  # tasks that have an answer
    passed: frozenset[int]  # tasks that were skipped
    seconds: Mapping[str, float]  # clip -> its length
    speakers: Mapping[str, str] = field(repr=False)  # clip -> who speaks, where known


def task_figures(store: ProjectStore, *, late: bool = False) -> TaskFigures:
    """Of the tasks as last read; computed once for each state of the files that it comes from.

    Args:
        late: whether those of an earlier state do while the new ones are computed, which takes seconds for a large
            pool.
    """
    with _lock:
        known = _known.setdefault(store.folder, _Known())
        while len(_known) > MOST_KEPT:
            del _known[next(iter(_known))]
    if late and known.figures is not None:
        if known.written != _written(store) and not known.refreshing.locked():
            threading.Thread(target=known.refresh, args=(store.folder,), daemon=True).start()
        return known.figures
    return known.refresh(store.folder)


class _Known:
    """A project's figures, and of which state of its files; computed by one thread at a time."""

    def __init__(self) -> None:
        self.written: tuple[int, ...] = ()
        self.figures: TaskFigures | None = None
        self.refreshing = threading.Lock()

    def refresh(self, folder: Path) -> TaskFigures:
        """Today's figures."""
        with self.refreshing:
            store = ProjectStore(folder)
            written = _written(store)
            if self.figures is None or written != self.written:
                self.figures, self.written = _figures(store), written
            return self.figures


_known: dict[Path, _Known] = {}
_lock = threading.Lock()


def _written(store: ProjectStore) -> tuple[int, ...]:
    return tuple(store.written(record.FILE) for record in (Tasks, Sources, HeldOut))


def _figures(store: ProjectStore) -> TaskFigures:
    sources, tasks = store.get(Sources).sources, store.get(Tasks).cache.tasks
    held_out = store.get(HeldOut).clips
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
        annotators=find_annotators(tasks),
        found=_found(clips.values()),
        done=frozenset(task.id for task in tasks if task.answer.given),
        passed=frozenset(task.id for task in tasks if task.answer.skipped),
        seconds={source.clip: source.seconds for source in sources.values() if source.clip is not None},
        speakers=_speakers(tasks, sources),
    )


def _found(clips: Iterable[Sequence[Answer]]) -> Mapping[str, float]:
    """Each clip counts once, in parts where its votes differ; a vote for several classes counts for each."""
    found: Counter[str] = Counter()
    for answers in clips:
        voters = sum(answer.voters for answer in answers)
        for answer in answers if voters else ():
            for word, votes in answer.votes.items():
                found[word] += votes / voters
    return dict(found)


def _speakers(tasks: tuple[Task, ...], sources: Mapping[str, Source]) -> dict[str, str]:
    found: dict[str, str] = {}
    for task in tasks:
        source = sources.get(task.source)
        if task.speaker and source is not None and source.clip is not None:
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
