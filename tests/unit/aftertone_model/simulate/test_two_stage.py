"""The study of two-stage adapters on a small corpus of tones that are said to be sentences."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from aftertone.cli import app
from aftertone_model.data.clips import Clip
from aftertone_model.data.manifest import ManifestError
from aftertone_model.errors import SimulationError
from aftertone_model.simulate.disjoint_folds import sentence_groups, sentence_of
from aftertone_model.simulate.method_presets import method_config
from aftertone_model.simulate.study import Study
from aftertone_model.simulate.two_stage import (
    ADAPTERS,
    ALL,
    COSINE,
    MIXED,
    NO_FUSION,
    STAGE_1,
    MethodCell,
    MethodFigures,
    learnable,
    settings,
)
from aftertone_model.simulate.two_stage_study import plan
from aftertone_model.simulate.two_stage_tables import tables
from aftertone_model.two_stage_adapters.config import TwoStageConfig
from tests.backbones import small
from tests.unit.aftertone_model.simulate.threads import Threads

BRIEF = "paper:transcripts.epochs=1,attributes.epochs=1,adapters.rank=2,adapters.bottleneck=2,feature_width=4"
TRAININGS = 8  # of each fold


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """54 tones: six speakers, three sentences, three emotions, each with each; one speaker's gender is unknown."""
    folder, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)
    lines = ["path,emotion,speaker,gender,style,transcript,corpus"]
    for number in range(54):
        speaker, emotion, sentence = number % 6, number // 6 % 3, number // 18
        tone = 0.3 * np.sin(2 * np.pi * (200, 600, 1_800)[emotion] * rng.uniform(0.9, 1.1) * np.arange(6_000) / 16_000)
        soundfile.write(folder / f"{number}.wav", tone + 0.05 * rng.normal(size=6_000), 16_000)
        gender = ("", "f", "m", "f", "f", "m")[speaker]
        said = ("Oh", "ah.", "ih")[sentence]
        emotion = ("low", "middle", "high")[emotion]
        lines.append(f"{number}.wav,{emotion},s{speaker},{gender},acted,{said},tones")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    small(num_hidden_layers=1).save(folder / "backbone")
    return folder


def study(corpus: Path, out: Path, **changes) -> Study:
    backbone = str(corpus / "backbone")
    told = {"manifest": corpus / "manifest.csv", "out": out, "backbone": backbone, "preset": BRIEF, "folds": 2}
    return Study(**told | changes)


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings run in a thread: a process of their own takes seconds to start, and the test isn't about processes."""
    monkeypatch.setattr("aftertone_model.simulate.two_stage_study.Processes", Threads)


def test_it_trains_every_setting_and_prints_the_papers_tables(corpus: Path, tmp_path: Path, one_process: None) -> None:
    command = ["simulate", str(corpus / "manifest.csv"), "--method", "two-stage-adapters", "--out", str(tmp_path)]
    command += ["--backbone", str(corpus / "backbone"), "--folds", "2", "--jobs", "1", "--preset", BRIEF]
    planned = CliRunner().invoke(app, [*command, "--plan"])
    assert planned.exit_code == 0, planned.output
    assert "all+adapters-seed0-fold1" in planned.output
    assert f"{2 * TRAININGS} trainings; about " in planned.output
    assert not (tmp_path / "cells").exists()

    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0, said.output
    assert "| 3 | all parameters | adapters | " in said.output
    assert "| 76.54 | 76.07 |" in said.output
    assert "| SCL cosine | " in said.output
    assert "| 78.49 | 77.85 | 98.64 |" in said.output  # without the paper's style
    assert "style isn't learned" in said.output
    assert "12 learned" in said.output or "18 learned" in said.output
    kept = sorted((tmp_path / "cells").glob("*.json"))
    assert len(kept) == 2 * TRAININGS
    assert len(list((tmp_path / "stage-1").iterdir())) == 2
    figures = json.loads(next(file for file in kept if file.name.startswith("SCL-cosine")).read_text())
    assert figures["emotion"].keys() >= figures["attributes"]["gender"].keys()  # where gender is known

    # interrupted: what is missing is trained again, what it goes on from too, and nothing else
    before = {file: file.stat().st_mtime_ns for file in kept}
    lost = [file for file in kept if file.name.startswith("all+adapters-seed0-fold0")]
    lost[0].unlink()
    shutil.rmtree(next(folder for folder in (tmp_path / "stage-1").iterdir() if "fold0" in folder.name))
    assert CliRunner().invoke(app, command).exit_code == 0
    again = {file for file in kept if file.stat().st_mtime_ns != before[file]}
    assert {file.name.rpartition("-")[0] for file in again} == {"all+adapters-seed0-fold0", "stage-1-alone-seed0-fold0"}


def test_folds_share_neither_speakers_nor_sentences(corpus: Path, tmp_path: Path) -> None:
    planned = plan(study(corpus, tmp_path, folds=3))
    for fold in planned.folds:
        for told in (lambda clip: clip.speaker, sentence_of):
            assert not {told(clip) for clip in fold.learning} & {told(clip) for clip in fold.tested}
        assert (len(fold.learning), len(fold.tested)) == (24, 6)
    tested = [clip.id for fold in planned.folds for clip in fold.tested]
    assert len(tested) == len(set(tested))


