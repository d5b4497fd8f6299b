"""What a round found out about every clip, as a table that a person can open: `scores.csv`."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FIXED_COLUMNS = ("task", "clip", "rank", "acquisition", "cluster")


@dataclass(frozen=True, kw_only=True)
class Score:
    """One task's line."""

    task: int
    clip: str
    rank: int | None  # 1 = ask first; None for clips that aren't asked for
    acquisition: float | None  # value of the acquisition function, higher = ask first
    cluster: int | None  # which cluster of the pool, where the strategy has clusters
    probabilities: tuple[float, ...]  # one per class, summing to 1; empty before there is a model


def write_scores(path: Path, scores: Sequence[Score], classes: Sequence[str]) -> None:
    """Write the table; classes are the last columns."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*FIXED_COLUMNS, *classes])
        for score in scores:
            fixed = [score.task, score.clip, _blank(score.rank), _blank(score.acquisition), _blank(score.cluster)]
            table.writerow([*fixed, *(f"{p:.6f}" for p in score.probabilities)])


def read_scores(path: Path) -> tuple[tuple[str, ...], dict[int, Score]]:
    """The classes and, by task, the scores of a round; kept in memory, since a round never changes."""
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, written: int) -> tuple[tuple[str, ...], dict[int, Score]]:
    del written  # tells the file from one of another store that lay there before
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.reader(file)
        classes = tuple(next(table)[len(FIXED_COLUMNS) :])
        scores = [
            Score(
                task=int(task),
                clip=clip,
                rank=int(rank) if rank else None,
                acquisition=float(acquisition) if acquisition else None,
                cluster=int(cluster) if cluster else None,
                probabilities=tuple(map(float, probabilities)),
            )
            for task, clip, rank, acquisition, cluster, *probabilities in table
        ]
    return classes, {score.task: score for score in scores}


def _blank(value: float | None) -> float | str:
    return "" if value is None else value
