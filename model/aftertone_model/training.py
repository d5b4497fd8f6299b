"""What training leaves, whatever the method: a round's model, and what is known about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

from aftertone_model.classification.finetune import Course
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.evaluation.rating_metrics import RatingMetrics


class RoundModel(Protocol):
    """What a round leaves behind to judge clips with, whatever the method."""

    def save(self, folder: Path) -> None:
        """Write it into a folder of its own."""
        ...

    def over(self, temperature: float) -> Self:
        """With logits divided by a temperature; the weights may be shared, and changed in place."""
        ...

    def plain_over(self, temperature: float) -> Self:
        """The same for the logits of the transformers classifier that is exported beside what judges."""
        ...


M = TypeVar("M", bound=RoundModel)


@dataclass(frozen=True, kw_only=True)
class Fitted(Generic[M]):
    """A model that was just trained, before its temperature is known."""

    model: M  # in eval mode
    course: Course  # how the training went
    plain: M | None = None  # its transformers classifier alone, where something else judges


@dataclass(frozen=True, kw_only=True)
class Training(Generic[M]):
    """One round's model and what is known about it."""

    model: M  # in eval mode
    tuned: Course  # how the training went
    labels: int  # clips trained on
    per_class: tuple[float, ...]  # (C,) `LabelSchema.counts`
    temperature: float  # that the model's logits were divided by; already in its weights, 1 = left alone
    metrics: Metrics | RatingMetrics | None
    """On the test set; None without a test clip on whose answer annotators agree."""
    plain_metrics: Metrics | RatingMetrics | None
    """The same of the transformers classifier alone; None where that is all there is."""
    seconds: float  # wall-clock
