"""People who label: they open the next task and submit, again and again, whatever happens behind Label Studio."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aftertone.demo.project import next_task, submit_choice
from aftertone.errors import LabelStudioError
from aftertone.labelstudio.client import LabelStudio
from tests.chaos import queue_order
from tests.chaos.deployment import Deployment
from tests.chaos.journal import Accepted, Journal, Served
from tests.chaos.rounds import History

LABELS = ("neutral", "happy", "angry", "sad")
TASKS = 24  # of a new project
LEAST_OPEN = 14  # open tasks below which more are imported
MORE = 12
MOST_TASKS = 240  # of a project; then its annotators begin another
SETTLE_SECONDS = 1.0  # in which what others opened at the same moment becomes known


@dataclass
class Desk:
    """One project at a time, and the people who label it."""

    name: str
    project: int = 0
    title: str = ""
    tasks: int = 0
    begun: int = 0  # projects so far


class Projects:
    """Where desks get their projects from."""

    def __init__(self, deployment: Deployment, histories: dict[int, History]) -> None:
        self._deployment, self.histories = deployment, histories
        self.lock = threading.Lock()

    def begin(self, desk: Desk) -> None:
        """Give a desk a new project: make it, connect it, as a user does."""
        desk.begun += 1
        title = f"{desk.name}-{desk.begun}"
        with self.lock:
            project = self._deployment.host.project(title, TASKS)
        store = self._deployment.store(project)
        self.histories[project] = History(project, store)
        self._deployment.host.connect(project, self._deployment.backend_url, store)
        desk.project, desk.title, desk.tasks = project, title, TASKS

    def keep_open(self, desk: Desk, labelled: int) -> None:
        """Import more where little is left to label; begin another project where this one is large."""
        if desk.tasks - labelled >= LEAST_OPEN:
            return
        if desk.tasks >= MOST_TASKS:
            self.begin(desk)
        else:
            with self.lock:
                self._deployment.host.add_tones(desk.project, desk.title, MORE)
            desk.tasks += MORE


class Annotator(threading.Thread):
    """Somebody at a desk."""

    def __init__(
        self, name: str, desk: Desk, deployment: Deployment, journal: Journal, projects: Projects, *, first: bool,
        pace: float, seed: int, violation: Callable[[str], None],
    ) -> None:  # fmt: skip
        """
        Args:
            first: whether this one sees to it that the desk has tasks.
            pace: mean seconds between two labels.
        """
        super().__init__(name=name, daemon=True)
        self._desk, self._deployment, self._journal, self._projects = desk, deployment, journal, projects
        self._first, self._pace, self._violation = first, pace, violation
        self._rng = random.Random(seed)
        self._client = LabelStudio(deployment.host.url, deployment.host.annotator(name).token)
        self.over, self.pause = threading.Event(), threading.Event()
        self.busy = False

    def run(self) -> None:
        """Label until told to stop."""
        while not self.over.wait(self._rng.expovariate(1 / self._pace) if self._pace else 0):
            if self.pause.is_set():
                continue
            self.busy = True
            starts = self._starts()
            try:
                if self._first:
                    self._projects.keep_open(self._desk, len(self._journal.attempted(self._desk.project)))
                self._label_one()
            except LabelStudioError as error:
                self._journal.lose_answer(self.name)
                if self._deployment.host.up and self._starts() == starts:
                    self._journal.complain(f"{self.name}: {error}")
                self.over.wait(0.5)
            except Exception as error:
                self._violation(f"the harness itself failed in {self.name}: {type(error).__name__}: {error}")
                raise
            finally:
                self.busy = False

    def end(self) -> None:
        """Stop after the label in work."""
        self.over.set()

    def _starts(self) -> int:
        process = self._deployment.host.process
        return process.starts if process else 0

    def _label_one(self) -> None:
        project = self._desk.project
        before, began = self._version(project), time.time()
        held, labelled = self._journal.held_by(self.name), self._journal.labelled(project)
        task = next_task(self._client, project)
        seconds, versions = time.time() - began, (before, self._version(project))
        word = self._verdict(project, task, versions, held, labelled)
        self._journal.serve(
            Served(
                project=project, task=task, annotator=self.name, versions=versions, verdict=word, at=began,
                seconds=seconds,
            )
        )  # fmt: skip
        if word in (queue_order.WRONG, queue_order.UNPUBLISHED):
            self._violation(
                f"project {project}: task {task} was served {word} to {self.name} under {versions[1] or 'no version'}"
            )
        if task is None:
            self.over.wait(1)
            return
        label = LABELS[self._rng.randrange(len(LABELS))]
        self._journal.attempt(project, task, label)
        number = submit_choice(self._client, task, label)
        self._journal.accept(
            Accepted(id=number, project=project, task=task, label=label, annotator=self.name, at=time.time())
        )

    def _version(self, project: int) -> str:
        return str(self._client.get(f"/api/projects/{project}/").get("model_version") or "")

    def _verdict(
        self, project: int, task: int | None, versions: tuple[str, str], held: int | None, labelled: set[int]
    ) -> str:
        history = self._projects.histories[project]
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            word = queue_order.verdict(
                task,
                versions,
                history.published(versions[1]),
                labelled=labelled,
                taken=self._journal.taken(project, self.name),
                held=held,
                unsure=self._journal.unsure,
                ever_published=history.current is not None,
            )
            if word not in (queue_order.WRONG, queue_order.UNPUBLISHED) or time.monotonic() > deadline:
                return word
            time.sleep(0.1)


def rest(annotators: Sequence[Annotator], seconds: float) -> None:
    """Have everybody stop after the label in work, and wait for that."""
    for annotator in annotators:
        annotator.pause.set()
    deadline = time.monotonic() + seconds
    while any(annotator.busy for annotator in annotators) and time.monotonic() < deadline:
        time.sleep(0.05)
