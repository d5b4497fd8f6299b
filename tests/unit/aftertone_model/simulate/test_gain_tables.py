"""What choosing gains: the numbers of small, made-up results, and what changes a cell's key."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone_model.simulate.cell_run import Measured
from aftertone_model.simulate.crowd import Crowd
from aftertone_model.simulate.gain_tables import each_left_out, gains, rare_clips
from aftertone_model.simulate.grid import ALLOCATED, Cell, Grid
from aftertone_model.simulate.results import Result

GRID = Grid(
    strategies=("random", "entropy"),
    initialisations=("random",),
    tapt=(False,),
    shares=(0.1, 0.2, 1.0),
    seeds=2,
    prevalence=(("neutral", 0.8),),
)


def counts(right: int) -> list[list[int]]:
    """Of 20 clips of one speaker, ten of each of two classes."""
    return [[right, 10 - right], [10 - right, right]]


def result(strategy: str, seed: int, share: float, right: int, **more: Any) -> Result:
    kind = {"preset": "light", "tapt": False, "initialisation": "random", "fold": seed}
    cell = Cell(strategy=strategy, seed=seed, **kind | more.pop("cell", {}))
    rare = {"rare_found": round(50 * share), "rare_per_100": 50 * share, "rare_recall": share, "labels_until_found": 40}
    measured = Measured(
        share=share,
        labels=round(100 * share),
        tuning="probe",
        ua=right / 10,
        wa=right / 10,
        macro_f1=right / 10,
        ece=0.1,
        tapt_seconds=0.0,
        train_seconds=1.0,
        rank_seconds=0.0,
        confusions={f"s{seed}": counts(right), f"t{seed}": counts(right)},
        **rare | more,
    )
    return Result(cell=cell, measured=measured)


RESULTS = [
    result(strategy, seed, share, right, **({"labels_until_found": None} if strategy == "random" else {}))
    for strategy, curve in (("random", {0.1: 5, 0.2: 6}), ("entropy", {0.1: 6, 0.2: 8}))
    for seed in range(2)
    for share, right in curve.items()
]


def test_gains_of_ua_and_macro_f1_at_each_share_and_labels_saved() -> None:
    table = gains(RESULTS, GRID)
    assert table is not None
    assert table.head == (
        "condition",
        "UA at 10%",
        "UA at 20%",
        "macro-F1 at 10%",
        "macro-F1 at 20%",
        "labels for random's macro-F1 at 20%",
    )
    (row,) = table.rows
    ten, twenty = "+10.0 [+10.0 to +10.0]", "+20.0 [+20.0 to +20.0]"
    assert row == ("entropy, random seeds, no TAPT, light", ten, twenty, ten, twenty, "10.0 [10.0 to 10.0]")


def test_rare_clips_found_and_labels_until_enough() -> None:
    table = rare_clips(RESULTS, GRID)
    assert table is not None
    chance, chosen = table.rows
    assert chosen[1:] == (
        *("5.0 [5.0 to 5.0]", "10.0 [10.0 to 10.0]", "10.0 [10.0 to 10.0]", "20.0 [20.0 to 20.0]"),
        "40 (2 of 2 runs)",
    )
    assert chance[-1] == "not reached (0 of 2 runs)"
    assert rare_clips([replace(r, measured=replace(r.measured, rare_per_100=None)) for r in RESULTS], GRID) is None


def test_each_corpus_left_out_has_its_own_row() -> None:
    table = each_left_out(RESULTS, GRID, ["EMO-DB", "nEMO"])
    assert table is not None
    assert [row[1:] for row in table.rows] == [
        (name, *figures) for figures in (("50.0", "60.0"), ("60.0", "80.0")) for name in ("EMO-DB", "nEMO")
    ]
    assert each_left_out(RESULTS, GRID, []) is None


def test_a_cells_key_changes_with_whatever_its_figures_depend_on() -> None:
    grid = replace(GRID, crowd=Crowd(annotators=3, rates=(0.2,)))
    cell = grid.cells()[0]
    changed = [
        replace(grid, prevalence=(("neutral", 0.7),)),
        replace(grid, rare=("angry",)),
        replace(grid, crowd=Crowd(annotators=5, rates=(0.2,))),
        replace(grid, crowd=Crowd(annotators=3, rates=(0.3,))),
    ]
    keys = {one.key(cell, "corpus", "backbone") for one in [grid, *changed]}
    keys.add(grid.key(replace(cell, voting=ALLOCATED), "corpus", "backbone"))
    keys.add(grid.key(cell, "another", "backbone"))
    assert len(keys) == 7
    assert replace(grid, seeds=5).key(cell, "corpus", "backbone") in keys  # more runs keep those that are done


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prevalence", "bored=80"], "no class bored"),
        (["--rare", "bored"], "no class bored"),
        (["--votes", "3"], "say --annotators"),
        (["--votes", "some"], "--votes takes numbers"),
        (["--annotators", "3", "--confusion", "none.csv"], "There is no none.csv"),
        (["--leave-out", "corpus"], "There is no column corpus; there are:"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(tmp_path: Path, options: list[str], message: str) -> None:
    lines = ["path,emotion,speaker,duration_s"]
    for number in range(20):
        (tmp_path / f"{number}.wav").touch()
        lines.append(f"{number}.wav,{'happy' if number % 2 else 'sad'},s{number % 10},1")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    outcome = CliRunner().invoke(app, ["simulate", str(tmp_path / "manifest.csv"), "--plan", *options])
    assert outcome.exit_code == 1
    assert message in outcome.output
