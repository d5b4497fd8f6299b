"""The file that goes with an export: it says what Aftertone says, and nothing of the pool's speakers goes with it."""

import ast
import csv
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from transformers import HubertConfig, HubertModel, WavLMConfig, WavLMModel

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.classification import clip_head
from aftertone_model.classification.classifier import clip_features, new_classifier
from aftertone_model.classification.clip_head import Moments, Reading, describe, fit_clip_head, no_damping
from aftertone_model.classification.model import EmotionModel
from aftertone_model.config import PRACTICAL
from aftertone_model.data import recording
from aftertone_model.data.audio import at_sample_rate
from aftertone_model.data.batches import pad
from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.export import emotions
from aftertone_model.export.emotions import Emotions, read, resample
from aftertone_model.export.folder import READER, export
from aftertone_model.export.model_card import Provenance
from aftertone_model.labels import LabelSchema, MultipleChoice, SingleChoice
from aftertone_model.learner import Learner
from aftertone_model.runtime import Runtime
from tests.backbones import SHAPE, drawn, small

CLASSES = ("low", "middle", "high")
SINGLE, SEVERAL = SingleChoice(classes=CLASSES), MultipleChoice(classes=CLASSES)
QUICK = replace(PRACTICAL, updates=30, epochs=1, batch_seconds=8.0)
PROVENANCE = Provenance(
    name="Tones",
    backbone="tiny",
    adapted=False,
    clips=60,
    hours=0.01,
    labels={},
    strategy="entropy",
    metrics=None,
    speaker_disjoint=True,
)
BACKBONES = {
    "wav2vec2": small,
    "wav2vec2-group-norm": lambda: small(feat_extract_norm="group", do_stable_layer_norm=False),
    "hubert": lambda: drawn(HubertModel, HubertConfig(**SHAPE)),
    "wavlm": lambda: drawn(WavLMModel, WavLMConfig(**SHAPE, do_stable_layer_norm=True)),
}


def noise(count: int) -> list[np.ndarray]:
    """Clips of various lengths and levels."""
    rng = np.random.default_rng(3)
    return [
        (rng.uniform(0.01, 0.3) * rng.normal(size=rng.integers(3_000, 12_000))).astype(np.float32) for _ in range(count)
    ]


def headed(backbone: Backbone, schema: LabelSchema, clips: list, speakers: list, **kind: bool) -> tuple:
    """A model whose head is fitted to arbitrary labels, and the (N, C) probabilities that it gives the clips."""
    classifier = new_classifier(backbone, schema, mix_layers=kind["mix_layers"], seed=0)
    with torch.no_grad():
        layers = torch.cat([clip_features(classifier, *pad([backbone.encode(samples)])) for samples in clips])
    features, moments = describe(layers, deviation=kind["deviation"]), Moments()
    moments.add(features, speakers)
    own = moments.standardisation(torch.device("cpu"))
    labels = np.eye(3)[np.arange(len(clips)) % 3]
    width, cpu = features.shape[1], torch.device("cpu")
    reading = Reading(standardisation=own, damping=no_damping(width, cpu), projection=torch.eye(width))
    head = fit_clip_head(features, speakers, labels, reading, schema, c=0.1, max_class_weight=4.0)
    return EmotionModel(classifier=classifier, head=head), schema.predictions(head.logits(features, speakers).numpy())


@pytest.fixture(scope="module")
def trained(extracted, backbone, tmp_path_factory):
    """A learner, its model of some of ten speakers, and the model's export."""
    pool, clips, labels = extracted
    learner = Learner(backbone, SINGLE, Runtime(pool=pool), QUICK)
    training = learner.train({c.id: labels[c.id] for c in clips[:30]}, {c.id: labels[c.id] for c in clips[30:]}, clips)
    folder = tmp_path_factory.mktemp("export") / "model"
    export(training.model, folder, PROVENANCE)
    return learner, training.model, folder


def test_clips_of_one_voice_get_the_learners_probabilities(trained, extracted):
    learner, model, folder = trained
    pool, clips, _ = extracted
    exported = Emotions(folder)
    assert exported.classes == CLASSES
    for start in (0, 30, 54):  # trained on, tested on
        voice = clips[start : start + 6]
        assert len({clip.speaker for clip in voice}) == 1
        found = exported.one_voice(exported.features(pool.waveform(clip.id) for clip in voice))
        assert found == pytest.approx(learner.predict(model, voice), abs=1e-3)


