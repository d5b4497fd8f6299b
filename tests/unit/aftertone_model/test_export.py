import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from transformers import pipeline

from aftertone_model.classification.classifier import clip_features, embed, new_classifier
from aftertone_model.data.batches import pad
from aftertone_model.evaluation.metrics import measure
from aftertone_model.export import Provenance, export, model_card
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


@pytest.mark.parametrize("mix", [True, False])
@pytest.mark.parametrize("norm", ["layer", "group"])
def test_the_pipeline_loads_it_and_says_what_the_classifier_says(provenance, folder, mix, norm):
    backbone = small(feat_extract_norm=norm)
    classifier = new_classifier(backbone, SingleChoice(classes=CLASSES), mix_layers=mix, seed=0)
    export(classifier, folder, provenance)
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
    export(new_classifier(backbone, SingleChoice(classes=CLASSES), mix_layers=True, seed=0), folder, provenance)
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == {"0": "low", "1": "middle", "2": "high"}
    assert config["architectures"] == ["Wav2Vec2ForSequenceClassification"]


def test_the_card_says_what_the_model_was_made_of_and_how_good_it_is(provenance, backbone):
    card = model_card(new_classifier(backbone, SingleChoice(classes=CLASSES), mix_layers=True, seed=0), provenance)
    for text in (
        "1,200 clips, 1.2 hours",
        "| low | 12.5 |",
        "| high | 0 |",
        "facebook/wav2vec2-base, adapted to the pool without labels",
        "test set of 60 clips",
        "who don't occur in training",
        "| UA (mean recall of the classes) | 50.0% |",
        "| high | no clip |",
        "licence of the backbone and that of the audio are not known",
    ):
        assert text in card
    assert card.startswith("---\nlibrary_name: transformers\n")


def test_the_card_admits_that_nothing_was_examined(provenance, backbone):
    assert "Unknown: no clip was held out" in model_card(
        new_classifier(backbone, SingleChoice(classes=CLASSES), mix_layers=True, seed=0),
        replace(provenance, metrics=None),
    )


def test_the_card_says_for_whom_the_intervals_hold(provenance, backbone):
    classifier = new_classifier(backbone, SingleChoice(classes=CLASSES), mix_layers=True, seed=0)
    truth = np.arange(60) % 2

    def card(speakers):
        metrics = measure(truth, np.eye(3)[truth], CLASSES, speakers=speakers)
        return " ".join(model_card(classifier, replace(provenance, metrics=metrics)).split())

    assert "95 % bootstrap intervals over its 6 speakers, and hold for new ones" in card(
        [f"s{i % 6}" for i in range(60)]
    )
    assert "Only 2 voices are among them, too few" in card([f"s{i % 2}" for i in range(60)])
    assert "Only 1 voice is among them" in card(["s"] * 60)
    assert "Who speaks is not known of every clip" in card(None)


def test_a_model_of_several_choices_is_exported_with_how_to_read_it(backbone, provenance, folder):
    schema = MultipleChoice(classes=CLASSES)
    classifier = new_classifier(backbone, schema, mix_layers=True, seed=0)
    truth = np.arange(180).reshape(60, 3) % 4 < 2
    export(classifier, folder, replace(provenance, metrics=schema.measure(truth * 1.0, np.where(truth, 0.8, 0.3))))
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
    export(new_classifier(backbone, SingleChoice(classes=CLASSES), mix_layers=True, seed=0), folder, provenance)
    soundfile.write(folder / "clip.wav", np.random.default_rng(0).normal(size=(9_000, 2)) * 0.1, 22_050)
    example = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(example.replace("path/to/this/folder", ".").replace("classify({", "answers = classify({"), names)
    assert {answer["label"] for answer in names["answers"]} == set(CLASSES)  # type: ignore[attr-defined]
