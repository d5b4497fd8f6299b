"""Figures of each class: labels found, recall on the test set, and the share of the pool."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aftertone.pipeline.figures import TaskFigures
from aftertone.status.document import ClassStatus, Interval
from aftertone.store.project import ProjectStore
from aftertone.store.rounds import Round
from aftertone.store.score_table import ScoreTable
from aftertone_model.data.clips import file_of
from aftertone_model.evaluation.class_shares import class_share
from aftertone_model.evaluation.metrics import Metrics

BINS = 20  # of the histogram


@dataclass(frozen=True, kw_only=True)
class LearnedClasses:
    """What a round says about its classes."""

    classes: tuple[ClassStatus, ...] = ()
    histogram: tuple[int, ...] = ()


def learned_classes(
    store: ProjectStore, record: Round, table: ScoreTable | None, figures: TaskFigures
) -> LearnedClasses:
    """Of the newest round that counts; computed once for each state of round and tasks."""
    known = _known.get(store.folder)
    made_of = (record.version, table, figures)
    if known is None or known[0][0] != record.version or known[0][1] is not table or known[0][2] is not figures:
        found = LearnedClasses(
            classes=class_figures(record, figures.found, table, figures.speakers), histogram=histogram(record, table)
        )
        known = _known[store.folder] = made_of, found
    return known[1]


_known: dict[Path, tuple[tuple[str, ScoreTable | None, TaskFigures], LearnedClasses]] = {}


def class_figures(
    record: Round, found: Mapping[str, float], table: ScoreTable | None, speakers: Mapping[str, str]
) -> tuple[ClassStatus, ...]:
    """Of a round's classes, in their order; () where ratings are learned.

    Args:
        record: the newest round that counts.
        found: class -> clips that annotators gave it.
        table: the round's scores; None where they are lost.
        speakers: clip -> who speaks.
    """
    if record.label_schema.predicts != "probabilities":
        return ()
    metrics = record.metrics if isinstance(record.metrics, Metrics) else None
    shares = _shares(record, table, speakers) if table is not None else {}
    return tuple(
        ClassStatus(
            name=name,
            found=round(found.get(name, 0.0), 2),
            tested=None if metrics is None else _support(metrics, column, exclusive=record.label_schema.exclusive),
            recall=None if metrics is None else metrics.recall[column],
            share=shares.get(name),
        )
        for column, name in enumerate(record.classes)
    )


def histogram(record: Round, table: ScoreTable | None) -> tuple[int, ...]:
    """Clips that the round knew no label of, by the probability of the most likely class, in BINS of equal width."""
    if table is None or not table.predictions.shape[1] or record.label_schema.predicts != "probabilities":
        return ()
    known = {file_of(clip) for clip in (*record.labelled, *record.tested)}
    open_rows = [row for row in list(table.first.values()) if table.clips[row] not in known]
    surest = table.predictions[open_rows].max(axis=1) if open_rows else np.empty(0)
    counts, _ = np.histogram(surest, bins=BINS, range=(0.0, 1.0))
    return tuple(int(count) for count in counts)


def _support(metrics: Metrics, column: int, *, exclusive: bool) -> int:
    """Test clips of a class."""
    row = metrics.confusion[column]
    return sum(row) if exclusive else row[2] + row[3]


def _shares(record: Round, table: ScoreTable, speakers: Mapping[str, str]) -> dict[str, Interval]:
    """Share of each class in the pool, where the round has a model and a test clip."""
    rows = list(table.first.values())
    if not table.predictions.shape[1] or not rows:
        return {}
    place = {table.clips[row]: number for number, row in enumerate(rows)}
    scores = table.predictions[rows]  # (N, C)
    tested = [clip for clip in sorted(record.tested) if clip in place]
    if not tested:
        return {}
    truth = np.array([record.tested[clip] for clip in tested])  # (T, C)
    known = np.array(list(record.labelled.values()) + list(record.tested.values())).sum(axis=0)  # (C,)
    voices = [speakers.get(clip) for clip in tested]
    found: dict[str, Interval] = {}
    for column, name in enumerate(record.classes):
        share = class_share(
            scores[:, column],
            _of(scores, place, tested)[:, column],
            truth[:, column],
            float(min(known[column], len(rows))),
            max(0, len(rows) - record.labels),
            speakers=voices,
            seed=record.seed,
        )
        if share is not None:
            found[name] = Interval(value=share.value, low=share.low, high=share.high)
    return found


def _of(scores: NDArray, place: Mapping[str, int], clips: list[str]) -> NDArray:
    return scores[[place[clip] for clip in clips]]
