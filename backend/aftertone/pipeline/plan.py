"""What to do next: a pure function of what is true in Label Studio and in the store."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aftertone.labelstudio.client import UNCERTAINTY
from aftertone.labelstudio.snapshot import Snapshot, Task
from aftertone.pipeline.dataset import RETRY_SECONDS, Dataset
from aftertone.settings import Settings
from aftertone.store.rounds import Round

LEAST_SEED_PER_CLASS = 5
LEAST_BATCH = 20
SEED_SHARE = 0.01  # of the pool: the paper's seed set (section 3.2)
BATCH_SHARE = 0.05  # of the pool: batches of 1 % gave worse models (docs/results)


@dataclass(frozen=True, kw_only=True)
class Sync:
    """Fetch and decode audio that is new or may be tried again."""

    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Adapt:
    """Adapt the backbone to the pool's audio without labels (TAPT)."""


@dataclass(frozen=True)
class Seed:
    """Find the seed set."""


@dataclass(frozen=True)
class Train:
    """Fine-tune on all labels so far."""


@dataclass(frozen=True)
class Rank:
    """Score the pool with the model just trained and complete its round."""


@dataclass(frozen=True, kw_only=True)
class Publish:
    """Put a complete round's ranking at the head of the annotators' queue, or back there."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing to do until something changes."""

    why: str  # for people
    seconds: float | None = None  # look again after this long even if nobody says that anything changed


Step = Sync | Adapt | Seed | Train | Rank | Publish | Wait


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the store holds, as far as the plan depends on it."""

    quiet_since: float  # epoch seconds at which the set of tasks was last seen to change
    adapted: bool  # TAPT is done, or found not to help
    exam: frozenset[str]  # clips that are never trained on
    last: Round | None = None  # the newest complete round
    current: int | None = None  # number of the round that was last put in front of the annotators
    trained: bool = False  # a model was trained for the next round, which isn't complete yet
    train_requested: bool = False  # somebody pressed Start Training


def next_step(snapshot: Snapshot, dataset: Dataset, memory: Memory, settings: Settings, now: float) -> Step:
    """Decide what `advance` does next.

    Publishing comes first, so that annotators never wait for anything slower; then audio, since everything is made of
    it; then the method's order: adapt, seed, train, rank.
    """
    last = memory.last
    if last is not None and _queue_lost(snapshot, last, memory.current):
        return Publish(number=last.number)
    if dataset.missing:
        return Sync(tasks=dataset.missing)
    if memory.trained:
        return Rank()
    if not dataset.entries:
        if dataset.failed:
            return Wait(why="none of the tasks has audio that can be used", seconds=RETRY_SECONDS)
        return Wait(why="the project has no tasks yet")
    if last is None and (unsettled := settings.settle_seconds - (now - memory.quiet_since)) > 0:
        return Wait(why="tasks are still being imported", seconds=unsettled)
    if not memory.adapted:
        return Adapt()
    if _enough_to_train(dataset, memory, settings):
        return Train()
    if last is None:
        return Seed()
    return Wait(why=f"waiting for labels: {last.changes(dataset.labels)} of {last.batch} since round {last.number}")


def seed_size(settings: Settings, pool: int, classes: int) -> int:
    """Clips in the seed set: 1 % of the pool (paper, section 3.2), but enough to see each class a few times."""
    return settings.seed_size or max(LEAST_SEED_PER_CLASS * classes, math.ceil(SEED_SHARE * pool))


def batch_size(settings: Settings, pool: int) -> int:
    """Labels that a round waits for."""
    return settings.batch_size or max(LEAST_BATCH, math.ceil(BATCH_SHARE * pool))


def _queue_lost(snapshot: Snapshot, last: Round, current: int | None) -> bool:
    """Whether annotators are served something else than the newest round's order."""
    if current != last.number:
        return True
    if not any(task in snapshot.tasks for task in last.published):
        return False  # nothing of it is left to serve
    return snapshot.model_version != last.version or snapshot.sampling != UNCERTAINTY


def _enough_to_train(dataset: Dataset, memory: Memory, settings: Settings) -> bool:
    labels = dataset.labels
    if not _two_classes({clip: label for clip, label in labels.items() if clip not in memory.exam}):
        return False
    last = memory.last
    changed = last.changes(labels) if last is not None else len(labels)
    wanted = last.batch if last is not None else seed_size(settings, len(dataset.entries), len(dataset.classes))
    all_done = not dataset.open_clips
    classes_changed = last is not None and last.kind == "trained" and last.classes != dataset.classes
    return changed >= wanted or classes_changed or (changed > 0 and (memory.train_requested or all_done))


def _two_classes(labels: Mapping[str, NDArray[np.float64]]) -> bool:
    return len({int(label.argmax()) for label in labels.values()}) >= 2