def test_strangers_get_the_learners_probabilities(trained, extracted):
    learner, model, folder = trained
    pool, clips, _ = extracted
    exported = Emotions(folder)
    features = exported.features(pool.waveform(clip.id) for clip in clips[:12])
    strangers = learner.predict(model, [replace(clip, speaker=None) for clip in clips[:12]])
    assert exported.strangers(features) == pytest.approx(strangers, abs=1e-3)
    assert np.abs(strangers - learner.predict(model, clips[:12])).max() > 0.02  # else this would show nothing
    assert exported.one_voice(features[:2]) == pytest.approx(strangers[:2], abs=1e-3)  # too few to judge together


@pytest.mark.parametrize("family", BACKBONES)
@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (SINGLE, {"mix_layers": True, "deviation": True}),
        (SEVERAL, {"mix_layers": True, "deviation": False}),
        (SINGLE, {"mix_layers": False, "deviation": True}),
    ],
)
def test_every_family_and_kind_of_head_is_read_as_it_was_trained(folder, family, schema, kind):
    clips = noise(12)
    speakers = ["a"] * 8 + [None] * 4
    model, expected = headed(BACKBONES[family](), schema, clips, speakers, **kind)
    export(model, folder, PROVENANCE)
    exported = Emotions(folder)
    features = exported.features(clips)
    assert exported.one_voice(features[:8]) == pytest.approx(expected[:8], abs=1e-3)
    assert exported.strangers(features[8:]) == pytest.approx(expected[8:], abs=1e-3)
    for row in expected:
        assert exported.answer(row.tolist()) == "; ".join(schema.answer(row.tolist()))


def test_a_pool_without_known_voices_makes_a_model_that_judges_every_clip_by_itself(backbone, folder):
    clips = noise(6)
    model, expected = headed(backbone, SINGLE, clips, [None] * 6, mix_layers=True, deviation=True)
    export(model, folder, PROVENANCE)
    exported = Emotions(folder)
    assert exported.one_voice(exported.features(clips)) == pytest.approx(expected, abs=1e-3)


def test_nothing_of_the_pools_speakers_is_exported(backbone, folder):
    clips, speakers = noise(8), ["Ada Example"] * 4 + ["Bob Example"] * 4
    model, _ = headed(backbone, SINGLE, clips, speakers, mix_layers=True, deviation=True)
    export(model, folder, PROVENANCE)
    assert all(b"Example" not in path.read_bytes() for path in folder.iterdir())
    head = load_file(folder / "clip_head.safetensors")
    width = len(head["location"])
    assert {name: tuple(tensor.shape) for name, tensor in head.items()} == {
        "location": (width,),
        "scale": (width,),
        "stranger.weight": (3, width),
        "stranger.bias": (3,),
        "known.weight": (3, width),
        "known.bias": (3,),
    }


def test_as_a_command_it_prints_csv_and_says_what_it_leaves_out(trained, extracted, tmp_path):
    learner, model, folder = trained
    pool, clips, _ = extracted
    heard = tmp_path / "heard"
    heard.mkdir()
    for number, clip in enumerate(clips[:6]):
        soundfile.write(heard / f"{number}.wav", pool.waveform(clip.id), SAMPLE_RATE, subtype="FLOAT")
    (heard / "notes.txt").write_text("no clip")
    soundfile.write(heard / "short.wav", np.ones(100), SAMPLE_RATE)
    soundfile.write(heard / "silent.wav", np.zeros(8_000), SAMPLE_RATE)
    for options, speaker in ((), clips[0].speaker), (("--strangers",), None):
        done = run(folder, heard, *options)
        assert done.returncode == 0, done.stderr
        header, *rows = csv.reader(io.StringIO(done.stdout))
        assert header == ["file", "emotion", *CLASSES]
        assert [row[0] for row in rows] == [f"{number}.wav" for number in range(6)]
        expected = learner.predict(model, [replace(clip, speaker=speaker) for clip in clips[:6]])
        assert np.array([row[2:] for row in rows], float) == pytest.approx(expected, abs=1e-3)
        assert [row[1] for row in rows] == [CLASSES[best] for best in expected.argmax(axis=1)]
        assert "notes.txt is left out: soundfile can't read it" in done.stderr
        assert "short.wav is left out: it is shorter" in done.stderr
        assert "silent.wav is left out: it is silent" in done.stderr


