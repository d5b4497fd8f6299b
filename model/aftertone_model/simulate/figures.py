"""UA, macro-F1, rare clips found and time by share of labels, with intervals; the paper's figures are among them."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aftertone_model.simulate.conditions import Condition, conditions
from aftertone_model.simulate.grid import Grid
from aftertone_model.simulate.results import Result

FORMATS = ("png", "svg")
SIZE = (7.0, 4.2)  # inches per panel
# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MOST_BANDS = 6  # lines whose intervals can be told apart; the tables have them all
STYLES = {"random": "--", "clustered": "-"}


DRAWN = {
    "accuracy": "UA by share of labels (the paper's Figure 2)",
    "time": "Minutes by share of labels (the paper's Figure 3)",
    "macro-f1": "Macro-F1 by share of labels",
    "rare": "Rare clips found, by share of labels",
}
"""File name -> title."""
AXES = {"ua": "UA, %", "minutes": "minutes", "macro_f1": "macro-F1, %", "rare_recall": "rare clips found, % of all"}
SHARES = ("ua", "macro_f1", "rare_recall")  # drawn in %


def draw(results: Sequence[Result], grid: Grid, folder: Path) -> list[Path]:
    """Draw every figure as PNG and SVG; returns the SVGs."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = dict(zip(DRAWN, ("ua", "minutes", "macro_f1", "rare_recall"), strict=True))
    if all(result.measured.rare_found is None for result in results):
        del figures["rare"]
    saved = []
    for name, what in figures.items():
        figure = _panels(results, grid, what)
        for kind in FORMATS:
            figure.savefig(folder / f"{name}.{kind}", dpi=150, metadata={"Date": None} if kind == "svg" else None)
        plt.close(figure)
        saved.append(folder / f"{name}.svg")
    return saved


def _panels(results: Sequence[Result], grid: Grid, what: str) -> Figure:
    """One panel per preset and TAPT, as Figure 2 (UA) and Figure 3 (time) of the paper."""
    panels = [(preset, tapt) for preset in grid.presets for tapt in grid.tapt]
    size = (SIZE[0] * len(grid.tapt), SIZE[1] * len(grid.presets))
    figure, found = plt.subplots(
        len(grid.presets), len(grid.tapt), figsize=size, sharey=what in SHARES, squeeze=False, layout="constrained"
    )
    for (preset, tapt), axes in zip(panels, found.flat, strict=True):
        chosen = [condition for condition in conditions(grid) if (condition.preset, condition.tapt) == (preset, tapt)]
        for condition in chosen:
            _line(axes, results, grid, condition, what)
        axes.set_title(f"{preset}, {'TAPT' if tapt else 'no TAPT'}", fontsize=11)
        axes.set_xlabel("votes, % of the pool" if grid.crowd.annotators else "labels, % of the pool")
        axes.set_xscale("log")
        axes.set_xticks([100 * share for share in grid.shares], [f"{100 * share:g}" for share in grid.shares])
        axes.minorticks_off()
        axes.set_ylabel(AXES[what])
        if what in SHARES and axes.lines:
            means = [float(y) for line in axes.lines for y in line.get_ydata()]  # pyright: ignore[reportGeneralTypeIssues, reportAttributeAccessIssue]
            axes.set_ylim(max(0.0, min(means) - 6), min(100.0, max(means) + 6))  # few runs have wild intervals
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=7, ncols=2, frameon=False)
    return figure


def _line(axes: Axes, results: Sequence[Result], grid: Grid, condition: Condition, what: str) -> None:
    line = condition.of(results)
    if line is None:
        return
    values = 100 * line.figure(what) if what in SHARES else line.minutes
    found = [line.mean(row) for row in values]
    colour = COLOURS[grid.strategies.index(condition.strategy) % len(COLOURS)]
    shares = [100 * share for share in line.shares]
    axes.plot(
        shares,
        [point.mean for point in found],
        STYLES[condition.initialisation],
        color=colour,
        marker="o",
        markersize=3,
        alpha=0.4 + 0.6 / (1 + grid.voting.index(condition.voting)),
        label=f"{condition.strategy}, {condition.initialisation} seeds"
        + ("" if condition.voting == "1" else f", votes {condition.voting}"),
    )
    if what in SHARES and len(grid.strategies) * len(grid.initialisations) * len(grid.voting) <= MOST_BANDS:
        axes.fill_between(
            shares, [point.low for point in found], [point.high for point in found], color=colour, alpha=0.07
        )
