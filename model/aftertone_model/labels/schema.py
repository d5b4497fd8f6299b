"""What every kind of label has in common: from an annotator's answer to a prediction, and how good it is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from aftertone_model.errors import LabelError

if TYPE_CHECKING:  # the server reads label configs and never trains
    from torch import Tensor

    from aftertone_model.evaluation.held_out import HeldOut
    from aftertone_model.evaluation.metrics import Metrics
    from aftertone_model.evaluation.rating_metrics import RatingMetrics

Predicts = Literal["probabilities", "ratings"]
"""What a model says about a clip: the probability of each class, or the rating in each dimension."""

Regression = Literal["logistic", "ridge"]
"""What the clip head learns by: see `classification.regressions`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """The range of a dimension that annotators rate."""

    low: float
    high: float  # above `low`


@dataclass(frozen=True, kw_only=True)
class LabelSchema(ABC):
    """Arrays of labels, logits and predictions are (N, C), columns in the order of `classes`.

    An annotator's answer is a tuple of words: the classes chosen, or `dimension=value` of each dimension rated.
    """

    classes: tuple[str, ...]  # C names: of classes, at least two, or of the dimensions rated, at least one
    scales: tuple[Scale, ...] = ()  # (C,) of the dimensions; () of classes

    kind: ClassVar[str]
    problem_type: ClassVar[str]  # transformers' name for the kind, which decides what a pipeline makes of the logits
    predicts: ClassVar[Predicts]
    exclusive: ClassVar[bool]  # whether predictions sum to 1 over the classes
    regression: ClassVar[Regression]
    shares: ClassVar[str]  # what a label's numbers are, for people

    @abstractmethod
    def knows(self, word: str) -> bool:
        """Whether a word is an answer that the label config offers."""

    @abstractmethod
    def vote(self, chosen: Sequence[str]) -> dict[str, float]:
        """What one annotator's answer counts for each of its words."""

    @abstractmethod
    def target(self, votes: Mapping[str, float], voters: int) -> NDArray[np.float64] | None:
        """The soft label (C,) that votes add up to; None where no vote is for a word that the schema knows.

        Args:
            votes: word -> sum of annotators' votes. Unknown words count for nothing.
            voters: annotators who answered.
        """

    @abstractmethod
    def check(self, label: NDArray[np.floating]) -> bool:
        """Whether (C,) numbers are a possible soft label."""

    @abstractmethod
    def loss(self, logits: "Tensor", targets: "Tensor", weights: "Tensor") -> "Tensor":
        """() what training minimises, mean over the clips, in float32, with class weights (C,)."""

    @abstractmethod
    def class_weights(self, labels: NDArray[np.floating], cap: float) -> NDArray[np.float32]:
        """(C,) weights that make rare classes count as much as common ones, at most `cap` times; 1 turns it off."""

    @abstractmethod
    def counts(self, labels: NDArray[np.floating]) -> NDArray[np.float64]:
        """(C,) labels of each class, soft ones in parts; of ratings, labels in each dimension."""

    @abstractmethod
    def predictions(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., C) in [0, 1], from logits (..., C): of each class its probability, of a dimension the rating's place on
        its scale."""

    @abstractmethod
    def calibrate(
        self, logits: NDArray[np.floating], labels: NDArray[np.floating], seed: int
    ) -> tuple[float, NDArray[np.float64]]:
        """The temperature to divide logits by, from N > 0 labelled clips, and their predictions (N, C) under one that
        was fitted without them; 1 where the kind has none, or there are too few clips."""

    @abstractmethod
    def as_sure(self, logits: NDArray[np.floating], predictions: NDArray[np.floating]) -> float:
        """The temperature to divide logits (N, C) by so that they are as sure as another model's predictions (N, C) of
        the same N > 0 clips; 1 where the kind has none."""

    @abstractmethod
    def confidence(self, predictions: Sequence[float]) -> float:
        """How sure the answer for one clip (C,) is, in [0, 1]; 0 where the kind can't tell."""

    @abstractmethod
    def decisions(self, predictions: NDArray[np.floating]) -> NDArray[np.int64]:
        """(N,) each clip's answer as one number; equal numbers, equal answers."""

    @abstractmethod
    def varies(self, labels: NDArray[np.floating]) -> bool:
        """Whether labels differ, so that there is something to learn."""

    @abstractmethod
    def collapsed(self, labels: NDArray[np.floating], predictions: NDArray[np.floating]) -> bool:
        """Whether all clips get the same answer though their labels differ."""

    @abstractmethod
    def accuracy(self, labels: NDArray[np.floating], predictions: NDArray[np.floating]) -> float:
        """How well N > 0 clips are learned, 1 being best: the share that is right; of ratings, the mean CCC."""

    @abstractmethod
    def answer(self, predictions: Sequence[float]) -> tuple[str, ...]:
        """The words of the answer for one clip (C,)."""

    @abstractmethod
    def clear(self, labels: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(N,) where annotators agree on one answer, so that a prediction can be judged."""

    @abstractmethod
    def measure(
        self,
        labels: NDArray[np.floating],
        predictions: NDArray[np.floating],
        speakers: Sequence[str | None] | None = None,
        seed: int = 0,
        files: Sequence[str] | None = None,
    ) -> "Metrics | RatingMetrics":
        """Metrics on N > 0 clips whose labels are clear; `files` are what they are segments of."""

    @abstractmethod
    def held_out(self, labels: Mapping[str, NDArray[np.floating]], speakers: Mapping[str, str | None]) -> "HeldOut":
        """What the stop advice judges rounds by, of the clips whose labels are clear.

        Args:
            labels: test clip -> (C,).
            speakers: clip -> who speaks, where known.
        """

    def stack(self, labels: Mapping[str, NDArray[np.floating]], ids: Sequence[str]) -> NDArray[np.float64]:
        """(N, C) labels of the ids, checked.

        Raises:
            LabelError: one has the wrong shape or values.
        """
        for id in ids:
            label = np.asarray(labels[id])
            if label.shape != (len(self.classes),) or not self.check(label):
                raise LabelError(
                    f"The label of clip {id} must be {len(self.classes)} {self.shares} of a {self.kind} answer, not "
                    f"{label.tolist()}."
                )
        return np.array([labels[id] for id in ids], np.float64).reshape(len(ids), len(self.classes))
