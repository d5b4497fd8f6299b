"""The paper's tables, filled with our figures and with the paper's own beside them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aftertone_model.simulate.conditions import Condition, conditions, ours
from aftertone_model.simulate.cost import clock
from aftertone_model.simulate.grid import Grid, Initialisation
from aftertone_model.simulate.intervals import interval
from aftertone_model.simulate.results import Result, Series, paired, share_needed
from aftertone_model.simulate.table import Table

# AFTER (arXiv 2310.00283), corpus "Merged": Table 2 by share of labels, Table 4 by share and condition.
PAPER_TABLE_2 = {
    0.1: (71.45, 69.01, 262.8),
    0.2: (77.41, 74.32, 316.4),
    0.4: (78.64, 75.48, 785.4),
    0.6: (79.32, 76.03, 942.2),
    0.8: (79.26, 75.92, 1182.6),
    1.0: (79.15, 75.94, 1508.2),
}  # UA %, WA %, minutes
PAPER_TABLE_4 = {
    0.1: (50.82, 70.21, 68.21, 71.45),
    0.2: (51.37, 73.82, 71.07, 77.41),
    0.4: (55.68, 76.01, 73.55, 78.64),
    1.0: (57.21, 78.21, 73.89, 79.15),
}  # UA %


def table_2(results: Sequence[Result], condition: Condition) -> Table | None:
    """UA, WA and minutes by share of labels, as the paper's Table 2."""
    line = condition.of(results)
    if line is None:
        return None
    rows: list[tuple[str, ...]] = []
    for row, share in enumerate(line.shares):
        ua, wa, minutes = PAPER_TABLE_2.get(share, ("", "", ""))
        took = line.mean(line.minutes[row]).between(0, np.inf).written(1, 1)
        figures = line.mean(line.ua[row]).percent(), line.mean(line.wa[row]).percent(), took
        rows.append((f"{share:.0%}", *figures, str(ua), str(wa), str(minutes)))
    return Table(
        title="Share of labels against UA, WA and minutes (the paper's Table 2)",
        note=f"{condition}; {_averaged(line)}. The paper's figures are those of its merged "
        "corpus with wav2vec2-base on a GPU. Minutes are wall clock of one run on one core: TAPT, "
        "training of what judges (the clip head alone where there is one) and ranking.",
        head=("labels", "UA %", "WA %", "minutes", "paper UA", "paper WA", "paper minutes"),
        rows=tuple(rows),
    )


def table_4(results: Sequence[Result], grid: Grid) -> Table | None:
    """UA of the paper's four conditions, as its Table 4."""
    chosen = ours(grid)
    preset, strategy = chosen.preset, chosen.strategy
    if grid.strategies and "random" in grid.strategies and strategy != "random":
        four = {
            "random, FT": Condition(preset=preset, tapt=False, initialisation="random", strategy="random"),
            "random, TAPT+FT": Condition(preset=preset, tapt=True, initialisation="random", strategy="random"),
            f"{strategy}, FT": Condition(preset=preset, tapt=False, initialisation="random", strategy=strategy),
            f"{strategy}, clusters, TAPT+FT": Condition(
                preset=preset, tapt=True, initialisation="clustered", strategy=strategy
            ),
        }
        lines = {name: condition.of(results) for name, condition in four.items()}
        if all(line is not None for line in lines.values()):
            found = [line for line in lines.values() if line is not None]
            rows: list[tuple[str, ...]] = []
            for share in found[0].shares:
                figures = [line.mean(line.ua[line.at(share) or 0]).percent() for line in found]
                rows.append((f"{share:.0%}", *figures, *map(str, PAPER_TABLE_4.get(share, ("",) * 4))))
            return Table(
                title="With and without TAPT and acquisition (the paper's Table 4)",
                note=f"UA in %, preset {preset}, {_averaged(found[0])}; then the "
                "paper's figures in the same order (random FT, random TAPT+FT, entropy FT, AFTER). Our 100 % is one "
                "training with all labels at once; each of the paper's conditions gets there round by round.",
                head=("labels", *lines, "paper 1", "paper 2", "paper 3", "paper 4"),
                rows=tuple(rows),
            )
    return None


def _averaged(line: Series) -> str:
    runs = len(line.runs)
    return "of a single run" if runs == 1 else f"mean over {runs} runs with 95 % intervals {_kind(line)}"


def _kind(line: Series) -> str:
    return "by fold (Student's t of the folds' means)" if len(set(line.folds)) > 1 else "over the runs of one fold"


def every_condition(results: Sequence[Result], grid: Grid) -> Table:
    """UA and macro-F1 of every condition at every share, and the labels needed for the UA of all labels."""
    rows: list[tuple[str, ...]] = []
    for condition in conditions(grid):
        line = condition.of(results)
        if line is None:
            continue
        figures = [
            line.mean(line.figure(name)[row]).percent()
            for name in ("ua", "macro_f1")
            for row in range(len(line.shares))
        ]
        needed = share_needed(line)
        rows.append(
            (
                condition.preset,
                "yes" if condition.tapt else "no",
                condition.strategy,
                condition.initialisation,
                condition.voting,
                *figures,
                needed.written(100, 0) if needed else "",
            )
        )
    shares = [f"{name} at {share:.0%}" for name in ("UA", "macro-F1") for share in sorted(grid.shares)]
    return Table(
        title="Every condition",
        note="UA and macro-F1 in %; labels needed for the UA of all labels, in %. Shares are of the pool's clips, and "
        "count votes.",
        head=("preset", "TAPT", "strategy", "seeds", "votes", *shares, "labels needed"),
        rows=tuple(rows),
    )


