"""The whole loop in memory: a FakeLabelStudio, and Aftertone advancing in this process."""

import atexit
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from aftertone.pipeline.advance import Advance
from aftertone.pipeline.services import Services
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore, Store
from aftertone.store.records import Connection, Problem
from aftertone.store.rounds import Round
from aftertone_model.data.decoders import Decoders
from tests.unit.aftertone.fake_label_studio import FakeFetcher, FakeLabelStudio

ARCHIVE = Path(__file__).parents[2] / "stores" / "d52d7a6.tar.gz"
LABELS = ("neutral", "happy", "sad")
SMALL = {"seed_size": 6, "batch_size": 6, "settle_seconds": 0.0, "device": "cpu", "test_share": 0.25}


@dataclass(kw_only=True)
class MemoryLoop:
    """Project 1 and its store."""

    label_studio: FakeLabelStudio
    settings: Settings
    alarms: list[float] = field(default_factory=list)  # seconds after which `advance` asked to be run again

    def __post_init__(self) -> None:
        self.fetcher = FakeFetcher(self.label_studio)

    @property
    def store(self) -> ProjectStore:
        return Store(self.settings.model_dir).project(1)

    def advance(self) -> None:
        """Do everything that can be done now."""
        Advance(1, self.settings, self.alarms.append, self._connect).run()

    def label(self, count: int) -> list[int]:
        """Label the next tasks of the queue; returns their ids."""
        tasks = self.label_studio.queue()[:count]
        assert len(tasks) == count, "the queue is empty"
        for task in tasks:
            self.label_studio.annotate(task, LABELS[task % 3])
        return tasks

    @property
    def last(self) -> Round:
        return self.store.rounds()[-1]

    @property
    def problem(self) -> str:
        found = self.store.read(Problem)
        return found.message if found else ""

    def check_queue(self) -> None:
        """The newest round's queue is published whole, once, and the project points to it."""
        assert self.problem == ""
        queue, state = self.store.load().queue, self.label_studio.state
        assert queue is not None
        assert self.store.current == self.last.number
        assert state["project"]["model_version"] == queue.version
        assert state["project"]["sampling"] == "Uncertainty sampling"
        existing = {task["id"] for task in state["tasks"]}
        published = sorted((row["model_version"], row["task"]) for row in state["predictions"])
        assert published == sorted((queue.version, task) for task in queue.published if task in existing)

    @contextmanager
    def _connect(self, settings: Settings) -> Iterator[Services]:
        yield self.label_studio, self.fetcher, decoders()


@cache
def decoders() -> Decoders:
    """Those of all loops of this process, since starting one takes longer than decoding a tone."""
    made = Decoders(1)
    atexit.register(made.close)
    return made


def connect(label_studio: FakeLabelStudio, settings: Settings, backbone: Path, extra: Mapping[str, Any]) -> MemoryLoop:
    """A loop around a project that has just been connected."""
    loop = MemoryLoop(
        label_studio=label_studio, settings=settings.model_copy(update={**SMALL, "backbone": str(backbone)})
    )
    config = label_studio.state["project"]["label_config"]
    loop.store.connect(Connection(project=1, label_config=config, extra_params=extra))
    return loop


def unpack(folder: Path) -> Path:
    """The committed store of d52d7a6, unpacked."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def old_loop(folder: Path, settings: Settings) -> MemoryLoop:
    """A loop around the unpacked store of d52d7a6, as it stood."""
    state = json.loads((folder / "label-studio.json").read_text())
    changed = {**SMALL, "backbone": str(folder / "nano"), "model_dir": folder / "model"}
    return MemoryLoop(label_studio=FakeLabelStudio(state), settings=settings.model_copy(update=changed))
