"""What a round leaves behind to judge clips with: a transformers classifier, and the clip head beside it."""

from dataclasses import dataclass
from pathlib import Path

from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.classification.classifier import load_classifier
from aftertone_model.classification.clip_head import ClipHead, load_clip_head


@dataclass(frozen=True, kw_only=True)
class EmotionModel:
    """Both are trained on the same labels. Where there is a clip head it judges; else the classifier does."""

    classifier: SpeechClassifier  # in eval mode; a plain transformers model, which needs nothing of ours to run
    head: ClipHead | None = None

    def save(self, folder: Path) -> None:
        """Write a folder that transformers reads, with the head in a file of its own."""
        self.classifier.save_pretrained(folder)
        if self.head is not None:
            self.head.save(folder)


def load_model(folder: Path) -> EmotionModel:
    """What `save` wrote, on the CPU.

    Raises:
        BackboneError: the folder is missing, damaged or holds something else.
    """
    return EmotionModel(classifier=load_classifier(folder), head=load_clip_head(folder))