def effects(results: Sequence[Result], grid: Grid) -> Table | None:
    """What each choice changes by itself: paired by run, averaged over all other choices; None without a choice."""
    tried = conditions(grid)
    lines = {condition: line for condition in tried if (line := condition.of(results)) is not None}
    choices: list[tuple[str, list[tuple[Condition, Condition]]]] = [
        ("TAPT, against none", [(condition, replace(condition, tapt=False)) for condition in tried if condition.tapt]),
        (
            "clustered seeds, against random ones",
            [
                (condition, replace(condition, initialisation=Initialisation.RANDOM))
                for condition in tried
                if condition.initialisation == Initialisation.CLUSTERED
            ],
        ),
    ]
    for name in (name for name in grid.strategies if name != "random"):
        pairs = [
            (condition, replace(condition, strategy="random")) for condition in tried if condition.strategy == name
        ]
        choices.append((f"{name}, against random labels", pairs))
    for voting in grid.voting[1:]:
        pairs = [
            (condition, replace(condition, voting=grid.voting[0])) for condition in tried if condition.voting == voting
        ]
        choices.append((f"votes {voting}, against {grid.voting[0]}", pairs))
    first = grid.presets[0]
    for preset in grid.presets[1:]:
        pairs = [(condition, replace(condition, preset=first)) for condition in tried if condition.preset == preset]
        choices.append((f"{preset}, against {first}", pairs))
    shares = sorted(grid.shares)
    rows: list[tuple[str, ...]] = []
    for name, pairs in choices:
        known = [
            (lines[condition], lines[other]) for condition, other in pairs if condition in lines and other in lines
        ]
        if known:
            labelling = all(
                (condition.preset, condition.tapt) == (other.preset, other.tapt) for condition, other in pairs
            )
            rows.append((name, *("" if labelling and share == 1 else _mean_effect(known, share) for share in shares)))
    if not rows:
        return None
    return Table(
        title="What each choice changes",
        note="Points of UA, paired by run and averaged over all other choices, with 95 % intervals by fold. "
        "All labels are the same however they were chosen.",
        head=("choice", *(f"at {share:.0%}" for share in shares)),
        rows=tuple(rows),
    )


def _mean_effect(pairs: Sequence[tuple[Series, Series]], share: float) -> str:
    """Mean over pairs of conditions, then mean and interval over the runs that all have."""
    runs = sorted(set[tuple[int, int]].intersection(*(set(line.runs) for pair in pairs for line in pair)))
    if not runs or any(line.at(share) is None for pair in pairs for line in pair):
        return ""
    by_run = [[line.ua[line.at(share) or 0, line.runs.index(run)] for run in runs] for pair in pairs for line in pair]
    ours_then_theirs = np.array(by_run).reshape(len(pairs), 2, len(runs))
    differences = (ours_then_theirs[:, 0] - ours_then_theirs[:, 1]).mean(axis=0)
    return interval(differences, [fold for _, fold in runs]).written(100, 1, "+")


def findings(results: Sequence[Result], grid: Grid) -> list[str]:
    """What a person wants to know first, in sentences."""
    condition = ours(grid)
    line = condition.of(results)
    if line is None:
        return []
    told: list[str] = []
    full, fifth = line.at(1.0), line.at(0.2)
    needed = share_needed(line)
    if full is not None and needed is not None:
        ends = "" if needed.low != needed.low else f" [{needed.low:.0%} to {needed.high:.0%}]"
        told.append(
            f"To reach the UA of all labels, {line.mean(line.ua[full]).percent()} %, {condition} needed "
            f"{needed.mean:.0%}{ends} of them."
        )
    if full is not None and fifth is not None:
        difference = paired(line, line, 0.2, 1.0)
        if difference:
            told.append(
                f"At 20 % of the labels UA was {line.mean(line.ua[fifth]).percent()} %, which is "
                f"{difference.written(100, 1, '+')} points from all labels."
            )
        ratio = line.minutes[fifth] / line.minutes[full]
        longer = ratio.mean() > 1
        change = line.mean(ratio - 1 if longer else 1 - ratio).written(100, 0)
        included = " (TAPT included)" if condition.tapt else ""
        told.append(
            f"Computing to 20 %{included} took {clock(float(line.minutes[fifth].mean()) * 60)}, to all labels "
            f"{clock(float(line.minutes[full].mean()) * 60)}: {change} % {'longer' if longer else 'less'}."
        )
    for tapt in grid.tapt:
        baseline = replace(condition, tapt=tapt).random.of(results)
        gain = None if baseline is None or condition.strategy == "random" else paired(line, baseline, 0.2)
        if gain:
            told.append(
                f"Against random labels {'with' if tapt else 'without'} TAPT the gain at 20 % was "
                f"{gain.written(100, 1, '+')} points (the paper: {'+3.6' if tapt else '+26'})."
            )
    return told
