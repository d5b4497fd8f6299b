"""What choosing gains over chance: at each share, in labels saved, in rare clips found; and on each fold left out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aftertone_model.simulate.conditions import Condition, conditions
from aftertone_model.simulate.grid import Grid
from aftertone_model.simulate.intervals import interval
from aftertone_model.simulate.prevalence import FOUND
from aftertone_model.simulate.results import Result, Series, labels_needed, paired
from aftertone_model.simulate.table import Table

GOAL = 0.2  # the share of labels at which random's macro-F1 is to be reached
NAMES = {"ua": "UA", "macro_f1": "macro-F1"}


def gains(results: Sequence[Result], grid: Grid) -> Table | None:
    """Points of UA and macro-F1 above random labels at each share, and the labels that reach random's macro-F1."""
    rows: list[tuple[str, ...]] = []
    shares = [share for share in sorted(grid.shares) if share < 1]
    for condition in conditions(grid):
        line, baseline = condition.of(results), _baseline(condition, grid).of(results)
        if line is None or baseline is None or condition == _baseline(condition, grid):
            continue
        cells = [paired(line, baseline, share, figure=figure) for figure in NAMES for share in shares]
        needed = labels_needed(line, baseline, GOAL)
        rows.append(
            (
                str(condition),
                *("" if cell is None else cell.written(100, 1, "+") for cell in cells),
                "" if needed is None else needed.written(100, 1),
            )
        )
    if not rows:
        return None
    return Table(
        title="Gain over random labels",
        note="Points above random labels and random seeds of the same preset, with 95 % intervals: paired by run, "
        "clustered by run and by speaker. Last, the labels in % of the pool that reach random's macro-F1 at "
        f"{GOAL:.0%}; 100 where it was never reached.",
        head=(
            "condition",
            *(f"{name} at {share:.0%}" for name in NAMES.values() for share in shares),
            f"labels for random's macro-F1 at {GOAL:.0%}",
        ),
        rows=tuple(rows),
    )


def rare_clips(results: Sequence[Result], grid: Grid) -> Table | None:
    """Rare clips found per 100 labels, of all in the pool, and the labels until enough of each class were found."""
    rows: list[tuple[str, ...]] = []
    for condition in conditions(grid):
        line = condition.of(results)
        if line is None:
            continue
        partial = [row for row, share in enumerate(line.shares) if share < 1]
        if not partial or np.isnan(line.figure("rare_per_100")[partial]).all():
            continue
        found = [line.mean(line.figure("rare_per_100")[row]).written(1, 1) for row in partial]
        recall = [line.mean(line.figure("rare_recall")[row]).percent() for row in partial]
        rows.append((str(condition), *found, *recall, _until_found(line, partial[-1])))
    if not rows:
        return None
    shares = [share for share in sorted(grid.shares) if share < 1]
    return Table(
        title="Rare clips found",
        note=f"Rare classes are {', '.join(grid.rare) or 'those with less than half of an even share of the pool'}. "
        f"Found per 100 labels; in % of all in the pool; and the median number of labels until {FOUND} clips of each "
        "rare class (or all there are) were found, with the runs that got so far.",
        head=(
            "condition",
            *(f"per 100 at {share:.0%}" for share in shares),
            *(f"of all at {share:.0%}" for share in shares),
            f"labels until {FOUND} of each",
        ),
        rows=tuple(rows),
    )


def each_left_out(results: Sequence[Result], grid: Grid, names: Sequence[str]) -> Table | None:
    """UA on each fold by itself, where folds have names, such as corpora."""
    if not names:
        return None
    rows: list[tuple[str, ...]] = []
    for condition in conditions(grid):
        line = condition.of(results)
        if line is None:
            continue
        for fold, name in enumerate(names):
            columns = [column for column, (_, number) in enumerate(line.runs) if number == fold]
            if columns:
                rows.append((str(condition), name, *(interval(ua[columns]).percent() for ua in line.ua)))
    if not rows:
        return None
    return Table(
        title="Each left out by itself",
        note="UA in % on clips of which nothing was trained on; intervals are over seeds.",
        head=("condition", "left out", *(f"UA at {share:.0%}" for share in sorted(grid.shares))),
        rows=tuple(rows),
    )


def _baseline(condition: Condition, grid: Grid) -> Condition:
    """Random labels, with the grid's first kind of voting."""
    return replace(condition.random, voting=grid.voting[0])


def _until_found(line: Series, row: int) -> str:
    numbers = line.figure("labels_until_found")[row]
    there = numbers[~np.isnan(numbers)]
    runs = f"{len(there)} of {len(numbers)} runs"
    return f"{np.median(there):.0f} ({runs})" if len(there) == len(numbers) else _censored(numbers, runs)


def _censored(numbers: NDArray[np.float64], runs: str) -> str:
    """The median where fewer than half are missing: those that never got there took longer than all."""
    middle = np.median(np.where(np.isnan(numbers), np.inf, numbers))
    return f"not reached ({runs})" if np.isinf(middle) else f"{middle:.0f} ({runs})"
