"""An emotion for every clip of a project: what people say, what the served model says, and how sure each is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aftertone.addresses import without_secrets
from aftertone.errors import StoreError
from aftertone.labelstudio.tasks import NO_ADDRESS, Task
from aftertone.pipeline.dataset import Entry, entries_of
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.records import Tasks
from aftertone.store.round_scores import DIGITS
from aftertone.store.rounds import Round
from aftertone.store.state import State
from aftertone_model.data.clips import Clip
from aftertone_model.labels import Choices, LabelSchema, Ratings
from aftertone_model.progress import Progress, silent

TRAIN = "train"  # has a label, and rounds learn from it
TEST = "test"  # has a label, and is held out
UNLABELLED = "unlabelled"
SKIPPED = "skipped"  # by everybody who was asked
UNUSABLE = "unusable"  # its audio can't be used
UNFETCHED = "unfetched"  # its audio waits for a worker


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One clip of the pool, or one task that has none."""

    tasks: tuple[int, ...]  # that hold the clip, ascending; at least one
    audio: str  # address, without what is secret in it
    split: str  # one of the above
    clip: Clip | None = None  # None where there is no usable audio
    note: str = ""  # why there is no usable audio
    target: NDArray[np.float64] | None = None  # (C,) `LabelSchema.target`; None without a label
    voters: int = 0  # annotators who chose something that the label config offers
    votes: Mapping[str, tuple[str, ...]]  # annotator -> words chosen
    predictions: tuple[float, ...] = ()  # (C,) `LabelSchema.predictions`, as /predict has them; () without a model


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Every clip of a project, once, in order of the tasks."""

    record: Round  # that annotators are served; it may be a seed set, which predicts nothing
    rows: tuple[Prediction, ...]
    scored: int  # clips that the round didn't know, and that its model was asked about just now
    unknown: int  # clips that it didn't know and that its model wasn't asked about, or has no weights any more

    @property
    def schema(self) -> LabelSchema:
        """What kind of answer was asked for."""
        return self.record.label_schema


def predictions_of(
    store: ProjectStore, settings: Settings, progress: Progress = silent, *, later: bool = True
) -> Predictions:
    """What people and the served round say of every clip that the project had when it was last read.

    A round scores the whole pool, labelled and test clips too, and what it said is read from there. Clips that came
    later are scored now, by the round's own model.

    Args:
        settings: for those: where to compute.
        later: whether they are scored at all; without, no model is loaded.

    Raises:
        StoreError: annotators are served no round yet.
    """
    state = store.load()
    record, entries = _round(store, state), entries_of(store.get(Tasks).cache.tasks, state.sources)
    found, missing = _served(store, record, entries.values())
    scored = _score(store, settings, record, missing, progress) if missing and later else {}
    rows = _rows(store, state, record, entries, found | scored)
    return Predictions(record=record, rows=rows, scored=len(scored), unknown=len(missing) - len(scored))


def labels_of(store: ProjectStore) -> tuple[LabelSchema, tuple[Prediction, ...]]:
    """The kind of answer, and what people say of every clip, without predictions.

    Raises:
        StoreError: annotators are served no round yet.
    """
    state = store.load()
    record, entries = _round(store, state), entries_of(store.get(Tasks).cache.tasks, state.sources)
    return record.label_schema, _rows(store, state, record, entries, {})


def _split(entry: Entry, labelled: bool, state: State) -> str:
    if labelled:
        return TEST if entry.clip.id in state.test_clips else TRAIN
    return SKIPPED if entry.answer.skipped else UNLABELLED


def _round(store: ProjectStore, state: State) -> Round:
    """What annotators are served."""
    if state.current is None or state.current not in store.round_numbers():
        raise StoreError(
            f"Project {store.folder.name} has no round yet, so there is nothing to write. `aftertone status` says what "
            "it waits for."
        )
    return store.round(state.current)


def _rows(
    store: ProjectStore,
    state: State,
    record: Round,
    entries: Mapping[str, Entry],
    predictions: Mapping[str, tuple[float, ...]],
) -> tuple[Prediction, ...]:
    tasks = store.get(Tasks).cache.tasks
    addresses = {task.id: without_secrets(task.source) for task in tasks}
    rows = [
        _row(entry, addresses[entry.tasks[0]], record.label_schema, state, predictions.get(clip, ()))
        for clip, entry in entries.items()
    ]
    return tuple(sorted([*rows, *_without_clip(tasks, state)], key=lambda row: row.tasks))


def _served(
    store: ProjectStore, record: Round, entries: Iterable[Entry]
) -> tuple[dict[str, tuple[float, ...]], list[Clip]]:
    """Clip -> the served round's predictions, and the clips that it has none of though it has a model."""
    scores = store.scores(record.number)[1]
    found: dict[str, tuple[float, ...]] = {}
    missing: list[Clip] = []
    for entry in entries:
        known = [scores[task].predictions for task in entry.tasks if task in scores and scores[task].predictions]
        if known:
            found[entry.clip.id] = known[0]
        elif record.kind == "trained":
            missing.append(entry.clip)
    return found, missing


