"""Label schemas: what kind of answer a project asks for, from an annotator's vote to a prediction.

A schema knows everything that depends on the kind: targets, loss, probabilities, uncertainty, metrics and the decision.
"""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, expit, log_expit, log_softmax, softmax

from aftertone_model.errors import LabelError
from aftertone_model.evaluation.metrics import Metrics, measure, measure_independent

if TYPE_CHECKING:  # the server reads label configs and never trains
    from torch import Tensor

TOLERANCE = 1e-3  # how far a soft label may be from summing to 1
TIE = 1e-6  # shares of votes that differ by less are equal


@dataclass(frozen=True, kw_only=True)
class LabelSchema(ABC):
    """Arrays of labels, logits and probabilities are (N, C), columns in the order of `classes`."""

    classes: tuple[str, ...]  # C names, at least two

    kind: ClassVar[str]
    problem_type: ClassVar[str]  # transformers' name for the kind, which decides what a pipeline makes of the logits
    exclusive: ClassVar[bool]  # whether probabilities sum to 1 over the classes

    @property
    @abstractmethod
    def prior(self) -> float:
        """The probability of each class that a label is smoothed towards."""

    @abstractmethod
    def vote(self, chosen: Sequence[str]) -> dict[str, float]:
        """What one annotator's answer counts for each class chosen."""

    @abstractmethod
    def target(self, votes: Mapping[str, float], voters: int) -> NDArray[np.float64] | None:
        """The soft label (C,) that votes add up to; None where no vote is for one of the classes.

        Args:
            votes: class -> sum of annotators' votes. Names that are not among `classes` count for nothing.
            voters: annotators who answered.
        """

    @abstractmethod
    def check(self, label: NDArray[np.floating]) -> bool:
        """Whether (C,) numbers are a possible soft label."""

    @abstractmethod
    def loss(self, logits: "Tensor", targets: "Tensor", weights: "Tensor") -> "Tensor":
        """() what training minimises, in nats per clip, in float32, with class weights (C,)."""

    @abstractmethod
    def class_weights(self, labels: NDArray[np.floating], cap: float) -> NDArray[np.float32]:
        """(C,) weights that make rare classes count as much as common ones, at most `cap` times; 1 turns it off."""

    @abstractmethod
    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., C) of each class, from logits (..., C)."""

    @abstractmethod
    def log_likelihood(self, logits: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N,) in nats, of soft targets."""

    @abstractmethod
    def uncertainty(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N,) entropy of the answer in nats."""

    @abstractmethod
    def decisions(self, probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
        """(N,) each clip's answer as one number; equal numbers, equal answers."""

    @abstractmethod
    def answer(self, probabilities: Sequence[float]) -> tuple[str, ...]:
        """The classes chosen for one clip (C,)."""

    @abstractmethod
    def clear(self, labels: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(N,) where annotators agree on one answer, so that a prediction can be right or wrong."""

    @abstractmethod
    def measure(
        self,
        labels: NDArray[np.floating],
        probabilities: NDArray[np.floating],
        speakers: Sequence[str | None] | None = None,
        seed: int = 0,
    ) -> Metrics:
        """Metrics on N > 0 clips whose labels are clear."""

    def stack(self, labels: Mapping[str, NDArray[np.floating]], ids: Sequence[str]) -> NDArray[np.float64]:
        """(N, C) labels of the ids, checked.

        Raises:
            LabelError: one has the wrong shape or values.
        """
        for id in ids:
            label = np.asarray(labels[id])
            if label.shape != (len(self.classes),) or not self.check(label):
                raise LabelError(
                    f"The label of clip {id} must be {len(self.classes)} shares of a {self.kind} answer, not "
                    f"{label.tolist()}."
                )
        return np.array([labels[id] for id in ids], np.float64).reshape(len(ids), len(self.classes))


@dataclass(frozen=True, kw_only=True)
class SingleChoice(LabelSchema):
    """One class per clip; labels sum to 1."""

    kind: ClassVar = "single-choice"
    problem_type: ClassVar = "single_label_classification"
    exclusive: ClassVar = True

    @property
    def prior(self) -> float:
        return 1 / len(self.classes)

    def vote(self, chosen: Sequence[str]) -> dict[str, float]:
        """One vote in all: two classes chosen are half a vote each."""
        return {name: 1 / len(chosen) for name in chosen}

    def target(self, votes: Mapping[str, float], voters: int) -> NDArray[np.float64] | None:
        """Shares of the votes for known classes."""
        del voters
        counts = np.array([votes.get(name, 0.0) for name in self.classes])  # (C,)
        return counts / counts.sum() if counts.any() else None

    def check(self, label: NDArray[np.floating]) -> bool:
        return bool(label.min() >= 0 and abs(label.sum() - 1) <= TOLERANCE)

    def loss(self, logits: "Tensor", targets: "Tensor", weights: "Tensor") -> "Tensor":
        """Equation 5 of AFTER with class weights: −(1/k) Σ_i Σ_j w_j y_ij log ŷ_ij."""
        return -(weights * targets * logits.float().log_softmax(dim=-1)).sum(dim=-1).mean()

    def class_weights(self, labels: NDArray[np.floating], cap: float) -> NDArray[np.float32]:
        """Inversely proportional to the (soft) label counts, capped, then scaled so that a label's mean weight is 1."""
        counts = labels.sum(axis=0)  # (C,)
        balanced = counts.sum() / (len(counts) * np.maximum(counts, 1e-9))
        weights = np.clip(balanced, 1 / cap, cap)
        return (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        return softmax(logits.astype(np.float64), axis=-1)

    def log_likelihood(self, logits: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.float64]:
        return (targets * log_softmax(logits, axis=1)).sum(axis=1)

    def uncertainty(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        return entr(probabilities).sum(axis=1)

    def decisions(self, probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
        return probabilities.argmax(axis=1)

    def answer(self, probabilities: Sequence[float]) -> tuple[str, ...]:
        return (max(zip(probabilities, self.classes, strict=True))[1],)

    def clear(self, labels: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Where the top votes don't tie."""
        top = labels.max(axis=1, keepdims=True, initial=0.0)  # (N, 1)
        return np.isclose(labels, top, atol=TIE).sum(axis=1) == 1

    def measure(
        self,
        labels: NDArray[np.floating],
        probabilities: NDArray[np.floating],
        speakers: Sequence[str | None] | None = None,
        seed: int = 0,
    ) -> Metrics:
        return measure(labels.argmax(axis=1), probabilities, self.classes, speakers=speakers, seed=seed)


@dataclass(frozen=True, kw_only=True)
class MultipleChoice(LabelSchema):
    """Any number of classes per clip, each a yes-or-no question; a label is the share of annotators for each class."""

    kind: ClassVar = "multiple-choice"
    problem_type: ClassVar = "multi_label_classification"
    exclusive: ClassVar = False

    @property
    def prior(self) -> float:
        return 0.5

    def vote(self, chosen: Sequence[str]) -> dict[str, float]:
        return dict.fromkeys(chosen, 1.0)

    def target(self, votes: Mapping[str, float], voters: int) -> NDArray[np.float64] | None:
        """Shares of the annotators who chose each class."""
        counts = np.array([votes.get(name, 0.0) for name in self.classes])  # (C,)
        return counts / max(voters, counts.max()) if counts.any() else None

    def check(self, label: NDArray[np.floating]) -> bool:
        return bool(label.min() >= 0 and label.max() <= 1)

    def loss(self, logits: "Tensor", targets: "Tensor", weights: "Tensor") -> "Tensor":
        """Binary cross-entropy, mean over the classes; `weights` count a class's positive part."""
        from torch.nn import functional

        return functional.binary_cross_entropy_with_logits(logits.float(), targets, pos_weight=weights)

    def class_weights(self, labels: NDArray[np.floating], cap: float) -> NDArray[np.float32]:
        """Negatives per positive of each class, capped."""
        positive = labels.mean(axis=0)  # (C,)
        return np.clip((1 - positive) / np.maximum(positive, 1e-9), 1 / cap, cap).astype(np.float32)

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        return expit(logits.astype(np.float64))

    def log_likelihood(self, logits: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.float64]:
        return (targets * log_expit(logits) + (1 - targets) * log_expit(-logits)).sum(axis=1)

    def uncertainty(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Summed over the classes, as of independent questions."""
        return (entr(probabilities) + entr(1 - probabilities)).sum(axis=1)

    def decisions(self, probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
        """A hash of the classes chosen, of which there may be more than bits in a number."""
        rows = np.packbits(probabilities >= 0.5, axis=1)  # (N, C / 8)
        return np.array([zlib.crc32(row.tobytes()) for row in rows], np.int64)

    def answer(self, probabilities: Sequence[float]) -> tuple[str, ...]:
        return tuple(name for name, share in zip(self.classes, probabilities, strict=True) if share >= 0.5)

    def clear(self, labels: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Where no class has exactly half of the votes."""
        return np.all(np.abs(labels - 0.5) > TIE, axis=1)

    def measure(
        self,
        labels: NDArray[np.floating],
        probabilities: NDArray[np.floating],
        speakers: Sequence[str | None] | None = None,
        seed: int = 0,
    ) -> Metrics:
        return measure_independent(labels >= 0.5, probabilities, self.classes, speakers=speakers, seed=seed)


SCHEMAS: dict[str, type[LabelSchema]] = {kind.kind: kind for kind in (SingleChoice, MultipleChoice)}
"""The schemas by the name of their kind."""


def schema_of(kind: str, classes: Sequence[str]) -> LabelSchema:
    """The schema of a kind, with these classes. KeyError if there is no such kind."""
    return SCHEMAS[kind](classes=tuple(classes))
