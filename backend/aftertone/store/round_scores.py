"""What a round found out about every clip, as a table that a person can open: `scores.csv`."""

import csv
import io
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from aftertone_model.data.files import Guard, whole_file

FILE = "scores.csv"
DIGITS = 6  # of a prediction
FIXED_COLUMNS = ("task", "clip", "rank", "acquisition", "cluster")


@dataclass(frozen=True, kw_only=True)
class Score:
    """One task's line."""

    task: int
    clip: str
    rank: int | None  # 1 = ask first; None for clips that aren't asked for
    acquisition: float | None  # value of the acquisition function, higher = ask first
    cluster: int | None  # which cluster of the pool, where the strategy has clusters
    predictions: tuple[float, ...]
    """Of each class its probability; of a dimension that is rated, the place on its scale, from 0, the lowest
    rating, to 1, the highest. Empty before there is a model."""


def write_scores(folder: Path, scores: Sequence[Score], classes: Sequence[str], guard: Guard = nullcontext) -> None:
    """Write a round's table; classes, or dimensions, are the last columns. `guard` as for `whole_file`."""
    with whole_file(folder / FILE, guard=guard) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*FIXED_COLUMNS, *classes])
        for score in scores:
            fixed = [score.task, score.clip, _blank(score.rank), _blank(score.acquisition), _blank(score.cluster)]
            table.writerow([*fixed, *(f"{p:.{DIGITS}f}" for p in score.predictions)])


@lru_cache(maxsize=4)
def read_scores(path: Path, written: int) -> tuple[tuple[str, ...], dict[int, Score]]:
    """The classes and, by task, the scores of a round; kept in memory, since a round never changes.

    Args:
        written: the file's time, which tells it from one of another store that lay there before.

    Raises:
        ValueError: the file is damaged.
    """
    del written
    text = path.read_bytes().decode("utf-8")
    try:
        head, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except csv.Error as error:
        raise ValueError(str(error)) from None
    classes = tuple(head[len(FIXED_COLUMNS) :])
    if tuple(head[: len(FIXED_COLUMNS)]) != FIXED_COLUMNS or not text.endswith("\n"):
        raise ValueError("not a table of scores, or cut short")
    scores = [
        Score(
            task=int(task),
            clip=clip,
            rank=int(rank) if rank else None,
            acquisition=float(acquisition) if acquisition else None,
            cluster=int(cluster) if cluster else None,
            predictions=tuple(map(float, predictions)),
        )
        for task, clip, rank, acquisition, cluster, *predictions in rows
    ]
    if any(len(score.predictions) not in (0, len(classes)) for score in scores):
        raise ValueError("a line is cut short")
    if not all(0 <= share <= 1 for score in scores for share in score.predictions):
        raise ValueError("not a share of 1")
    return classes, {score.task: score for score in scores}


def _blank(value: float | None) -> float | str:
    return "" if value is None else value
