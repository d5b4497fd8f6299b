"""What an export takes of a method's model: a transformers classifier, and perhaps something else that judges."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aftertone_model.backbones.families import SpeechClassifier


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A model whose architecture transformers has no class for, beside one that it has."""

    classifier: SpeechClassifier  # that a pipeline loads
    write_head: Callable[[Path], None]
    """Writes what judges into the folder: its weights, and `head.py`, whose `Head` emotions.py uses."""
    plain: str  # how the classifier differs from what judges, for the card
