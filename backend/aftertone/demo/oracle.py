"""Labels instead of people: annotators who know the manifest and use Label Studio's own queue, as the page does."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from aftertone.demo.errors import DemoError
from aftertone.demo.project import list_tasks, next_task, submit_choice
from aftertone.labelstudio.client import LabelStudio
from aftertone.store.project import ProjectStore
from aftertone.store.records import Sources
from aftertone.store.rounds import Round


@dataclass(frozen=True, kw_only=True)
class Serving:
    """One task as Label Studio opened it for one annotator."""

    round: int  # in front of the annotators at the time
    annotator: int  # index
    task: int
    expected: int | None  # the published task whose turn it was

    @property
    def as_published(self) -> bool:
        """Whether the queue kept to the published order."""
        return self.task == self.expected


class ServingLog:
    """Every serving so far, a JSON line each, so that a demo that was stopped goes on counting."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Serving]:
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                yield Serving(**json.loads(line))

    def append(self, serving: Serving) -> None:
        """Write one line."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(serving)) + "\n")


class Oracle:
    """Two or more annotators who label one project in turn."""

    def __init__(
        self,
        annotators: Sequence[LabelStudio],
        project: int,
        answers: Mapping[str, str],
        store: ProjectStore,
        log: ServingLog,
    ) -> None:
        self._annotators, self._project, self._store, self._log = annotators, project, store, log
        tasks = list_tasks(annotators[0], project)
        self._answers = {task.id: answers[task.audio] for task in tasks if task.audio in answers}
        self._audio = {task.id: task.audio for task in tasks}
        self._labelled = {task.id for task in tasks if task.labelled}
        # Whom Label Studio still holds a task for from an earlier start: it gives them the same one again.
        self._held = {s.annotator: s.task for s in log if s.task not in self._labelled}

    def label(self, record: Round, labelled: Callable[[int, int], None]) -> None:
        """Label what the round waits for: every annotator opens a task, then every one submits, and so on.

        Args:
            labelled: called with the number of clips done and the number asked for.

        Raises:
            DemoError: the queue serves nothing, or something that the manifest doesn't know.
        """
        known = {*record.labelled, *record.tested}
        while (done := len(self._clips() - known)) < record.batch:
            labelled(done, record.batch)
            turn = range(min(len(self._annotators), record.batch - done))
            for annotator in turn:
                self.open_next(annotator, record)
            for annotator in turn:
                self._submit(annotator)
        labelled(done, record.batch)

    def open_next(self, annotator: int, record: Round) -> Serving:
        """Have Label Studio choose the annotator's next task, and note which one should have been next.

        Raises:
            DemoError: the queue is empty.
        """
        others = {task for holder, task in self._held.items() if holder != annotator}
        free = (task for task in record.published if task not in self._labelled and task not in others)
        expected = self._held.get(annotator) or next(free, None)
        task = next_task(self._annotators[annotator], self._project)
        if task is None:
            raise DemoError(
                f"Label Studio's queue is empty for annotator {annotator + 1} although round {record.number} waits for "
                "labels. Use a larger LIMIT or fewer ROUNDS."
            )
        serving = Serving(round=record.number, annotator=annotator, task=task, expected=expected)
        if self._held.get(annotator) != task:
            self._log.append(serving)
        self._held[annotator] = task
        return serving

    def _submit(self, annotator: int) -> None:
        task = self._held[annotator]
        if task not in self._answers:
            raise DemoError(
                f"Label Studio served task {task}, for which the manifest has no emotion. The oracle labels only what "
                "it imported: remove the other tasks from the project."
            )
        submit_choice(self._annotators[annotator], task, self._answers[task])
        self._labelled.add(task)
        del self._held[annotator]

    def _clips(self) -> set[str]:
        """Clips that have a label: fewer than tasks where the same audio was imported twice."""
        sources = self._store.get(Sources).sources
        found = (sources.get(self._audio[task]) for task in self._labelled)
        return {source.clip for source in found if source is not None and source.clip is not None}
