"""The simulator on a small corpus of tones: what it plays, what it says, and that a kill changes nothing."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone_model.config import PAPER, TAPT_PROFILES
from aftertone_model.data.manifest import ManifestError
from aftertone_model.errors import SimulationError
from aftertone_model.progress import silent
from aftertone_model.simulate.cell_run import Measured, read_cell
from aftertone_model.simulate.conditions import Condition
from aftertone_model.simulate.cost import Simulation, check
from aftertone_model.simulate.crowd import parse_crowd
from aftertone_model.simulate.grid import ALL, ALLOCATED, Cell, Grid, config_of
from aftertone_model.simulate.intervals import interval
from aftertone_model.simulate.labelled_corpus import read_labelled
from aftertone_model.simulate.prepared import Prepared, adapt, decode
from aftertone_model.simulate.prevalence import parse_prevalence
from aftertone_model.simulate.results import Result, labels_needed, paired, series, share_needed, write_csv
from aftertone_model.simulate.simulation import simulate
from aftertone_model.simulate.tables import effects, table_2, table_4
from tests.backbones import small
from tests.unit.aftertone_model.simulate.threads import Threads

PITCHES = {"low": 200, "middle": 600, "high": 1_800}  # Hz
SPEAKERS = 6


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 tones of six speakers, a manifest, and a backbone of 60,000 parameters."""
    folder, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)
    lines = ["path,emotion,speaker,duration_s"]
    for number in range(60):
        emotion = list(PITCHES)[number % 3]
        time_axis = np.arange(12_000) / 16_000
        tone = 0.3 * np.sin(2 * np.pi * PITCHES[emotion] * rng.uniform(0.8, 1.2) * time_axis)
        soundfile.write(folder / f"{number}.wav", tone + 0.05 * rng.normal(size=12_000), 16_000)
        lines.append(f"{number}.wav,{emotion},speaker {number % SPEAKERS},0.75")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    small(num_hidden_layers=2).save(folder / "backbone")
    return folder


GRID = Grid(
    strategies=("random", "entropy"), initialisations=("random", "clustered"), shares=(0.2, 0.5, 1.0), seeds=2, folds=3
)


def asked(corpus: Path, out: Path, grid: Grid = GRID) -> Simulation:
    return Simulation(
        manifest=corpus / "manifest.csv", out=out, grid=grid, backbone=str(corpus / "backbone"), command="aftertone"
    )


def run(simulation: Simulation) -> None:
    simulate(simulation, check(simulation)[0], print)


@pytest.fixture(scope="module")
def finished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    run(asked(corpus, out))
    return out


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks run in a thread: a process of their own takes seconds to start, and the test isn't about processes."""
    monkeypatch.setattr("aftertone_model.simulate.simulation.Processes", Threads)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_measures_every_cell_at_every_share_on_speakers_left_out(corpus: Path, finished: Path) -> None:
    rows = rows_of(finished / "results.csv")
    told = {(r["tapt"], r["initialisation"], r["strategy"], r["seed"], r["share"]) for r in rows}
    assert (
        len(told) == len(rows) == 2 * 2 * (2 * 2 * 2 + 1)
    )  # TAPT x seeds x (conditions x partial shares + all labels)
    assert {(r["seed"], r["fold"]) for r in rows} == {("0", "0"), ("1", "1")}
    labels = {(r["fold"], r["share"]): int(r["labels"]) for r in rows}
    for fold, tested in enumerate(read_labelled(corpus / "manifest.csv").folds(3)[:2]):
        pool = 60 - len(tested)
        assert [labels[str(fold), share] for share in ("0.2", "0.5", "1.0")] == [pool / 5, pool / 2, pool]
    assert all(r["tuning"] == "probe" for r in rows)
    whole = [float(r["ua"]) for r in rows if r["strategy"] == ALL]
    assert np.mean(whole) > 0.8  # tones are easy
    times = rows_of(finished / "times.csv")
    assert all((float(row["tapt_seconds"]) > 0) == (row["tapt"] == "True") for row in times)


