"""Choices among classes: one for each clip, or any number of them."""

import zlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import scipy  # loads `special` where it is first used, for which those who only read answers needn't wait
from numpy.typing import NDArray

from aftertone_model.evaluation.metrics import Metrics, measure, measure_independent
from aftertone_model.labels.schema import LabelSchema

if TYPE_CHECKING:  # the server reads label configs and never trains
    from torch import Tensor

    from aftertone_model.evaluation.slope import HeldOutLabels

TOLERANCE = 1e-3  # how far a soft label may be from summing to 1
TIE = 1e-6  # shares of votes that differ by less are equal


@dataclass(frozen=True, kw_only=True)
class Choices(LabelSchema):
    """Labels are shares of votes, predictions the probabilities of classes. Losses are in nats per clip."""

    predicts: ClassVar = "probabilities"
    regression: ClassVar = "logistic"
    shares: ClassVar = "shares"

    @property
    @abstractmethod
    def prior(self) -> float:
        """The probability of each class that a label is smoothed towards."""

    @abstractmethod
    def log_likelihood(self, logits: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N,) in nats, of soft targets."""

    @abstractmethod
    def uncertainty(self, predictions: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N,) entropy of the answer in nats."""

    def knows(self, word: str) -> bool:
        return word in self.classes

    def counts(self, labels: NDArray[np.floating]) -> NDArray[np.float64]:
        return labels.sum(axis=0)

    def calibrate(
        self, logits: NDArray[np.floating], labels: NDArray[np.floating], seed: int
    ) -> tuple[float, NDArray[np.float64]]:
        """Temperature scaling, from `MIN_CLIPS` clips on."""
        from aftertone_model.evaluation.calibration import MIN_CLIPS, cross_fitted, fit_temperature

        if len(labels) < MIN_CLIPS:
            return 1.0, self.predictions(logits)
        return fit_temperature(logits, labels, self), cross_fitted(logits, labels, self, seed)

    def as_sure(self, logits: NDArray[np.floating], predictions: NDArray[np.floating]) -> float:
        """The predictions stand in for labels."""
        from aftertone_model.evaluation.calibration import fit_temperature

        return fit_temperature(logits, predictions, self, smoothing=0.0)

    def confidence(self, predictions: Sequence[float]) -> float:
        """The probability of the likeliest class."""
        return max(predictions)

    def varies(self, labels: NDArray[np.floating]) -> bool:
        return len(np.unique(self.decisions(labels))) > 1

    def collapsed(self, labels: NDArray[np.floating], predictions: NDArray[np.floating]) -> bool:
        return self.varies(labels) and not self.varies(predictions)

    def accuracy(self, labels: NDArray[np.floating], predictions: NDArray[np.floating]) -> float:
        return float((self.decisions(predictions) == self.decisions(labels)).mean())

    def held_out(
        self, labels: Mapping[str, NDArray[np.floating]], speakers: Mapping[str, str | None]
    ) -> "HeldOutLabels":
        from aftertone_model.evaluation.slope import HeldOutLabels

        return HeldOutLabels(
            answers={clip: self.answer(label.tolist()) for clip, label in labels.items() if self.clear(label[None])[0]},
            speakers=speakers,
            exclusive=self.exclusive,
        )


@dataclass(frozen=True, kw_only=True)
class SingleChoice(Choices):
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

    def predictions(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        return scipy.special.softmax(logits.astype(np.float64), axis=-1)

    def log_likelihood(self, logits: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.float64]:
        return (targets * scipy.special.log_softmax(logits, axis=1)).sum(axis=1)

    def uncertainty(self, predictions: NDArray[np.floating]) -> NDArray[np.float64]:
        return scipy.special.entr(predictions).sum(axis=1)

    def decisions(self, predictions: NDArray[np.floating]) -> NDArray[np.int64]:
        return predictions.argmax(axis=1)

    def answer(self, predictions: Sequence[float]) -> tuple[str, ...]:
        return (max(zip(predictions, self.classes, strict=True))[1],)

    def clear(self, labels: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Where the top votes don't tie."""
        top = labels.max(axis=1, keepdims=True, initial=0.0)  # (N, 1)
        return np.isclose(labels, top, atol=TIE).sum(axis=1) == 1

    def measure(
        self,
        labels: NDArray[np.floating],
        predictions: NDArray[np.floating],
        speakers: Sequence[str | None] | None = None,
        seed: int = 0,
        files: Sequence[str] | None = None,
    ) -> Metrics:
        return measure(labels.argmax(axis=1), predictions, self.classes, speakers=speakers, seed=seed, files=files)


@dataclass(frozen=True, kw_only=True)
class MultipleChoice(Choices):
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

    def predictions(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        return scipy.special.expit(logits.astype(np.float64))

    def log_likelihood(self, logits: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.float64]:
        yes, no = scipy.special.log_expit(logits), scipy.special.log_expit(-logits)
        return (targets * yes + (1 - targets) * no).sum(axis=1)

    def uncertainty(self, predictions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Summed over the classes, as of independent questions."""
        return (scipy.special.entr(predictions) + scipy.special.entr(1 - predictions)).sum(axis=1)

    def decisions(self, predictions: NDArray[np.floating]) -> NDArray[np.int64]:
        """A hash of the classes chosen, of which there may be more than bits in a number."""
        rows = np.packbits(predictions >= 0.5, axis=1)  # (N, C / 8)
        return np.array([zlib.crc32(row.tobytes()) for row in rows], np.int64)

    def answer(self, predictions: Sequence[float]) -> tuple[str, ...]:
        return tuple(name for name, share in zip(self.classes, predictions, strict=True) if share >= 0.5)

    def clear(self, labels: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Where no class has exactly half of the votes."""
        return np.all(np.abs(labels - 0.5) > TIE, axis=1)

    def measure(
        self,
        labels: NDArray[np.floating],
        predictions: NDArray[np.floating],
        speakers: Sequence[str | None] | None = None,
        seed: int = 0,
        files: Sequence[str] | None = None,
    ) -> Metrics:
        return measure_independent(labels >= 0.5, predictions, self.classes, speakers=speakers, seed=seed, files=files)
