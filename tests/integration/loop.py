"""A project in the real Label Studio with Aftertone connected to it, driven step by step."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aftertone.pipeline.advance import Advance
from aftertone.pipeline.jobs import JobQueue
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Problem
from tests.integration.server import Annotator, Server, tone, wav

LABELS = ("neutral", "happy", "angry", "sad")


@dataclass(frozen=True, kw_only=True)
class Loop:
    """One project and its store."""

    server: Server
    project: int
    settings: Settings
    jobs: JobQueue = field(repr=False)
    anna: Annotator = field(repr=False)

    @property
    def store(self) -> ProjectStore:
        return Store(self.settings.model_dir).project(self.project)

    def advance(self) -> None:
        """Do everything that can be done now, in this process, as a worker's job would."""
        Advance(self.project, self.settings, lambda _: None).run()

    def label(self, count: int, by: Annotator | None = None) -> list[int]:
        """Label the next `count` tasks of the queue; returns their ids in the order in which they were served."""
        annotator = by or self.anna
        served = []
        for _ in range(count):
            task = annotator.next_task(self.project)
            assert task is not None, "the queue is empty"
            annotator.choose(task, LABELS[task % len(LABELS)])
            served.append(task)
        return served

    def project_row(self) -> dict[str, Any]:
        return self.server.session.get(f"/api/projects/{self.project}/")

    def predictions(self) -> list[dict[str, Any]]:
        return self.server.session.get("/api/predictions", project=self.project)

    def problem(self) -> str:
        found = self.store.read(Problem)
        return found.message if found else ""

    def check_queue(self) -> None:
        """The newest round's queue is published whole, once, and the project points to it."""
        assert self.problem() == ""
        state = self.store.load()
        record = state.queue
        assert record is not None
        assert state.last is not None
        assert state.current == state.last.number
        row = self.project_row()
        assert row["model_version"] == record.version
        assert row["sampling"] == "Uncertainty sampling"
        existing = set(self.server.tasks(self.project))
        published = [(p["model_version"], p["task"]) for p in self.predictions()]
        assert sorted(published) == sorted((record.version, task) for task in record.published if task in existing)


def more_files(loop: Loop, count: int, start: int = 500) -> list[int]:
    """Import more audio into the project; returns the new task ids."""
    before = set(loop.server.tasks(loop.project))
    files = {f"more-{i}.wav": wav(tone(i)) for i in range(start, start + count)}
    return [t for t in loop.server.add_tasks(loop.project, loop.server.folder(loop.project), files) if t not in before]


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something is so, and fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.05)
