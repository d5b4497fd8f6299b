"""The annotators' queue: how many clips a round asks for, and in which order. No other module decides any of it."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aftertone.labelstudio.tasks import Snapshot
from aftertone.pipeline.dataset import Dataset
from aftertone.settings import Settings
from aftertone.store.round_scores import Score
from aftertone_model.evaluation.test_split import shuffled, with_test_clips

if TYPE_CHECKING:
    from aftertone_model.acquisition.ranking import Ranking  # brings torch, which the plan never needs

LEAST_SEED_PER_CLASS = 5
LEAST_BATCH = 20
SEED_SHARE = 0.01  # of the pool: the paper's seed set (section 3.2)
BATCH_SHARE = 0.05  # of the pool: batches of 1 % gave worse models (docs/results/first-edition)


def seed_size(settings: Settings, dataset: Dataset) -> int:
    """Clips in the seed set: 1 % of the pool (paper, section 3.2), but enough to see each class a few times."""
    least = LEAST_SEED_PER_CLASS * len(dataset.schema.classes)
    return settings.seed_size or max(least, math.ceil(SEED_SHARE * len(dataset.entries)))


def batch_size(settings: Settings, dataset: Dataset) -> int:
    """Labels that a round waits for."""
    return settings.batch_size or max(LEAST_BATCH, math.ceil(BATCH_SHARE * len(dataset.entries)))


def picks(settings: Settings, batch: int) -> int:
    """How many clips of a batch the query strategy chooses; the others belong to the test set."""
    return max(1, round(batch * (1 - settings.test_share)))


def length(settings: Settings, batch: int) -> int:
    """How many tasks are published at a time: a few batches, so that nobody runs out while the next round trains."""
    return batch * settings.queue_factor


def build(
    settings: Settings,
    dataset: Dataset,
    test_clips: frozenset[str],
    ranking: "Ranking",
    batch: int,
    again: Sequence[str] = (),
    asked: Sequence[str] = (),
) -> tuple[int, ...]:
    """Task ids, highest priority first: ranked clips with test clips mixed in, then skipped clips.

    A round publishes the first `length` of them; `extended` takes more where those come to an end.

    Args:
        again: labelled clips that should get another vote, most urgent first; as many are mixed in as RELABEL_SHARE
            says.
        asked: clips that people want to be asked for next.
    """
    order = _within_caps(list(ranking.order), settings, dataset, picks(settings, batch))
    if settings.relabel_share > 0 and again:
        room = math.ceil(length(settings, batch) * settings.relabel_share)
        order = with_test_clips(order, again[:room], share=settings.relabel_share, seed=settings.seed)
    if settings.test_share > 0:
        waiting = [clip.id for clip in dataset.open_clips if clip.id in test_clips]
        order = with_test_clips(order, waiting, share=settings.test_share, seed=settings.seed)
    order += [clip.id for clip in dataset.skipped_clips]
    return _first(asked_tasks(dataset, test_clips, asked), [dataset.entries[clip].tasks[0] for clip in order])


def asked_tasks(dataset: Dataset, test_clips: frozenset[str], asked: Sequence[str]) -> tuple[int, ...]:
    """The tasks of clips that people want to be asked for next, as far as these are open.

    None of the test set is among them: what people choose would make it easier or harder than the pool.
    """
    open_ids = {clip.id for clip in dataset.open_clips} - test_clips
    return tuple(dataset.entries[clip].tasks[0] for clip in asked if clip in open_ids)


def extended(
    settings: Settings,
    dataset: Dataset,
    snapshot: Snapshot,
    scores: Mapping[int, Score],
    published: Sequence[int],
    batch: int,
    asked: Sequence[int] = (),
) -> tuple[int, ...]:
    """Task ids to publish in place of a queue that ends: what is left of it, then what its round ranked next.

    Clips that the round didn't rank, since they came later, stand behind in random order; skipped ones come last.

    Args:
        scores: the round's, by task; those of a damaged table are {}.
        asked: tasks that people want to be asked for next.
    """
    known, tasks = set(published), snapshot.tasks
    left = [task for task in published if task in tasks and tasks[task].annotations < snapshot.overlap]
    by_chance = {clip: place for place, clip in enumerate(shuffled((c.id for c in dataset.open_clips), settings.seed))}

    def place(clip: str) -> tuple[bool, int, bool, float, int]:
        score = scores.get(dataset.entries[clip].tasks[0])
        rank, value = (score.rank, score.acquisition) if score is not None else (None, None)
        return rank is None, rank or 0, value is None, -(value or 0.0), by_chance[clip]

    order = sorted(by_chance, key=place) + [clip.id for clip in dataset.skipped_clips]
    more = [task for clip in order if (task := dataset.entries[clip].tasks[0]) not in known]
    return _first(asked, [*left, *more[: length(settings, batch)]])


def _first(asked: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """The order with some tasks at its head, whether or not they are in it."""
    return tuple(dict.fromkeys([*asked, *order]))


def _within_caps(order: list[str], settings: Settings, dataset: Dataset, size: int) -> list[str]:
    """The order with no batch holding more clips of a recording or a speaker than the settings allow."""
    most = {"recording": settings.most_per_recording, "speaker": settings.most_per_speaker}
    if not any(most.values()):
        return order
    from aftertone_model.acquisition.caps import capped

    def groups(clip: str) -> list[tuple[str, str]]:
        entry = dataset.entries[clip]
        found = {"recording": entry.recording, "speaker": entry.clip.speaker}
        return [(kind, name) for kind, name in found.items() if name is not None and most[kind]]

    return capped(order, groups, lambda group: most[group[0]], size)


def score_table(
    dataset: Dataset,
    ranking: "Ranking",
    order: Sequence[int],
    predictions: Mapping[str, NDArray[np.floating]],
) -> list[Score]:
    """A line per task: those that are asked for in their order, then the others.

    Args:
        order: what `build` returned.
        predictions: clip -> (C,) `LabelSchema.predictions`; {} without a model.
    """
    ranks = {task: rank for rank, task in enumerate(order, 1)}
    rows = {clip: row for row, clip in enumerate(ranking.order)}
    scores = []
    for entry in dataset.entries.values():
        row = rows.get(entry.clip.id)
        scores += [
            Score(
                task=task,
                clip=entry.clip.id,
                rank=ranks.get(task),
                acquisition=float(ranking.scores[row]) if row is not None else None,
                cluster=None if row is None or ranking.clusters is None else int(ranking.clusters[row]),
                predictions=tuple(map(float, predictions.get(entry.clip.id, ()))),
            )
            for task in entry.tasks
        ]
    return sorted(scores, key=lambda score: (score.rank is None, score.rank or 0, score.task))
