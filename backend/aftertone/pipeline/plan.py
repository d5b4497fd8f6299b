"""What to do next: a pure function of what is true in Label Studio and in the store."""

from dataclasses import dataclass

import numpy as np

from aftertone.labelstudio.tasks import Snapshot, Task
from aftertone.pipeline.dataset import Dataset
from aftertone.pipeline.method_needs import adapts, method_awaits
from aftertone.pipeline.queue import asked_tasks, seed_size
from aftertone.settings import Settings
from aftertone.store.records import FIRST_RETRY
from aftertone.store.state import State
from aftertone_model.data.clips import file_of


@dataclass(frozen=True, kw_only=True)
class Ingest:
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
class Extend:
    """Queue more of a round's ranking, before annotators are served random clips."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing to do until something changes."""

    why: str  # for people
    seconds: float | None = None  # look again after this long even if nobody says that anything changed


Step = Ingest | Adapt | Seed | Train | Rank | Publish | Extend | Wait


def next_step(snapshot: Snapshot, dataset: Dataset, state: State, settings: Settings, now: float) -> Step:
    """Decide what `advance` does next.

    Publishing and extending come first, so that annotators never wait for anything slower; then audio, since everything
    is made of it; then the method's order: adapt, seed, train, rank. Audio that couldn't be fetched before is tried
    again when there is nothing else to do, so that a host which is down holds up no round. While the project is paused,
    only the queue is kept.
    """
    if state.paused:
        return _while_paused(snapshot, dataset, state)
    step = _next_step(snapshot, dataset, state, settings, now)
    return Ingest(tasks=dataset.retries) if isinstance(step, Wait) and dataset.retries else step


def _while_paused(snapshot: Snapshot, dataset: Dataset, state: State) -> Step:
    """Keep the queue as it was when the project was paused, or as a rollback wants it, and do nothing else."""
    last = state.last
    if last is not None and last.number in (state.current, state.chosen):
        if _queue_lost(snapshot, state):
            return Publish(number=last.number)
        if _queue_ends(dataset, state, last.batch) or _asked_for(dataset, state):
            return Extend(number=last.number)
    return Wait(why=f"paused; `aftertone resume {snapshot.project}` goes on")


def _next_step(snapshot: Snapshot, dataset: Dataset, state: State, settings: Settings, now: float) -> Step:
    last = state.last
    if last is not None and _queue_lost(snapshot, state):
        return Publish(number=last.number)
    if last is not None and (_queue_ends(dataset, state, last.batch) or _asked_for(dataset, state)):
        return Extend(number=last.number)
    if dataset.missing:
        return Ingest(tasks=dataset.missing)
    if state.trained:
        return Rank()
    if not dataset.entries:
        if dataset.failed:
            return Wait(why="none of the tasks has audio that can be used", seconds=FIRST_RETRY)
        return Wait(why="the project has no tasks yet")
    if unsettled := state.unsettled(settings.settle_seconds, now):
        return Wait(why="tasks are still being imported", seconds=unsettled)
    if dataset.lacking:
        return Wait(why=f"the method lacks something. {dataset.lacking}")
    if adapts(state, settings):
        return Adapt()
    awaits = ""
    if _enough_to_train(dataset, state, settings):
        trainable = [clip for clip in dataset.labelled_clips if clip.file not in state.test_clips]
        if not (awaits := method_awaits(trainable, settings)):
            return Train()
    if last is None:
        return Seed()
    changed = (state.newest or last).changes(dataset.labels)
    unvaried = changed >= last.batch and bool(dataset.labels)
    same = ", but all training labels so far are the same: one with another answer is needed" if unvaried else ""
    since = f"{changed} of {last.batch} since round {(state.newest or last).number}"
    further = f"; {len(dataset.awaited)} clips wait for further votes" if dataset.awaited else ""
    if awaits:
        return Wait(why=f"waiting for labels: {awaits}")
    asked = "; a training that was asked for begins with the labels to come" if state.train_requested else ""
    return Wait(why=f"waiting for labels: {since}{same}{further}{asked}")


def _queue_lost(snapshot: Snapshot, state: State) -> bool:
    """Whether annotators are served something else than the last round's order, or not all of it once."""
    queue = state.queue
    if queue is None or state.current != state.standing[-1].number:
        return True
    left = sum(task in snapshot.tasks for task in queue.published)
    if not left:
        return False  # nothing of it is left to serve
    return not snapshot.serves(queue.version) or snapshot.predictions.get(queue.version, 0) != left


def _queue_ends(dataset: Dataset, state: State, batch: int) -> bool:
    """Whether annotators come near the end of what is published, and there is more: half a batch of open clips."""
    published = set(state.queue.published) if state.queue is not None else set()
    open_tasks = [dataset.entries[clip.id].tasks[0] for clip in dataset.open_clips]
    left = sum(task in published for task in open_tasks)
    return left < len(open_tasks) and 2 * left <= batch


def _asked_for(dataset: Dataset, state: State) -> bool:
    """Whether people asked for clips that aren't at the head of what is published."""
    asked = set(asked_tasks(dataset, state.test_clips, state.asked))
    if not asked or state.queue is None:
        return False
    open_tasks = {dataset.entries[clip.id].tasks[0] for clip in dataset.open_clips}
    head = [task for task in state.queue.published if task in open_tasks][: len(asked)]
    return set(head) != asked


def _enough_to_train(dataset: Dataset, state: State, settings: Settings) -> bool:
    labels = dataset.labels
    trainable = [label for clip, label in labels.items() if file_of(clip) not in state.test_clips]
    if not trainable or not dataset.schema.varies(np.array(trainable)):
        return False  # one answer only: there is nothing to tell apart
    last, newest = state.last, state.newest
    changed = newest.changes(labels) if newest is not None else len({file_of(clip) for clip in labels})
    wanted = last.batch if last is not None else seed_size(settings, dataset)
    all_done = not dataset.open_clips and not dataset.awaited
    question_changed = (
        last is not None and last.kind == "trained" and not last.learned(dataset.question, dataset.schema)
    )
    question_changed |= last is not None and last.kind == "trained" and last.method != settings.method
    asked = state.train_anyway or (changed > 0 and (state.train_requested or all_done))
    return changed >= wanted or question_changed or asked
