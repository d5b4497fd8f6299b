"""What annotators saw and what Label Studio accepted from them: the truth that everything is compared with."""

import json
import threading
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """An annotation that Label Studio confirmed."""

    id: int
    project: int
    task: int
    label: str
    annotator: str
    at: float  # epoch seconds


@dataclass(frozen=True, kw_only=True)
class Served:
    """A task that Label Studio opened for an annotator."""

    project: int
    task: int | None  # None: nothing is left
    annotator: str
    versions: tuple[str, str]  # the project's model_version right before and right after
    verdict: str  # what the queue's order says to it
    at: float  # epoch seconds
    seconds: float  # that the answer took


class Journal:
    """Kept in memory and, a JSON line each, in a file. Usable from several threads."""

    def __init__(self, path: Path) -> None:
        self._lines, self._lock = path.open("a", encoding="utf-8"), threading.Lock()
        self.accepted: list[Accepted] = []
        self.served: list[Served] = []
        self.errors: list[str] = []  # refusals while Label Studio was up
        self._attempted: dict[int, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._held: dict[str, int] = {}
        self._unsure: set[str] = set()

    def attempt(self, project: int, task: int, label: str) -> None:
        """An annotation is about to be sent; whether it arrives, one may never learn."""
        with self._lock:
            self._attempted[project][task].append(label)

    def accept(self, entry: Accepted) -> None:
        """It arrived."""
        with self._lock:
            self.accepted.append(entry)
            self._held.pop(entry.annotator, None)
            self._write(entry)

    def serve(self, entry: Served) -> None:
        """A task was opened; its annotator holds it until they submit."""
        with self._lock:
            self.served.append(entry)
            if entry.task is not None:
                self._held[entry.annotator] = entry.task
                self._unsure.discard(entry.annotator)
            self._write(entry)

    def lose_answer(self, annotator: str) -> None:
        """An answer to somebody was lost: until the next one they may hold a task that nobody knows of."""
        with self._lock:
            self._unsure.add(annotator)

    @property
    def unsure(self) -> int:
        """How many may hold a task that nobody knows of."""
        with self._lock:
            return len(self._unsure)

    def complain(self, error: str) -> None:
        """Label Studio refused something although it was up."""
        with self._lock:
            self.errors.append(error)

    def attempted(self, project: int) -> dict[int, list[str]]:
        """Task -> labels sent, whether or not they were confirmed."""
        with self._lock:
            return {task: list(labels) for task, labels in self._attempted[project].items()}

    def labelled(self, project: int) -> set[int]:
        """Tasks whose annotation was confirmed."""
        with self._lock:
            return {entry.task for entry in self.accepted if entry.project == project}

    def taken(self, project: int, annotator: str) -> set[int]:
        """Tasks that nobody but their holder should be served: sent already, or open in front of somebody else."""
        with self._lock:
            return {*self._attempted[project], *(task for who, task in self._held.items() if who != annotator)}

    def held_by(self, annotator: str) -> int | None:
        """The task that Label Studio keeps for somebody who has opened it and not submitted."""
        with self._lock:
            return self._held.get(annotator)

    def labels(self, project: int) -> dict[int, tuple[int, str]]:
        """Every confirmed annotation of a project: id -> (task, label)."""
        with self._lock:
            return {entry.id: (entry.task, entry.label) for entry in self.accepted if entry.project == project}

    def _write(self, entry: Accepted | Served) -> None:
        self._lines.write(json.dumps({"kind": type(entry).__name__.lower(), **asdict(entry)}) + "\n")
        self._lines.flush()
