"""Export as ONNX: the graph says what the model says, of clips of any length, and the card's own example runs."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import soundfile

from aftertone_model.classification.classifier import new_classifier
from aftertone_model.classification.model import EmotionModel
from aftertone_model.errors import ExportError
from aftertone_model.export import onnx_folder
from aftertone_model.export.emotions import Emotions
from aftertone_model.export.folder import export
from aftertone_model.export.onnx_folder import export_onnx
from aftertone_model.labels import Ratings, Scale
from tests.backbones import small
from tests.unit.aftertone_model.export.test_emotions import BACKBONES, PROVENANCE, SEVERAL, SINGLE, headed, noise

RATINGS = Ratings(classes=("valence", "arousal"), scales=(Scale(low=1, high=5), Scale(low=0, high=100)))


@pytest.mark.parametrize("family", BACKBONES)
def test_with_a_clip_head_it_says_what_is_served_alone_and_together(family: str, folder: Path) -> None:
    clips = noise(10)
    model, expected = headed(
        BACKBONES[family](), SINGLE, clips, ["a"] * 6 + [None] * 4, mix_layers=True, deviation=True
    )
    export_onnx(model, folder, PROVENANCE, clips[:2])
    assert {path.name for path in folder.iterdir()} == {"README.md", "labels.json", "model.onnx", "one_voice.onnx"}
    judge = onnxruntime.InferenceSession(folder / "model.onnx")
    told: list[Any] = [judge.run(["features", "predictions"], {"samples": clip[None]}) for clip in clips]
    assert np.concatenate([one[1] for one in told[6:]]) == pytest.approx(expected[6:], abs=1e-3)
    together = onnxruntime.InferenceSession(folder / "one_voice.onnx")
    (said,) = together.run(None, {"features": np.concatenate([one[0] for one in told[:6]])})
    assert said == pytest.approx(expected[:6], abs=1e-3)
    assert json.loads((folder / "labels.json").read_text())["labels"] == ["low", "middle", "high"]
    assert all(b"Example" not in path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("schema", [SEVERAL, RATINGS], ids=["several", "ratings"])
def test_without_a_head_it_is_the_plain_classifier(schema: Any, folder: Path) -> None:
    clips = noise(3)
    model = EmotionModel(classifier=new_classifier(small(), schema, mix_layers=False, seed=0))
    export(model, folder / "torch", PROVENANCE)
    export_onnx(model, folder / "onnx", PROVENANCE, clips)
    plain, judge = Emotions(folder / "torch"), onnxruntime.InferenceSession(folder / "onnx" / "model.onnx")
    expected = plain.strangers(plain.features(clips))
    for clip, row in zip(clips, expected, strict=True):
        said: Any = judge.run(["predictions"], {"samples": clip[None]})[0]
        assert said[0] == pytest.approx(row, abs=1e-3 * (1 if schema is SEVERAL else 100))


def test_the_cards_own_example_runs_without_other_programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = noise(6)
    model, expected = headed(small(), SINGLE, clips, ["a"] * 3 + [None] * 3, mix_layers=True, deviation=True)
    export_onnx(model, folder, replace(PROVENANCE, metrics=None), clips[:1])
    soundfile.write(folder / "clip.wav", clips[3], 16_000, subtype="FLOAT")
    examples = [part.split("```")[0] for part in (folder / "README.md").read_text().split("```python\n")[1:]]
    assert len(examples) == 2
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for example in examples:
        exec(example, names)
    assert list(names["answer"].values()) == pytest.approx(expected[3].tolist(), abs=1e-3)
    assert names["together"].shape == (3, 3)


def test_a_graph_that_says_otherwise_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = headed(small(), SINGLE, noise(6), [None] * 6, mix_layers=True, deviation=True)
    monkeypatch.setattr(onnx_folder, "EPSILON", 1.0)  # a graph whose deviations are wrong
    with pytest.raises(ExportError, match="differs from the model by"):
        export_onnx(model, folder, PROVENANCE, noise(3))


def test_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = EmotionModel(classifier=new_classifier(small(), SINGLE, mix_layers=False, seed=0))
    with pytest.raises(ExportError, match=r"pip install 'aftertone\[onnx\]'"):
        export_onnx(model, folder, PROVENANCE, ())
    assert not folder.exists()
