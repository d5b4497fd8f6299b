"""The study of supervised contrastive learning on two small corpora of tones."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone_model.errors import SimulationError
from aftertone_model.progress import silent
from aftertone_model.simulate.cross_corpus import (
    MODELS,
    PairCell,
    contrastive_config,
    parse_pairs,
    sides,
    tables,
)
from aftertone_model.simulate.cross_corpus_study import play_pairs
from aftertone_model.simulate.labelled_corpus import read_labelled
from aftertone_model.simulate.prepared import decode
from aftertone_model.simulate.study import Study
from tests.backbones import small

BRIEF = "paper:encoder.epochs=1,encoder.batch_size=8,direct.epochs=1,classifier.epochs=1"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 tones each of two corpora, four speakers in each."""
    folder, rng = tmp_path_factory.mktemp("corpora"), np.random.default_rng(0)
    lines = ["path,emotion,speaker,corpus"]
    for number in range(48):
        pitch, name = (200, 1_000)[number % 2], "first" if number < 24 else "second"
        tone = 0.3 * np.sin(2 * np.pi * pitch * rng.uniform(0.8, 1.2) * np.arange(8_000) / 16_000)
        soundfile.write(folder / f"{number}.wav", tone + 0.05 * rng.normal(size=8_000), 16_000)
        lines.append(f"{number}.wav,{('low', 'high')[number % 2]},{name} {number // 2 % 4},{name}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    small(num_hidden_layers=2).save(folder / "backbone")
    return folder


def test_it_plays_a_pair_and_prints_the_papers_tables(corpus: Path, tmp_path: Path) -> None:
    command = ["simulate", str(corpus / "manifest.csv"), "--method", "supervised-contrastive", "--out", str(tmp_path)]
    command += ["--backbone", str(corpus / "backbone"), "--folds", "2", "--jobs", "1", "--preset", BRIEF]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0, said.output
    assert "| first | second | " in said.output
    assert "| second | first | " in said.output
    assert "| IEMOCAP (the paper) | CASIA, WavLM-base | 68.31 |  | 77.41 |  |  | +9.1 |  |" in said.output
    assert "| first + second | " in said.output
    kept = sorted((tmp_path / "cells").glob("*.json"))
    assert len(kept) == 2
    before = [file.stat().st_mtime_ns for file in kept]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert [file.stat().st_mtime_ns for file in kept] == before  # nothing is played twice


def test_a_target_is_tested_on_speakers_whom_nothing_was_trained_on(corpus: Path, tmp_path: Path) -> None:
    manifest = read_labelled(corpus / "manifest.csv")
    prepared = decode(manifest, tmp_path, str(corpus / "backbone"), 2, silent)
    tested_on = set()
    for fold in range(2):
        for name in ("first", "second"):
            learning, tested = sides(prepared, name, fold)
            assert {clip.attributes["corpus"] for clip in [*learning, *tested]} == {name}
            assert not {clip.speaker for clip in learning} & {clip.speaker for clip in tested}
            tested_on |= {clip.id for clip in tested}
    assert len(tested_on) == 48


def test_what_does_not_fit_is_said(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"takes pairs such as a\+b, of a, b"):
        parse_pairs("a+c", ["a", "b"])
    with pytest.raises(SimulationError, match="needs two corpora; the manifest has 1"):
        parse_pairs("", ["a"])
    with pytest.raises(SimulationError, match=r"no field encoder\.size"):
        contrastive_config("paper:encoder.size=3")
    with pytest.raises(SimulationError, match="multiple of 4"):
        contrastive_config("paper:encoder.batch_size=10")
    study = Study(
        manifest=corpus / "manifest.csv", out=tmp_path, backbone=str(corpus / "backbone"), folds=5, preset=BRIEF
    )
    with pytest.raises(SimulationError, match="first has 4 speakers, too few for 5 folds"):
        play_pairs(study, print)


def test_pairs_are_all_where_none_is_named() -> None:
    assert parse_pairs("", ["a", "b", "c"]) == (("a", "b"), ("a", "c"), ("b", "c"))
    assert parse_pairs("a+b, c+a", ["a", "b", "c"]) == (("a", "b"), ("c", "a"))


def test_the_tables_say_who_is_ahead() -> None:
    """One class right of two against both: 50 against 100 % UA on every fold."""
    half, whole = {"s": [[4, 0], [4, 0]]}, {"s": [[4, 0], [0, 4]]}
    figures = {name: dict.fromkeys(MODELS, half) | {"supervised contrastive": whole} for name in ("a", "b")}
    results = {PairCell(first="a", second="b", fold=fold): figures for fold in range(5)}
    first, second = tables(results)
    assert first.rows[0][:2] == ("a", "b")
    assert first.rows[0][2].startswith("50.0 [50.0 to 50.0]")
    assert first.rows[0][4].startswith("100.0 ")
    assert first.rows[0][7].startswith("+50.0")
    assert first.rows[0][8].startswith("+0.0")
    assert second.rows == (("a + b", "100.0 [100.0 to 100.0]", "100.0 [100.0 to 100.0]"),)