def test_writes_a_page_tables_and_figures(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert page.count("<svg") == 3
    assert "Gain over random labels" in page
    assert "To reach the UA of all labels" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")  # nothing is loaded from elsewhere
    assert "paper 4" in (finished / "tables.md").read_text()
    for name in ("accuracy.png", "accuracy.svg", "time.png", "time.svg", "macro-f1.png", "macro-f1.svg"):
        assert (finished / "figures" / name).stat().st_size > 1_000


KILLED = """
import sys
from pathlib import Path
from tests.unit.aftertone_model.simulate.test_simulation import PART, asked, run
if __name__ == "__main__":
    run(asked(Path(sys.argv[1]), Path(sys.argv[2]), PART))
"""
PART = replace(GRID, strategies=("entropy",), seeds=1)  # cells that the finished simulation has as well


@pytest.mark.slow
def test_killed_half_way_and_started_again_it_ends_with_the_same_csv(
    corpus: Path, finished: Path, tmp_path: Path, one_process: None
) -> None:
    script, out = tmp_path / "killed.py", tmp_path / "out"
    script.write_text(KILLED)
    paths = [str(Path(__file__).parents[4]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    child = subprocess.Popen(
        [sys.executable, script, corpus, out], env=environment, start_new_session=True, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while len(list(out.glob("cells/*.json"))) < 2:
        assert child.poll() is None, "ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    kept = {path: path.stat().st_mtime_ns for path in out.glob("cells/*.json")}
    assert len(kept) < len(PART.cells()) == 6
    assert not (out / "results.csv").exists()
    run(asked(corpus, out, PART))
    expected = [row for row in rows_of(finished / "results.csv") if row["seed"] == "0" and row["strategy"] != "random"]
    assert rows_of(out / "results.csv") == expected
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # none was run again


def test_more_seeds_or_strategies_keep_the_cells_that_are_done(corpus: Path, finished: Path, one_process: None) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in finished.glob("cells/*.json")}
    grid = Grid(strategies=("random", "entropy", "margin"), tapt=(False,), shares=(0.2, 0.5, 1.0), seeds=2, folds=3)
    run(asked(corpus, finished, grid))
    after = {path.name: path.stat().st_mtime_ns for path in finished.glob("cells/*.json")}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 4  # margin, from two seed sets, twice
    said: list[str] = []
    simulation = asked(corpus, finished)
    simulate(simulation, check(simulation)[0], said.append, silent)
    assert any("also holds 4 cells of other settings" in line for line in said)


def test_nothing_of_another_backbone_or_of_other_folds_is_taken_over(
    corpus: Path, tmp_path: Path, one_process: None
) -> None:
    backbone, out = tmp_path / "backbone", tmp_path / "out"
    shutil.copytree(corpus / "backbone", backbone)
    grid = Grid(strategies=("random",), initialisations=("random",), tapt=(True,), shares=(0.5,), seeds=1, folds=3)
    simulation = replace(asked(corpus, out, grid), backbone=str(backbone))
    run(simulation)
    small(seed=1, num_hidden_layers=2).save(backbone)  # under the old name
    run(simulation)
    run(replace(simulation, grid=replace(grid, folds=2)))
    assert len(list(out.glob("cells/*.json"))) == 3
    assert len(list(out.glob("adapted/*/fold-0/adaptation.json"))) == 3


def test_batches_make_more_rounds_and_all_labels_at_once_are_trained_afresh_whatever_the_preset(
    corpus: Path, tmp_path: Path, one_process: None
) -> None:
    warm = Grid(
        strategies=("entropy",),
        initialisations=("clustered",),
        tapt=(False,),
        presets=("light:warm_start=true,updates=20",),
        shares=(0.5, 1.0),
        seeds=1,
        folds=3,
        batch=5,
    )
    run(asked(corpus, tmp_path, warm))
    rows = rows_of(tmp_path / "results.csv")
    pool = 60 - len(read_labelled(corpus / "manifest.csv").folds(3)[0])
    assert [(row["strategy"], row["labels"]) for row in rows] == [(ALL, f"{pool}"), ("entropy", f"{pool // 2}")]


def test_plan_lists_cells_time_and_disk_and_runs_nothing(corpus: Path, tmp_path: Path) -> None:
    out, backbone = tmp_path / "out", corpus / "backbone"
    options = ["--out", str(out), "--backbone", str(backbone), "--strategies", "random,entropy", "--folds", "3"]
    outcome = CliRunner().invoke(app, ["simulate", str(corpus / "manifest.csv"), *options, "--seeds", "2", "--plan"])
    assert outcome.exit_code == 0
    lines = outcome.output.splitlines()
    assert len(lines) == len(GRID.cells()) + 1
    assert lines[0] == "light-unadapted-random-random-seed0-fold0"
    assert "20 cells; 60 clips" in lines[-1]
    assert "GB on disk" in lines[-1]
    assert not out.exists()


@pytest.mark.parametrize("options", [[], ["--plan"]])
def test_without_matplotlib_the_extra_is_named_before_anything_runs(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    out = tmp_path / "out"
    outcome = CliRunner().invoke(app, ["simulate", str(corpus / "manifest.csv"), "--out", str(out), *options])
    assert outcome.exit_code == 1
    assert "pip install aftertone[simulate]" in outcome.output
    assert not out.exists()


def test_bad_rows_are_named_before_anything_runs(corpus: Path, tmp_path: Path) -> None:
    lines = (corpus / "manifest.csv").read_text().splitlines()
    lines[3] = lines[3].replace("high", "shrill")
    lines[5] = lines[5].replace("middle", "")
    lines[7] = lines[7].replace("speaker 0", "")
    bad = corpus / "bad.csv"
    bad.write_text("\n".join(lines) + "\n")
    with pytest.raises(ManifestError) as error:
        read_labelled(bad, ("low", "middle", "high"))
    assert "line 4 (2.wav) has the emotion shrill, which is none of low, middle, high" in str(error.value)
    assert "line 6 (4.wav) has no emotion" in str(error.value)
    assert "line 8 (6.wav) has no speaker" in str(error.value)
    bad.write_text("\n".join([*lines, "gone.wav,low,speaker 1,0.75"]) + "\n")
    outcome = CliRunner().invoke(app, ["simulate", str(bad), "--out", str(tmp_path / "out")])
    assert outcome.exit_code == 1
    assert "line 62 names gone.wav, which is no file" in outcome.output
    outcome = CliRunner().invoke(app, ["simulate", str(corpus), "--out", str(tmp_path / "out")])
    assert "is a folder, which tells neither emotions nor speakers" in outcome.output
    assert not (tmp_path / "out").exists()


def test_too_few_speakers_and_unknown_names_are_refused_in_words(corpus: Path) -> None:
    with pytest.raises(ManifestError, match="6 speakers, too few for 7 folds"):
        read_labelled(corpus / "manifest.csv").folds(7)
    arguments: dict[str, Any] = {"strategies": ("random",)}
    wrong: dict[str, Any]
    for wrong, message in (
        ({"strategies": ("luck",)}, "no strategy luck"),
        ({"presets": ("heavy",)}, "no preset heavy"),
        ({"presets": ("light:luck=1",)}, "no field luck"),
        ({"presets": ("light:warm_start=maybe",)}, "should be a valid boolean"),
        ({"presets": ("light:dropout=7",)}, "should be less than 1"),
        ({"presets": ("paper:tapt=heavy",)}, "no such TAPT"),
        ({"presets": ("paper:tapt.luck=1",)}, "no field tapt.luck"),
        ({"initialisations": ("warm",)}, "no initialisation warm"),
        ({"presets": ("light:strategy=margin",)}, "Name it in --strategies"),
        ({"shares": (0.2, 1.2)}, "percentages above 0"),
        ({"shares": (float("nan"),)}, "percentages above 0"),
        ({"shares": (0.2, float("nan"))}, "percentages above 0"),
        ({"voting": ("²",)}, "--votes takes numbers"),
        ({"strategies": ()}, "--strategies names nothing"),
        ({"initialisations": ()}, "--initialisations names nothing"),
        ({"voting": ()}, "--votes names nothing"),
    ):
        with pytest.raises(SimulationError, match=message):
            Grid(**arguments | wrong)
    changed = config_of("paper:tapt=brief,tapt.passes=3,tuning=lora").tapt
    assert changed == replace(TAPT_PROFILES["brief"], passes=3)
    assert config_of("paper:epochs=3,warm_start=false").epochs == 3
    assert config_of("paper").warm_start == PAPER.warm_start


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("accent", "There is no column accent; there are: path, emotion, speaker, duration_s."),
        ("emotion", "--leave-out emotion leaves nothing"),
        ("path", "--leave-out path leaves nothing"),
    ],
)
def test_a_column_that_cannot_be_left_out_is_refused(corpus: Path, column: str, message: str) -> None:
    with pytest.raises(ManifestError, match=re.escape(message)):
        read_labelled(corpus / "manifest.csv", leave_out=column)


def test_a_class_named_twice_is_one(corpus: Path) -> None:
    assert read_labelled(corpus / "manifest.csv", ("low", "middle", "high", "low")).classes == ("high", "low", "middle")


@pytest.mark.parametrize("device", ["nonsense", "cuda", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_refused(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(SimulationError, match=f"--device {device}: .*cpu"):
        check(replace(asked(corpus, tmp_path), device=device))


def test_a_prevalence_that_a_fold_cannot_have_is_refused(corpus: Path, tmp_path: Path) -> None:
    simulation = replace(asked(corpus, tmp_path), manifest=corpus / "lacking.csv")
    lines = (corpus / "manifest.csv").read_text().splitlines()
    kept = [line for line in lines if "low" not in line or "speaker 0" in line]  # the others never are low
    simulation.manifest.write_text("\n".join(kept) + "\n")
    fold = next(n for n, test in enumerate(read_labelled(simulation.manifest).folds(3)) if 0 in test)
    grid = replace(GRID, seeds=3, prevalence=parse_prevalence("low=50"))
    with pytest.raises(SimulationError, match=f"low 50% of the pool, but the training clips of fold {fold} have 0 "):
        check(replace(simulation, grid=grid))
    check(replace(simulation, grid=replace(grid, seeds=fold)) if fold else simulation)


def test_what_is_named_twice_runs_once() -> None:
    once = Grid(strategies=("random", "entropy"), initialisations=("random",), seeds=1)
    strategies = ("random", "entropy", "random")
    twice = Grid(strategies=strategies, initialisations=("random", "random"), voting=("1", "1"), seeds=1)
    assert twice.cells() == once.cells()


def test_the_four_conditions_of_table_4() -> None:
    grid = Grid(strategies=("random", "entropy"), presets=("paper",), shares=(0.2, 1.0), seeds=1, four=True)
    assert [(cell.tapt, cell.initialisation, cell.strategy) for cell in grid.cells()] == [
        (False, "random", "random"),
        (False, "random", "entropy"),
        (False, ALL, ALL),
        (True, "random", "random"),
        (True, "clustered", "entropy"),
        (True, ALL, ALL),
    ]


def test_no_speaker_is_on_both_sides_and_every_clip_is_tested_once(corpus: Path) -> None:
    labelled = read_labelled(corpus / "manifest.csv")
    folds = labelled.folds(3)
    assert sorted(np.concatenate(folds)) == list(range(60))
    for test in folds:
        inside = {labelled.speakers[row] for row in test}
        outside = {labelled.speakers[row] for row in set(range(60)) - set(test.tolist())}
        assert not inside & outside


def result(strategy: str, seed: int, share: float, ua: float, **cell) -> Result:
    kind: dict[str, Any] = {"preset": "light", "tapt": True, "initialisation": "clustered", "fold": seed} | cell
    figures: dict[str, Any] = {"wa": ua, "macro_f1": ua, "ece": 0.1, "labels": round(100 * share), "tuning": "probe"}
    seconds: dict[str, Any] = {"tapt_seconds": 60.0, "train_seconds": 600 * share, "rank_seconds": 0.0}
    return Result(
        cell=Cell(strategy=strategy, seed=seed, **kind), measured=Measured(share=share, ua=ua, **figures, **seconds)
    )


def test_the_share_needed_lies_where_the_curve_meets_its_end() -> None:
    curve = {0.1: 0.5, 0.2: 0.6, 0.4: 0.8, 1.0: 0.7}
    results = [result("entropy", seed, share, ua) for seed in range(3) for share, ua in curve.items()]
    line = series(results, "light", True, "clustered", "entropy")
    assert line is not None
    needed = share_needed(line)
    assert needed is not None
    assert needed.mean == pytest.approx(0.3)
    assert (needed.low, needed.high) == (pytest.approx(0.3), pytest.approx(0.3))


def test_differences_are_paired_by_run() -> None:
    results = [result("entropy", seed, 0.2, 0.6 + 0.1 * seed) for seed in range(3)]
    results += [result("random", seed, 0.2, 0.55 + 0.1 * seed) for seed in range(3)]
    lines = [series(results, "light", True, "clustered", name) for name in ("entropy", "random")]
    assert lines[0] is not None
    assert lines[1] is not None
    gain = paired(lines[0], lines[1], 0.2)
    assert gain is not None
    assert gain.written(100, 1, "+") == "+5.0 [+5.0 to +5.0]"
    assert interval(np.array([0.5])).percent() == "50.0"


def test_an_interval_of_a_share_ends_where_shares_end() -> None:
    assert interval(np.array([0.2, 0.9])).percent() == "55.0 [0.0 to 100.0]"


def test_a_choice_is_judged_by_what_it_changes_in_every_other_condition() -> None:
    gains = {"random": 0.0, "entropy": 0.05}
    results = [
        result(strategy, seed, 0.2, 0.5 + 0.1 * seed + gain + 0.02 * tapt, tapt=tapt, initialisation=start)
        for strategy, gain in gains.items()
        for seed in range(2)
        for tapt in (False, True)
        for start in ("random", "clustered")
    ]
    grid = Grid(strategies=("random", "entropy"), shares=(0.2, 1.0), seeds=2)
    table = effects(results, grid)
    assert table is not None
    assert table.rows == (
        ("TAPT, against none", "+2.0 [+2.0 to +2.0]", ""),  # nothing was measured with all labels
        ("clustered seeds, against random ones", "+0.0 [+0.0 to +0.0]", ""),
        ("entropy, against random labels", "+5.0 [+5.0 to +5.0]", ""),
    )


def test_presets_are_judged_against_the_first_with_all_labels_too() -> None:
    first, second = "light", "light:dropout=0.5"
    results = [
        result(strategy, seed, share, 0.5 + gain, preset=preset, tapt=False, initialisation=start)
        for preset, gain in ((first, 0.0), (second, -0.01))
        for seed in range(2)
        for strategy, start, share in (("random", "random", 0.2), (ALL, ALL, 1.0))
    ]
    grid = Grid(strategies=("random",), initialisations=("random",), tapt=(False,), shares=(0.2, 1.0), seeds=2)
    table = effects(results, replace(grid, presets=(first, second)))
    assert table is not None
    assert table.rows == ((f"{second}, against {first}", "-1.0 [-1.0 to -1.0]", "-1.0 [-1.0 to -1.0]"),)
    assert effects(results, grid) is None


def test_tables_stand_beside_the_papers_figures(tmp_path: Path) -> None:
    conditions = {(False, "random", "random"), (True, "random", "random"), (False, "random", "entropy-clusters")}
    conditions.add((True, "clustered", "entropy-clusters"))
    results = [
        result(strategy, seed, share, 0.6, tapt=tapt, initialisation=start)
        for tapt, start, strategy in sorted(conditions)
        for seed in range(2)
        for share in (0.2, 1.0)
    ]
    grid = Grid(strategies=("random", "entropy-clusters"), shares=(0.2, 1.0), seeds=2)
    fourth = table_4(results, grid)
    assert fourth is not None
    assert fourth.rows[0][1:] == ("60.0 [60.0 to 60.0]",) * 4 + ("51.37", "73.82", "71.07", "77.41")
    second = table_2(
        results, Condition(preset="light", tapt=True, initialisation="clustered", strategy="entropy-clusters")
    )
    assert second is not None
    assert second.rows[1][3:] == ("11.0 [11.0 to 11.0]", "79.15", "75.94", "1508.2")
    assert "| 20% |" in second.markdown()
    write_csv(results, tmp_path)
    assert json.loads(json.dumps(rows_of(tmp_path / "results.csv")[0]))["ua"] == "0.6"


def test_the_labels_needed_for_anothers_figure() -> None:
    results = [result("entropy", seed, share, ua) for seed in range(3) for share, ua in {0.1: 0.5, 0.2: 0.7}.items()]
    results += [result("random", seed, share, ua) for seed in range(3) for share, ua in {0.1: 0.4, 0.2: 0.6}.items()]
    lines = [series(results, "light", True, "clustered", name) for name in ("entropy", "random")]
    assert lines[0] is not None
    assert lines[1] is not None
    needed = labels_needed(lines[0], lines[1], 0.2)
    assert needed is not None
    assert (needed.mean, needed.low, needed.high) == pytest.approx((0.15, 0.15, 0.15))
    never = labels_needed(lines[1], lines[0], 0.2)
    assert never is not None
    assert never.mean == 1


@pytest.mark.slow
def test_a_thinned_pool_several_annotators_and_corpora_left_out(
    corpus: Path, tmp_path: Path, one_process: None
) -> None:
    """Everything of the real world at once, on corpora of two speakers each."""
    lines = (corpus / "manifest.csv").read_text().splitlines()
    named = [
        f"{line},{'abc'[(number - 1) % 6 // 2]}" if number else f"{line},corpus" for number, line in enumerate(lines)
    ]
    (corpus / "corpora.csv").write_text("\n".join(named) + "\n")
    grid = Grid(
        strategies=("random",),
        initialisations=("random",),
        tapt=(False,),
        presets=("light:updates=20",),
        shares=(0.8, 1.0),
        seeds=1,
        batch=6,
        prevalence=(("low", 0.6), ("middle", 0.3)),
        crowd=parse_crowd(3, "0.1,0.3,0.5"),
        voting=("1", "3", ALLOCATED),
    )
    simulation = replace(asked(corpus, tmp_path, grid), manifest=corpus / "corpora.csv", leave_out="corpus")
    run(simulation)
    rows = rows_of(tmp_path / "results.csv")
    assert {row["fold"] for row in rows} == {"0", "1", "2"}
    assert len(rows) == 3 * (3 + 1)
    # A speaker of these tones has one pitch: 10, 10 or 20 low clips are left, and the others as asked beside them.
    pools = {"0": 16, "1": 16, "2": 33}
    for row in rows:
        if row["strategy"] == ALL:
            continue
        labels, votes, share = int(row["labels"]), int(row["votes"]), float(row["share"])
        assert 0 <= round(share * pools[row["fold"]]) - votes <= 2
        assert {"1": votes == labels, "3": votes == 3 * labels, ALLOCATED: labels <= votes}[row["voting"]]
        assert 0 <= float(row["rare_recall"]) <= 1
        assert float(row["rare_per_100"]) == pytest.approx(100 * int(row["rare_found"]) / labels)
    assert any(int(row["labels"]) < int(row["votes"]) for row in rows if row["voting"] == ALLOCATED)
    tables = (tmp_path / "tables.md").read_text()
    for title in ("Gain over random labels", "Rare clips found", "Each left out by itself"):
        assert f"### {title}" in tables
    assert "a, b, c; each is left out" in tables
    cell = json.loads(next((tmp_path / "cells").glob("*fold0*")).read_text())
    counts = np.array(list(cell["measured"][0]["confusions"].values()))
    assert counts.shape == (2, 3, 3)  # the two speakers of the corpus left out
    assert counts.sum() == 20


def test_cells_without_tapt_wait_for_no_adaptation(
    corpus: Path, tmp_path: Path, one_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = Grid(strategies=("random",), initialisations=("random",), shares=(0.5,), seeds=1, folds=3)
    late: list[str] = []

    def adapt_last(prepared: Prepared, cell: Cell, device: str) -> float:
        late.extend(path.name for path in (tmp_path / "cells").glob("*.json"))
        return adapt(prepared, cell, device)

    monkeypatch.setattr("aftertone_model.simulate.simulation.adapt", adapt_last)
    run(asked(corpus, tmp_path, grid))
    assert ["unadapted" in name for name in late] == [True]  # done, with one process, before the adaptation began
    assert len(list((tmp_path / "cells").glob("*.json"))) == 2


def test_thinning_leaves_the_test_set_and_adaptation_knows_its_pool(corpus: Path, tmp_path: Path) -> None:
    labelled = read_labelled(corpus / "manifest.csv")
    backbone = str(corpus / "backbone")
    plain = decode(labelled, tmp_path, backbone, 3, silent)
    thin = decode(labelled, tmp_path, backbone, 3, silent, (("high", 0.1),))
    pool, tested = thin.sides(1, seed=4)
    assert tested == plain.sides(1)[1]
    assert len(pool) < len(plain.sides(1)[0])
    assert pool == thin.sides(1, seed=4)[0]
    config = config_of("light")
    assert thin.adapted(1, 4, config) != thin.adapted(1, 5, config)
    assert plain.adapted(1, 4, config) == plain.adapted(1, 5, config)


@pytest.mark.slow
def test_ctrl_c_ends_every_process_quietly_and_what_was_done_is_kept(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--strategies", "margin", "--tapt", "off", "--folds", "3", "--jobs", "2", "--out", str(out)]
    command = [sys.executable, "-m", "aftertone", "simulate", str(corpus / "manifest.csv"), *options]
    command += ["--backbone", str(corpus / "backbone"), "--seeds", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0) as run:
        deadline = time.monotonic() + 300
        while len(list((out / "cells").glob("*.json"))) < 2:
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        said, _ = run.communicate(timeout=300)  # ends once nobody has the pipe any more
    assert run.returncode == 130
    assert b"Traceback" not in said, said.decode()
    assert [path for path in (out / "cells").iterdir() if path.suffix == ".json" and read_cell(path) is None] == []
