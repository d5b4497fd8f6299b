"""The figures of all cells: the tidy tables on disk, and what follows from them, with intervals by fold."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aftertone_model.data.files import write_text
from aftertone_model.simulate.cell_run import Measured
from aftertone_model.simulate.differences import FIGURES, clustered
from aftertone_model.simulate.grid import ALL, Cell
from aftertone_model.simulate.intervals import Interval, interval

RESAMPLES = 2_000
TIMES = ("tapt_seconds", "train_seconds", "rank_seconds")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One cell at one share of the labels."""

    cell: Cell
    measured: Measured

    @property
    def minutes(self) -> float:
        """Wall clock of TAPT, all rounds of training, and all rankings up to here."""
        return sum(getattr(self.measured, name) for name in TIMES) / 60


@dataclass(frozen=True, kw_only=True)
class Series:
    """One condition's results at each share of the labels, one column per run."""

    shares: tuple[float, ...]  # (S,) ascending
    runs: tuple[tuple[int, int], ...]  # (R,) seed and fold of each
    results: tuple[tuple[Result, ...], ...]  # (S, R)

    def figure(self, name: str) -> NDArray[np.float64]:
        """(S, R) of a field of `Measured`; NaN where it is None."""
        return np.array([[_number(getattr(result.measured, name)) for result in row] for row in self.results])

    @property
    def ua(self) -> NDArray[np.float64]:
        """(S, R)"""
        return self.figure("ua")

    @property
    def wa(self) -> NDArray[np.float64]:
        """(S, R)"""
        return self.figure("wa")

    @property
    def minutes(self) -> NDArray[np.float64]:
        """(S, R)"""
        return np.array([[result.minutes for result in row] for row in self.results])

    @property
    def folds(self) -> list[int]:
        """The fold of each run."""
        return [fold for _, fold in self.runs]

    def mean(self, values: NDArray[np.float64]) -> Interval:
        """Mean of a figure of its runs (R,), with an interval by fold."""
        return interval(values, self.folds)

    def at(self, share: float) -> int | None:
        """The row of a share, None where it wasn't measured."""
        return self.shares.index(share) if share in self.shares else None


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def write_csv(results: Iterable[Result], folder: Path) -> None:
    """results.csv, which is the same for the same grid and corpus, and times.csv, which never is."""
    figures: list[dict[str, Any]] = []
    times: list[dict[str, Any]] = []
    for result in sorted(results, key=lambda result: (result.cell, result.measured.share)):
        measured = asdict(result.measured)
        del measured["confusions"]  # too many for a table; the cell's file keeps them
        key = asdict(result.cell) | {"share": measured.pop("share")}
        seconds = {name: round(measured.pop(name), 2) for name in TIMES}
        figures.append(key | {k: round(v, 6) if isinstance(v, float) else v for k, v in measured.items()})
        times.append(key | seconds)
    for name, rows in (("results.csv", figures), ("times.csv", times)):
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(folder / name, text.getvalue())


def series(
    results: Sequence[Result], preset: str, tapt: bool, initialisation: str, strategy: str, voting: str = "1"
) -> Series | None:
    """The line of one condition; None where it wasn't run. It ends with all labels at once, trained afresh."""
    found: dict[tuple[int, int], dict[float, Result]] = defaultdict(dict)
    for result in results:
        cell = result.cell
        conditions = {(initialisation, strategy, voting), (ALL, ALL, "1")}
        if (cell.preset, cell.tapt) == (preset, tapt) and (
            cell.initialisation,
            cell.strategy,
            cell.voting,
        ) in conditions:
            found[cell.seed, cell.fold].setdefault(result.measured.share, result)
    if not any(result.cell.strategy == strategy for shares in found.values() for result in shares.values()):
        return None
    shares = sorted(set[float].intersection(*(set(run) for run in found.values())))
    runs = sorted(found)
    return Series(
        shares=tuple(shares),
        runs=tuple(runs),
        results=tuple(tuple(found[run][share] for run in runs) for share in shares),
    )


