"""What a round leaves behind to judge clips with: a transformers classifier, and the clip head beside it."""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch

from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.classification.classifier import load_classifier
from aftertone_model.classification.clip_head import FILE, ClipHead, load_clip_head
from aftertone_model.errors import BackboneError


@dataclass(frozen=True, kw_only=True)
class EmotionModel:
    """Both are trained on the same labels. Where there is a clip head it judges; else the classifier does."""

    classifier: SpeechClassifier  # in eval mode; a plain transformers model, which needs nothing of ours to run
    head: ClipHead | None = None

    def in_units(self) -> "EmotionModel":
        """With logits of ratings in the units of their scales, as people read them; of classes, as it is."""
        scales = getattr(self.classifier.config, "rating_scales", None)
        if scales is None:
            return self
        low, high = torch.tensor(scales, dtype=torch.float32).unbind(dim=1)  # (C,)
        span, classifier = high - low, copy.deepcopy(self.classifier).cpu()
        with torch.no_grad():
            classifier.classifier.weight *= span[:, None]
            classifier.classifier.bias.copy_(classifier.classifier.bias * span + low)
        head = None if self.head is None else self.head.to(torch.device("cpu")).onto(low, span)
        return EmotionModel(classifier=classifier, head=head)

    def over(self, temperature: float) -> "EmotionModel":
        """With logits divided by a temperature; those of a classifier that judges in place."""
        if self.head is None:
            return self.plain_over(temperature)
        return EmotionModel(classifier=self.classifier, head=self.head.over(temperature))

    @torch.no_grad()
    def plain_over(self, temperature: float) -> "EmotionModel":
        """With the classifier's logits divided by a temperature, in place."""
        for parameter in self.classifier.classifier.parameters():
            parameter /= temperature
        return self

    def save(self, folder: Path) -> None:
        """Write a folder that transformers reads, with the head in a file of its own."""
        self.classifier.save_pretrained(folder)
        if self.head is not None:
            self.head.save(folder)


def load_model(folder: Path) -> EmotionModel:
    """What `save` wrote, on the CPU.

    Raises:
        BackboneError: the folder is missing, damaged, of an earlier version or holds something else.
    """
    classifier, head = load_classifier(folder), load_clip_head(folder)
    config = classifier.config
    layers = config.num_hidden_layers + 1 if config.use_weighted_layer_sum else 1
    width = layers * config.hidden_size
    if head is not None and len(head.standardisation.location) not in (width, 2 * width):
        raise BackboneError(
            f"{folder / FILE} reads other layers than this version does: an earlier one wrote it. Train a round again."
        )
    return EmotionModel(classifier=classifier, head=head)
