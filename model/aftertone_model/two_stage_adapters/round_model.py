"""What a round leaves: stage 2's adapters and heads, above the transformer that stage 1 left.

two-stage.json    how they belong together
stage-1/          the transformer, and what was learned above it; the same files as the round's before, where that
                  had the same stage 1 and the disk can give a file two names
stage-2/          adapters and heads
"""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.classification.classifier import new_classifier
from aftertone_model.data.files import read_json, write_json
from aftertone_model.errors import BackboneError
from aftertone_model.export.exported import Exported
from aftertone_model.labels import LabelSchema
from aftertone_model.two_stage_adapters.exporting import write_head
from aftertone_model.two_stage_adapters.model import MultiTaskModel
from aftertone_model.two_stage_adapters.saved import load, save

RECORD, FIRST, SECOND = "two-stage.json", "stage-1", "stage-2"


@dataclass(frozen=True, kw_only=True)
class TwoStageModel:
    """Stage 2 judges. Stage 1 alone is a model that transformers has a class for."""

    first: MultiTaskModel
    second: MultiTaskModel | None  # None: stage 1 alone judges
    first_labels: int  # that stage 1 learned from
    started_from: str  # digest of the transformer that stage 1 began with
    temperature: float = 1.0  # that stage 2's logits are divided by
    plain_temperature: float = 1.0  # the same of stage 1's
    kept: Path | None = None  # where stage 1 lies on the disk already

    @property
    def judge(self) -> MultiTaskModel:
        """The stage whose logits count."""
        return self.second or self.first

    @property
    def schema(self) -> LabelSchema:
        """What it learned."""
        return self.first.schema

    @property
    def plain(self) -> "TwoStageModel":
        """Stage 1 alone."""
        return replace(self, second=None, temperature=self.plain_temperature)

    def logits(self, embeddings: Tensor) -> Tensor:
        """(B, C) of embeddings (B, D)."""
        return self.judge.heads.classifier(embeddings) / self.temperature

    def over(self, temperature: float) -> "TwoStageModel":
        """With logits divided by a temperature."""
        return replace(self, temperature=self.temperature * temperature)

    def plain_over(self, temperature: float) -> "TwoStageModel":
        """With stage 1's logits divided by a temperature."""
        return replace(self, plain_temperature=self.plain_temperature * temperature)

    def save(self, folder: Path) -> None:
        """Write a folder of its own."""
        assert self.second is not None
        folder.mkdir(parents=True, exist_ok=True)
        write_json(
            folder / RECORD,
            {
                "first_labels": self.first_labels,
                "started_from": self.started_from,
                "temperature": self.temperature,
                "plain_temperature": self.plain_temperature,
            },
        )
        if self.kept is not None and self.kept.is_dir():
            shutil.copytree(self.kept, folder / FIRST, copy_function=_same_file)
        else:
            save(self.first, folder / FIRST)
        save(self.second, folder / SECOND)

    def exported(self) -> Exported:
        """What an export takes of it."""
        second = self.second
        assert second is not None
        return Exported(
            classifier=self.plain_classifier(),
            write_head=lambda folder: write_head(second, self.temperature, folder),
            plain="stage 1 alone, of the same method, without adapters and the other attributes. It was trained on "
            f"{self.first_labels} labels: it runs again every so many",
        )

    @torch.no_grad()
    def plain_classifier(self) -> SpeechClassifier:
        """Stage 1 as a transformers classifier, on the CPU: the mean over time of the last layer, projected."""
        heads = self.first.heads
        classifier = new_classifier(self.first.backbone, self.schema, mix_layers=False, seed=0)
        classifier.config.classifier_proj_size = heads.shape.feature_width
        classifier.projector = torch.nn.Linear(heads.shape.width, heads.shape.feature_width)
        classifier.classifier = torch.nn.Linear(heads.shape.feature_width, heads.shape.classes)
        classifier.projector.load_state_dict(heads.emotion.projector.state_dict())
        classifier.classifier.load_state_dict(heads.classifier.state_dict())
        for parameter in classifier.classifier.parameters():
            parameter /= self.plain_temperature
        return classifier.eval()


def load_round(folder: Path) -> TwoStageModel:
    """What `save` wrote, on the CPU.

    Raises:
        BackboneError: the folder is missing, damaged or holds something else.
    """
    try:
        record = read_json(folder / RECORD)
        if record is None:
            raise ValueError(f"there is no {RECORD}")
        known = {name: record[name] for name in ("first_labels", "started_from", "temperature", "plain_temperature")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackboneError(f"{folder} holds no round of two-stage adapters ({error}). Train a round again.") from error
    first = load(folder / FIRST)
    return TwoStageModel(first=first, second=load(folder / SECOND, first.backbone), kept=folder / FIRST, **known)


def _same_file(source: str, target: str) -> None:
    """A second name for a file, which nothing ever changes; a copy where the disk can't."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
