"""Search by example among a round's clips, and the map of them: from what the round's model made of each clip."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aftertone.errors import NotKeptError
from aftertone.pipeline.figures import task_figures
from aftertone.store.project import ProjectStore
from aftertone.store.rounds import Round
from aftertone.store.score_table import ScoreTable, score_table
from aftertone_model.classification.pool_map import likable

SHOWN = 20  # clips found
POINTS = 1_500  # clips on the map


@dataclass(frozen=True, kw_only=True)
class Found:
    """A clip that search found, or a point of the map."""

    task: int
    clip: str
    prediction: str
    confidence: float
    likeness: float  # -1 to 1; of a class its probability


@dataclass(frozen=True, kw_only=True)
class Point:
    """A clip on the map, where 0 to 1 is from left to right and from top to bottom."""

    found: Found
    x: float
    y: float
    column: int  # of the class that annotators gave it, or else that the model gives it
    state: str  # labelled, asked or open


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A round's clips, rows by id."""

    record: Round
    table: ScoreTable
    ids: tuple[str, ...]  # (N,)
    rows: NDArray[np.int64]  # (N,) lines of the table
    embeddings: NDArray[np.float32]  # (N, D)
    likable: NDArray[np.float32]  # (N, D + C) rows of length 1: what two clips' likeness is the product of

    def found(self, row: int, likeness: float) -> Found:
        """A row for people."""
        clip, predictions = self.ids[row], self.table.predictions[self.rows[row]].tolist()
        return Found(
            task=int(self.table.tasks[self.rows[row]]),
            clip=clip,
            prediction=", ".join(self.record.label_schema.answer(predictions)),
            confidence=self.record.label_schema.confidence(predictions),
            likeness=likeness,
        )


def pool_of(store: ProjectStore) -> Pool:
    """The newest standing round's clips.

    Raises:
        NotKeptError: it has no embeddings, such as a seed set.
    """
    numbers = store.standing_numbers()
    found = None
    if numbers:
        file = store.embeddings_file(numbers[-1])
        found = _pool(store.folder, numbers[-1], file.stat().st_mtime_ns if file.is_file() else 0)
    if found is None:
        raise NotKeptError("There is no map of the pool yet: the first trained round makes one.")
    return found


@lru_cache(maxsize=4)
def _pool(folder: Path, number: int, _written: int) -> Pool | None:
    store = ProjectStore(folder)
    embeddings, table = store.embeddings(number), score_table(store, number)
    if embeddings is None or table is None or len(embeddings) != len(table.first) or not table.predictions.shape[1]:
        return None
    rows = np.fromiter(table.first.values(), np.int64)
    embeddings = np.asarray(embeddings, np.float32)
    return Pool(
        record=store.round(number), table=table, ids=tuple(table.first), rows=rows, embeddings=embeddings,
        likable=likable(embeddings, table.predictions[rows]),
    )  # fmt: skip


def near_clip(store: ProjectStore, clip: str) -> list[Found]:
    """The unlabelled clips that the model takes for most alike, most alike first.

    Raises:
        NotKeptError: the round knows no such clip.
    """
    pool = pool_of(store)
    if clip not in pool.table.first:
        raise NotKeptError(f"The newest round doesn't know the clip {clip!r}.")
    return _best(store, pool, pool.likable @ pool.likable[pool.ids.index(clip)], but=clip)


def near_upload(store: ProjectStore, components: Sequence[float], predictions: Sequence[float]) -> list[Found]:
    """The unlabelled clips that the model takes for most alike to an uploaded one, most alike first.

    Args:
        components: (K,) of the upload, by the newest standing round's projection.
        predictions: (C,) of the upload, by its model.

    Raises:
        NotKeptError: a newer round has taken that one's place meanwhile, and says other things.
    """
    pool = pool_of(store)
    widths = pool.embeddings.shape[1], pool.table.predictions.shape[1]
    if (len(components), len(predictions)) != widths:
        raise NotKeptError("A new round came meanwhile. Upload the file again.")
    row = likable(np.array([components]), np.array([predictions]))[0]
    return _best(store, pool, pool.likable @ row)


def near_class(store: ProjectStore, name: str) -> list[Found]:
    """The unlabelled clips that are most probably of a class, or rated highest in a dimension.

    Raises:
        NotKeptError: the round knows no such class.
    """
    pool = pool_of(store)
    if name not in pool.record.classes:
        raise NotKeptError(f"The newest round knows no class {name!r}. It has: {', '.join(pool.record.classes)}.")
    return _best(store, pool, pool.table.predictions[pool.rows, pool.record.classes.index(name)])


def points(store: ProjectStore, asked: Collection[int]) -> list[Point]:
    """A sample of the clips for the map: all that are asked for, then labelled ones, then others by chance.

    Args:
        asked: tasks that are asked for next.
    """
    pool = pool_of(store)
    known = pool.record.labelled | pool.record.tested
    tasks = pool.table.tasks[pool.rows]
    states = np.array(["asked" if t in asked else "labelled" if c in known else "open"
                       for t, c in zip(tasks.tolist(), pool.ids, strict=True)])  # fmt: skip
    chance = np.random.default_rng(0).permutation(len(tasks))
    urgency = np.select([states == "asked", states == "labelled"], [0, 1], 2)
    order = chance[np.argsort(urgency[chance], kind="stable")]
    labelled = order[states[order] != "open"][: POINTS // 2]
    rows = np.concatenate([labelled, order[states[order] == "open"][: POINTS - len(labelled)]])
    flat = pool.embeddings[:, :2]
    low, high = np.percentile(flat, [0.5, 99.5], axis=0)
    places = np.clip((flat - low) / np.maximum(high - low, 1e-6), 0, 1)
    drawn = []
    for row in sorted(rows.tolist(), key=lambda row: ("open", "labelled", "asked").index(states[row])):
        shares = known.get(pool.ids[row]) or pool.table.predictions[pool.rows[row]]
        drawn.append(
            Point(found=pool.found(row, 0.0), x=float(places[row, 0]), y=1 - float(places[row, 1]),
                  column=int(np.argmax(shares)), state=str(states[row]))
        )  # fmt: skip
    return drawn


def _best(store: ProjectStore, pool: Pool, likeness: NDArray[np.floating], but: str = "") -> list[Found]:
    figures = task_figures(store)
    found: list[Found] = []
    for row in np.argsort(-likeness, kind="stable").tolist():
        clip, task = pool.ids[row], int(pool.table.tasks[pool.rows[row]])
        if clip != but and task not in figures.done and task not in figures.passed and clip not in figures.test:
            found.append(pool.found(row, float(likeness[row])))
            if len(found) == SHOWN:
                break
    return found