def test_as_a_command_it_prints_no_name_that_a_spreadsheet_runs(trained, extracted, tmp_path):
    pool, clips, _ = extracted
    names = ["-2+3.wav", "0.wav", "=1+1.wav", "@a\r=1.wav"]
    for name, clip in zip(names, clips, strict=False):
        soundfile.write(tmp_path / name, pool.waveform(clip.id), SAMPLE_RATE, subtype="FLOAT")
    done = run(trained[2], tmp_path)
    rows = list(csv.reader(io.StringIO(done.stdout, newline="")))[1:]
    assert [row[0] for row in rows] == ["'-2+3.wav", "0.wav", "'=1+1.wav", "'@a\n'=1.wav"]


def test_as_a_command_it_takes_names_that_are_no_utf8(trained, extracted, tmp_path):
    pool, clips, _ = extracted
    for name, clip in zip((b"caf\xe9.wav", "café.wav".encode()), clips, strict=False):
        with (tmp_path / os.fsdecode(name)).open("wb") as file:
            soundfile.write(file, pool.waveform(clip.id), SAMPLE_RATE, format="WAV", subtype="FLOAT")
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("no clip")
    done = run(trained[2], tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row[0] for row in csv.reader(io.StringIO(done.stdout))][1:] == ["café.wav", r"caf\xe9.wav"]
    assert r"\xff.txt is left out: soundfile can't read it" in done.stderr


@pytest.mark.parametrize(
    ("cell", "printed"),
    [("-0.250", "-0.250"), ("=happy", "'=happy"), ("happy", "happy"), ("\uff1d1", "'\uff1d1"), ("\t=1", "'\t'=1")],
)
def test_numbers_stay_numbers_and_classes_may_be_formulas_too(cell, printed):
    assert emotions.for_spreadsheets(cell) == printed


def test_as_a_command_it_says_where_there_is_nothing_to_judge(trained, tmp_path):
    folder = trained[2]
    missing, empty = run(folder, tmp_path / "nowhere"), run(folder, tmp_path)
    assert missing.returncode == 2
    assert "there is no folder" in missing.stderr
    assert empty.returncode == 1
    assert "There is no clip" in empty.stderr
    assert missing.stdout == empty.stdout == ""


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 44_101])
def test_files_of_other_rates_sound_as_to_aftertone(rate, tmp_path):
    samples = np.random.default_rng(0).normal(scale=0.1, size=(int(1.3 * rate), 2)).astype(np.float32)
    soundfile.write(tmp_path / "clip.wav", samples, rate, subtype="FLOAT")
    expected = at_sample_rate(samples.mean(axis=1), rate)
    assert read(tmp_path / "clip.wav") == pytest.approx(expected, abs=1e-4)
    assert len(resample(samples[:, 0], rate)) == len(expected)


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    soundfile.write(tmp_path / "clip.wav", np.full(8_000, np.nan), SAMPLE_RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match="no numbers"):
        read(tmp_path / "clip.wav")


def test_it_needs_nothing_of_ours_and_agrees_with_us():
    tree = ast.parse(READER.read_text())
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    outside = {name.partition(".")[0] for name in names if name} - sys.stdlib_module_names
    assert outside == {"torch", "transformers", "numpy", "safetensors", "soundfile"}
    assert (emotions.FEWEST, emotions.SHRINKAGE) == (clip_head.FEWEST, clip_head.SHRINKAGE)
    assert (emotions.RATE, emotions.SHORTEST) == (SAMPLE_RATE, recording.MIN_SECONDS)
    assert pytest.approx(recording.SILENCE) == emotions.SILENCE


def run(folder: Path, *words: Path | str) -> subprocess.CompletedProcess[str]:
    """The exported file as a command, from another folder, without our sources on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, folder / "emotions.py", *words]
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)


def test_a_clip_shorter_than_one_frame_of_the_cnn_is_judged_as_the_learner_does(trained, tmp_path) -> None:
    learner, model, folder = trained
    samples = noise(1)[0][: learner.backbone.receptive_field // 2]
    exported = Emotions(folder)
    with torch.no_grad():
        layers = clip_features(model.classifier, *pad([learner.backbone.encode(samples)]))
    expected = model.head.describe(layers)
    torch.testing.assert_close(exported.features([samples]), expected, atol=1e-2, rtol=1e-2)


def test_a_file_that_may_not_be_read_is_no_fault_of_its_format(monkeypatch, tmp_path):
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ValueError, match="check its permissions"):
        read(tmp_path / "clip.wav")