def test_a_sentence_is_its_transcript_or_its_number_in_its_corpus() -> None:
    def clip(**attributes: str) -> Clip:
        return Clip(id="a", seconds=1.0, attributes=attributes)

    assert sentence_of(clip(transcript="Oh no!", sentence_id="7")) == sentence_of(clip(transcript="oh no"))
    assert sentence_of(clip(corpus="a", sentence_id="7")) != sentence_of(clip(corpus="b", sentence_id="7"))
    assert sentence_of(clip(corpus="a")) == ""
    with pytest.raises(SimulationError, match="2 different sentences"):
        sentence_groups([clip(transcript="a"), clip(transcript="b"), clip()], [0, 1, 0])


def test_clips_without_a_sentence_go_by_their_speaker() -> None:
    clips = [Clip(id=str(row), seconds=1.0, attributes={"transcript": "abc"[row % 3]}) for row in range(9)]
    groups = sentence_groups([*clips, Clip(id="mute", seconds=1.0)], [0, 1] * 5)
    assert groups[-1] is None
    assert sorted(group for group in groups if group is not None) == [0] * 3 + [1] * 3 + [2] * 3


def test_an_attribute_that_only_tells_the_corpus_is_not_learned() -> None:
    clips = [
        Clip(id=str(row), seconds=1.0, attributes={"corpus": corpus, "style": style, "gender": gender})
        for row, (corpus, style, gender) in enumerate([("a", "acted", "f"), ("a", "acted", "m"), ("b", "free", "f")])
    ]
    assert learnable(clips, ["gender", "style", "age"]) == {"gender": True, "style": False}


def test_the_settings_are_the_papers() -> None:
    found = settings(TwoStageConfig(), ("gender", "style"))
    assert (found[ADAPTERS].transcripts.tuning, found[ADAPTERS].attributes.tuning) == ("adapters", "adapters")
    assert (found[ALL].transcripts.tuning, found[ALL].attributes.tuning) == ("all", "all")
    assert (found[MIXED].transcripts.tuning, found[MIXED].attributes.tuning) == ("all", "adapters")
    assert found[MIXED].attributes.attributes == {}
    assert found[COSINE].attributes.attributes == {"gender": 0.1, "style": 0.1}
    assert found[COSINE] == TwoStageConfig()  # the paper's best is the default
    assert settings(TwoStageConfig(), ("gender",))[COSINE].attributes.attributes == {"gender": 0.1}


def test_hyper_parameters_are_named_by_stage() -> None:
    config = method_config("paper:transcripts.epochs=10,adapters.rank=8,feature_width=16", TwoStageConfig())
    assert (config.transcripts.epochs, config.adapters.rank, config.feature_width) == (10, 8, 16)
    assert config.attributes.epochs == 200
    with pytest.raises(SimulationError, match=r"no field transcripts\.luck"):
        method_config("paper:transcripts.luck=1", TwoStageConfig())
    with pytest.raises(SimulationError, match=r"transcripts\.epochs=0: .*greater than 0"):
        method_config("paper:transcripts.epochs=0", TwoStageConfig())
    with pytest.raises(SimulationError, match="no preset light"):
        method_config("light", TwoStageConfig())


@pytest.mark.parametrize(
    ("column", "told"), [("transcript", "Give it a column transcript"), ("gender", "Give it a column gender or style")]
)
def test_a_corpus_without_what_is_learned_is_refused(column: str, told: str, corpus: Path, tmp_path: Path) -> None:
    manifest = corpus / f"without-{column}.csv"
    manifest.write_text((corpus / "manifest.csv").read_text().replace(column, "unknown", 1))
    with pytest.raises(SimulationError, match=told):
        plan(study(corpus, tmp_path, manifest=manifest))
    with pytest.raises(ManifestError, match="There is no"):
        plan(study(corpus, tmp_path, manifest=corpus / "nowhere.csv"))


def test_the_tables_say_which_claims_hold() -> None:
    """All adapters a half right, stage 1 alone as good as the rest, on every fold."""
    half, whole = {"s": [[4, 0], [4, 0]]}, {"s": [[4, 0], [0, 4]]}
    results = {}
    for fold in range(5):
        for setting in (STAGE_1, ADAPTERS, MIXED, NO_FUSION):
            gender = {"gender": half if fold else {}} if setting == NO_FUSION else {}
            told = MethodFigures(emotion=half if setting == ADAPTERS else whole, attributes=gender)
            results[MethodCell(setting=setting, fold=fold)] = told
    second, third, claims = tables(results)
    assert second.rows[0] == ("", "all parameters", "none", *["100.0 [100.0 to 100.0]"] * 2, "75.40", "75.17")
    assert second.rows[1][:4] == ("1", "adapters", "adapters", "50.0 [50.0 to 50.0]")
    assert [row[:2] for row in third.rows] == [(NO_FUSION, "100.0 [100.0 to 100.0]")]
    assert third.rows[0][3] == "50.0 [50.0 to 50.0]"  # of the four folds in which gender is known
    assert third.rows[0][4:] == ("77.13", "76.30", "98.48")
    verdicts = {row[0]: row[1:] for row in claims.rows}
    assert verdicts["all parameters in stage 1 are better than adapters"] == ("+50.0 [+50.0 to +50.0]", "+4.7", "holds")
    assert verdicts["a second stage is better than none"][2] == "can't be told"
    assert "SCL norm helps" not in verdicts  # it wasn't run
