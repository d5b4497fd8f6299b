"""The exported folder: what transformers makes of it, and what lies in it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from transformers import pipeline

from aftertone_model.classification.classifier import clip_features, embed, new_classifier
from aftertone_model.classification.model import EmotionModel
from aftertone_model.data.batches import pad
from aftertone_model.evaluation.metrics import measure
from aftertone_model.export.folder import export
from aftertone_model.export.model_card import Provenance
from aftertone_model.labels import MultipleChoice, SingleChoice
from tests.backbones import small

CLASSES = ("low", "middle", "high")


@pytest.fixture
def provenance():
    truth = np.arange(60) % 2  # no clip of "high"
    return Provenance(
        name="Call centre voices",
        backbone="facebook/wav2vec2-base",
        adapted=True,
        clips=1200,
        hours=1.25,
        labels={"low": 12.5, "middle": 8},
        strategy="entropy",
        metrics=measure(truth, np.eye(3)[np.where(np.arange(60) < 30, truth, 2)], CLASSES),
        speaker_disjoint=True,
    )


def plain(backbone):
    """A model without a clip head."""
    return EmotionModel(classifier=new_classifier(backbone, SingleChoice(classes=CLASSES), mix_layers=True, seed=0))


@pytest.mark.parametrize("mix", [True, False])
@pytest.mark.parametrize("norm", ["layer", "group"])
def test_the_pipeline_loads_it_and_says_what_the_classifier_says(provenance, folder, mix, norm):
    backbone = small(feat_extract_norm=norm)
    classifier = new_classifier(backbone, SingleChoice(classes=CLASSES), mix_layers=mix, seed=0)
    export(EmotionModel(classifier=classifier), folder, provenance)
    samples = (np.random.default_rng(0).normal(size=8000) * 3000).astype(np.int16)
    waveform = (samples / 32_768).astype(np.float32)

    answers = pipeline("audio-classification", model=str(folder), device="cpu")(waveform)
    frames, lengths = pad([backbone.encode(waveform)])
    logits = classifier.classifier(embed(classifier, clip_features(classifier, frames, lengths)))
    expected = logits.softmax(dim=-1)[0].tolist()
    assert {answer["label"]: answer["score"] for answer in answers} == pytest.approx(
        dict(zip(CLASSES, expected, strict=True)), abs=1e-3
    )


def test_the_folder_holds_what_the_hub_wants_and_no_pickle(backbone, provenance, folder):
    export(plain(backbone), folder, provenance)
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == {"0": "low", "1": "middle", "2": "high"}
    assert config["architectures"] == ["Wav2Vec2ForSequenceClassification"]


def test_a_model_of_several_choices_is_exported_with_how_to_read_it(backbone, provenance, folder):
    schema = MultipleChoice(classes=CLASSES)
    classifier = new_classifier(backbone, schema, mix_layers=True, seed=0)
    truth = np.arange(180).reshape(60, 3) % 4 < 2
    export(
        EmotionModel(classifier=classifier),
        folder,
        replace(provenance, metrics=schema.measure(truth * 1.0, np.where(truth, 0.8, 0.3))),
    )
    card = (folder / "README.md").read_text()
    assert '"sampling_rate": rate}, top_k=None)' in card
    assert "any number of low, middle, high" in card
    assert "| UA (mean recall of having and of not having a class) | 100.0% |" in card
    samples = np.random.default_rng(0).normal(size=8000).astype(np.float32)
    call = pipeline("audio-classification", model=str(folder), device="cpu")
    answers = call(samples, top_k=None)  # the config says that each class is a question of its own
    frames, lengths = pad([backbone.encode(samples)])
    logits = classifier.classifier(embed(classifier, clip_features(classifier, frames, lengths)))
    assert {answer["label"]: answer["score"] for answer in answers} == pytest.approx(
        dict(zip(CLASSES, logits.sigmoid()[0].tolist(), strict=True)), abs=1e-3
    )


def test_the_cards_own_example_runs_without_other_programs(backbone, provenance, folder, monkeypatch):
    export(plain(backbone), folder, provenance)
    soundfile.write(folder / "clip.wav", np.random.default_rng(0).normal(size=(9_000, 2)) * 0.1, 22_050)
    example = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(example.replace("path/to/this/folder", ".").replace("classify({", "answers = classify({"), names)
    assert {answer["label"] for answer in names["answers"]} == set(CLASSES)  # type: ignore[attr-defined]
