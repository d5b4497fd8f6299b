"""What a round's table of scores says, in small: read once, as arrays, since a round never changes."""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aftertone.store.project import ProjectStore
from aftertone.store.round_scores import FIXED_COLUMNS


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """One line per task, those that are asked for first, in their order."""

    tasks: NDArray[np.int64]  # (N,)
    clips: tuple[str, ...]  # (N,)
    clusters: tuple[str, ...]  # (N,) '' where nothing was clustered
    predictions: NDArray[np.float32]  # (N, C); C = 0 before there is a model
    row: dict[int, int]  # task -> its line
    first: dict[str, int]  # clip, ids ascending -> its first line, since the same audio may be several tasks


def score_table(store: ProjectStore, number: int) -> ScoreTable | None:
    """A round's; None where it is lost or damaged, which `ProjectStore.scores` sets aside."""
    file = store.scores_file(number)
    try:
        return _read(file, file.stat().st_mtime_ns)
    except (OSError, ValueError, IndexError, OverflowError, csv.Error):
        return None


@lru_cache(maxsize=32)
def _read(file: Path, _written: int) -> ScoreTable:
    with file.open(newline="", encoding="utf-8") as lines:
        head, *rows = csv.reader(lines, strict=True)
    if tuple(head[: len(FIXED_COLUMNS)]) != FIXED_COLUMNS:
        raise ValueError("not a table of scores")
    width = len(FIXED_COLUMNS)
    tasks = [int(row[0]) for row in rows]
    predictions = [row[width:] for row in rows]
    clips = tuple(row[1] for row in rows)
    first = dict(zip(reversed(clips), range(len(clips) - 1, -1, -1), strict=True))
    return ScoreTable(
        tasks=np.array(tasks, np.int64),
        clips=clips,
        clusters=tuple(row[4] for row in rows),
        predictions=np.array(predictions, np.float32).reshape(len(rows), len(head) - width)
        if predictions and len(predictions[0]) == len(head) - width
        else np.empty((len(rows), 0), np.float32),
        first={clip: first[clip] for clip in sorted(first)},
        row={task: place for place, task in enumerate(tasks)},
    )