def _score(
    store: ProjectStore, settings: Settings, record: Round, clips: Sequence[Clip], progress: Progress
) -> dict[str, tuple[float, ...]]:
    """The same of clips that came after the round, by its model; {} where its weights have gone."""
    if record.number not in store.with_model():
        return {}
    from aftertone.pipeline.round_judge import round_judge  # brings torch

    learner, model = round_judge(store, settings, record, store.pool, progress)
    rows = learner.predict(model, clips).round(DIGITS)
    return {clip.id: tuple(map(float, row)) for clip, row in zip(clips, rows, strict=True)}


def _row(entry: Entry, address: str, schema: LabelSchema, state: State, predictions: tuple[float, ...]) -> Prediction:
    answer = entry.answer
    target = schema.target(answer.votes, answer.voters) if answer.given else None
    return Prediction(
        tasks=entry.tasks,
        audio=address,
        split=_split(entry, target is not None, state),
        clip=entry.clip,
        target=target,
        voters=answer.voters,
        votes={who: chosen for one in entry.answers for who, chosen in one.by.items()},
        predictions=predictions,
    )


def _without_clip(tasks: Sequence[Task], state: State) -> Iterator[Prediction]:
    for task in tasks:
        source = state.sources.get(task.source) if task.source else None
        if source is not None and source.clip is not None:
            continue
        waits = bool(task.source) and source is None
        yield Prediction(
            tasks=(task.id,),
            audio=without_secrets(task.source),
            split=UNFETCHED if waits else UNUSABLE,
            note="" if waits else (source.error if source is not None else NO_ADDRESS),
            votes={},
        )


def label_of(row: Prediction, schema: LabelSchema) -> tuple[str, ...]:
    """The words that annotators agree on; () without a label, or where votes tie."""
    if row.target is None or not schema.clear(row.target[None])[0]:
        return ()
    return schema.answer(row.target.tolist())


def vote_share(row: Prediction, schema: LabelSchema) -> float | None:
    """Share of the votes for the label; of several classes, that of the class with the fewest. None of ratings."""
    if row.target is None or not isinstance(schema, Choices):
        return None
    chosen = [share for share in row.target.tolist() if share >= 0.5]
    return float(row.target.max()) if schema.exclusive or not chosen else min(chosen)


def uncertainty(row: Prediction, schema: LabelSchema) -> float | None:
    """Entropy of the model's answer in nats; None without one, and of ratings, which have no probabilities."""
    if not row.predictions or not isinstance(schema, Choices):
        return None
    return float(schema.uncertainty(np.array([row.predictions]))[0])


def in_units(shares: Sequence[float], schema: LabelSchema) -> list[float]:
    """Numbers (C,) for people: probabilities as they are, ratings in the units of their scales."""
    if not isinstance(schema, Ratings):
        return list(shares)
    return [scale.low + share * (scale.high - scale.low) for scale, share in zip(schema.scales, shares, strict=True)]
