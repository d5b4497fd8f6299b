"""Trying an export as its users will, without the command that makes it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aftertone.demo.check_export import try_export, try_program
from aftertone.demo.errors import DemoError
from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.classification.classifier import new_classifier
from aftertone_model.classification.clip_head import ClipHead, Linear, Standardisation
from aftertone_model.classification.model import EmotionModel
from aftertone_model.export.folder import export
from aftertone_model.export.model_card import Provenance
from aftertone_model.labels import SingleChoice

PROVENANCE = Provenance(
    name="m", backbone="nano", adapted=False, clips=3, hours=0, labels={}, strategy="entropy", metrics=None,
    speaker_disjoint=False,
)  # fmt: skip
UNLIKE = (0.1, 0.2, 0.7)


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    rng, paths = np.random.default_rng(0), [tmp_path / f"{number}.flac" for number in range(3)]
    for path in paths:
        soundfile.write(path, rng.normal(scale=0.1, size=6_000), 16_000)
    return paths


@pytest.fixture
def model(nano: Path) -> EmotionModel:
    """A clip head that says `UNLIKE` of everything, beside a classifier that says something else."""
    schema = SingleChoice(classes=("happy", "neutral", "sad"))
    classifier = new_classifier(load_backbone(str(nano)), schema, mix_layers=True, seed=0)
    width = 2 * classifier.config.hidden_size * (classifier.config.num_hidden_layers + 1)
    stranger, known = (Linear(weight=torch.zeros(3, width), bias=torch.tensor(UNLIKE).log()) for _ in range(2))
    own = Standardisation(
        location=torch.zeros(width),
        scale=torch.ones(width),
        speakers=("a",),
        locations=torch.zeros(1, width),
        scales=torch.ones(1, width),
    )
    head = ClipHead(standardisation=own, stranger=stranger, known=known, projection=torch.zeros(width, 1))
    return EmotionModel(classifier=classifier, head=head)


def test_each_way_to_use_an_export_is_tried(model: EmotionModel, clips: list[Path], tmp_path: Path) -> None:
    export(model, tmp_path / "both", PROVENANCE)
    tried = try_export(tmp_path / "both", clips)
    assert tried["emotions.py"] == ("sad", pytest.approx(0.7, abs=1e-5))
    assert tried["pipeline"][1] < 0.6  # the classifier, which nobody trained
    export(EmotionModel(classifier=model.classifier), tmp_path / "plain", PROVENANCE)
    assert try_export(tmp_path / "plain", clips).keys() == {"pipeline"}


@pytest.mark.parametrize("program", ["raise SystemExit('broken')", "print('file,emotion,sad\\n0000.wav,sad,0.4')", ""])
def test_a_program_that_gives_no_probabilities_is_told(program: str, clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "emotions.py").write_text(program)
    with pytest.raises(DemoError, match="gives no probabilities"):
        try_program(tmp_path, clips[:1])