def paired(
    ours: Series, theirs: Series, share: float, reference: float | None = None, figure: str = "ua"
) -> Interval | None:
    """Mean difference over the runs that both have: ours at `share`, theirs at `reference` or the same share.

    Its interval is clustered by speaker and by run, where it is known who was tested on.

    Args:
        figure: a key of FIGURES.
    """
    runs = [run for run in ours.runs if run in theirs.runs]
    row, other = ours.at(share), theirs.at(share if reference is None else reference)
    if not runs or row is None or other is None:
        return None
    mine = [ours.results[row][ours.runs.index(run)].measured for run in runs]
    others = [theirs.results[other][theirs.runs.index(run)].measured for run in runs]
    if all(a.confusions and a.confusions.keys() == b.confusions.keys() for a, b in zip(mine, others, strict=True)):
        return clustered([a.confusions for a in mine], [b.confusions for b in others], FIGURES[figure])
    differences = [getattr(a, figure) - getattr(b, figure) for a, b in zip(mine, others, strict=True)]
    return interval(np.array(differences), [fold for _, fold in runs])


def labels_needed(line: Series, goal: Series, share: float, figure: str = "macro_f1", seed: int = 0) -> Interval | None:
    """The share of labels at which a condition's mean first reaches the goal's mean at `share`.

    Straight lines between shares; 1 where it never does, so that the mean is a lower bound then. The interval is a
    bootstrap over the folds of the runs that both have, paired; over the runs where they are on one fold.
    """
    runs = [run for run in line.runs if run in goal.runs]
    row = goal.at(share)
    if not runs or row is None or len(line.shares) < 2:
        return None
    curves = line.figure(figure)[:, [line.runs.index(run) for run in runs]]  # (S, R)
    wanted = goal.figure(figure)[row, [goal.runs.index(run) for run in runs]]  # (R,)

    def needed(chosen: NDArray[np.int64]) -> float:
        return _first_reach(line.shares, curves[:, chosen].mean(axis=1), float(wanted[chosen].mean()))

    return _bootstrapped(needed, [fold for _, fold in runs], seed)


def share_needed(line: Series, seed: int = 0) -> Interval | None:
    """The share of labels at which the mean curve first reaches the UA of all labels; straight lines between shares.

    The interval is a bootstrap over folds: what other speakers like these would have said; over the runs where they are
    on one fold.
    """
    if line.at(1.0) is None or len(line.shares) < 2:
        return None

    def crossing(chosen: NDArray[np.int64]) -> float:
        curve = line.ua[:, chosen].mean(axis=1)  # (S,)
        return _first_reach(line.shares, curve, float(curve[-1]))

    return _bootstrapped(crossing, line.folds, seed)


def _bootstrapped(figure: Callable[[NDArray[np.int64]], float], folds: Sequence[int], seed: int) -> Interval:
    """A figure of the runs (given by their numbers) with the percentiles of what other folds would have given."""
    every = np.arange(len(folds))
    units = [[run for run in range(len(folds)) if folds[run] == fold] for fold in sorted(set(folds))]
    if len(units) == 1:
        units = [[run] for run in units[0]]
    if len(units) == 1:
        return Interval(mean=figure(every), low=np.nan, high=np.nan)
    rng = np.random.default_rng(seed)
    draws: list[list[int]] = rng.integers(len(units), size=(RESAMPLES, len(units))).tolist()
    figures = [figure(np.array([run for unit in draw for run in units[unit]])) for draw in draws]
    low, high = np.percentile(figures, [2.5, 97.5])
    return Interval(mean=figure(every), low=float(low), high=float(high))


def _first_reach(shares: Sequence[float], curve: NDArray[np.float64], goal: float) -> float:
    """Where the curve first reaches the goal; 1 where it doesn't."""
    if curve.max() < goal:
        return 1.0
    first = int(np.argmax(curve >= goal))
    if first == 0:
        return shares[0]
    below, above = curve[first - 1], curve[first]
    start, end = shares[first - 1], shares[first]
    return start + (end - start) * float((goal - below) / (above - below))
