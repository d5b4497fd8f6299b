"""The figures of all cells: the tidy tables on disk, and what follows from them, with intervals over seeds."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from aftertone_model.data.files import write_text
from aftertone_model.simulate.cell_run import Measured
from aftertone_model.simulate.grid import ALL, Cell

CONFIDENCE = 0.95
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
    """One condition's figures at each share of the labels, one column per run."""

    shares: tuple[float, ...]  # (S,) ascending
    runs: tuple[tuple[int, int], ...]  # (R,) seed and fold of each
    ua: NDArray[np.float64]  # (S, R)
    wa: NDArray[np.float64]  # (S, R)
    minutes: NDArray[np.float64]  # (S, R)

    def at(self, share: float) -> int | None:
        """The row of a share, None where it wasn't measured."""
        return self.shares.index(share) if share in self.shares else None


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and its 95 % interval; NaN ends where there is one run only."""

    mean: float
    low: float
    high: float

    def between(self, least: float, most: float) -> "Interval":
        """The part of it that is possible; a few runs that differ much give an interval beyond."""
        low, high = np.clip([self.low, self.high], least, most)
        return replace(self, low=float(low), high=float(high))

    def percent(self) -> str:
        """Of a share: `61.2 [59.0 to 63.4]`."""
        return self.between(0, 1).written(100, 1)

    def written(self, factor: float, digits: int, sign: str = "") -> str:
        """Multiplied by `factor`, as `61.2 [59.0 to 63.4]`; `sign` "+" shows that of positive numbers too."""
        mean = f"{self.mean * factor:{sign}.{digits}f}"
        if np.isnan(self.low):
            return mean
        return f"{mean} [{self.low * factor:{sign}.{digits}f} to {self.high * factor:{sign}.{digits}f}]"


def write_csv(results: Iterable[Result], folder: Path) -> None:
    """results.csv, which is the same for the same grid and corpus, and times.csv, which never is."""
    figures, times = [], []
    for result in sorted(results, key=lambda result: (result.cell, result.measured.share)):
        measured = asdict(result.measured)
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


def series(results: Sequence[Result], preset: str, tapt: bool, initialisation: str, strategy: str) -> Series | None:
    """The line of one condition; None where it wasn't run. It ends with all labels at once, trained afresh."""
    found: dict[tuple[int, int], dict[float, Result]] = defaultdict(dict)
    for result in results:
        cell = result.cell
        conditions = {(initialisation, strategy), (ALL, ALL)}
        if (cell.preset, cell.tapt) == (preset, tapt) and (cell.initialisation, cell.strategy) in conditions:
            found[cell.seed, cell.fold].setdefault(result.measured.share, result)
    if not any(result.cell.strategy == strategy for shares in found.values() for result in shares.values()):
        return None
    shares = sorted(set.intersection(*(set(run) for run in found.values())))
    runs = sorted(found)

    def grid(value: Callable[[Result], float]) -> NDArray[np.float64]:
        return np.array([[value(found[run][share]) for run in runs] for share in shares])

    return Series(
        shares=tuple(shares),
        runs=tuple(runs),
        ua=grid(lambda result: result.measured.ua),
        wa=grid(lambda result: result.measured.wa),
        minutes=grid(lambda result: result.minutes),
    )


def interval(values: NDArray[np.float64]) -> Interval:
    """Mean over the runs (R,) and Student's interval for it; runs differ in seed and in who is tested on."""
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean=mean, low=np.nan, high=np.nan)
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(mean=mean, low=mean - half, high=mean + half)


def paired(ours: Series, theirs: Series, share: float, reference: float | None = None) -> Interval | None:
    """Mean difference in UA over the runs that both have: ours at `share`, theirs at `reference` or the same share."""
    runs = [run for run in ours.runs if run in theirs.runs]
    row, other = ours.at(share), theirs.at(share if reference is None else reference)
    if not runs or row is None or other is None:
        return None
    mine = ours.ua[row, [ours.runs.index(run) for run in runs]]
    return interval(mine - theirs.ua[other, [theirs.runs.index(run) for run in runs]])


def share_needed(line: Series, seed: int = 0) -> Interval | None:
    """The share of labels at which the mean curve first reaches the UA of all labels; straight lines between shares.

    The interval is a bootstrap over runs: what a set of runs like these would have said.
    """
    if line.at(1.0) is None or len(line.shares) < 2:
        return None
    rng = np.random.default_rng(seed)
    count = len(line.runs)
    draws = [_crossing(line, rng.integers(count, size=count)) for _ in range(RESAMPLES)] if count > 1 else [np.nan]
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(mean=_crossing(line, np.arange(count)), low=float(low), high=float(high))


def _crossing(line: Series, runs: NDArray[np.int64]) -> float:
    curve = line.ua[:, runs].mean(axis=1)  # (S,)
    first = int(np.argmax(curve >= curve[-1]))
    if first == 0:
        return line.shares[0]
    below, above = curve[first - 1], curve[first]
    start, end = line.shares[first - 1], line.shares[first]
    return start + (end - start) * float((curve[-1] - below) / (above - below))
