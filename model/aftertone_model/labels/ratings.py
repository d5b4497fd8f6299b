"""Ratings of a clip in one or several dimensions, such as valence and arousal."""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from aftertone_model.evaluation.concordance import concordance, moments
from aftertone_model.evaluation.rating_metrics import RatingMetrics, measure_ratings
from aftertone_model.labels.schema import LabelSchema

if TYPE_CHECKING:  # the server reads label configs and never trains
    from torch import Tensor

    from aftertone_model.evaluation.rating_slope import HeldOutRatings

FEWEST = 3  # ratings in a batch from which CCC says something; with fewer the squared error alone is minimised
LEAST_VARIANCE = 1e-6  # of ratings in a batch, in squared shares of the scale; below it they are all alike
LEAST_SPREAD = 1e-3  # of predictions, as a share of the scale; below it they are all the same answer
DIGITS = 3  # of an answer, as a share of the scale


@dataclass(frozen=True, kw_only=True)
class Ratings(LabelSchema):
    """A number in each dimension. Labels are the means of annotators' ratings, brought from their scales to [0, 1].

    A dimension in which nobody rated a clip is NaN in its label and counts for nothing.
    """

    kind: ClassVar = "ratings"
    problem_type: ClassVar = "regression"
    predicts: ClassVar = "ratings"
    exclusive: ClassVar = False
    regression: ClassVar = "ridge"
    shares: ClassVar = "numbers in [0, 1], or NaN where a dimension isn't rated,"

    def __post_init__(self) -> None:
        if len(self.scales) != len(self.classes):
            raise ValueError(f"{len(self.classes)} dimensions need as many scales, not {len(self.scales)}")

    def knows(self, word: str) -> bool:
        return self._read(word) is not None

    def vote(self, chosen: Sequence[str]) -> dict[str, float]:
        """One vote for the value given in each dimension."""
        return dict.fromkeys(chosen, 1.0)

    def target(self, votes: Mapping[str, float], voters: int) -> NDArray[np.float64] | None:
        """The mean of the values that were given in each dimension."""
        del voters
        sums, counts = np.zeros(len(self.classes)), np.zeros(len(self.classes))
        for word, count in votes.items():
            if (read := self._read(word)) is not None:
                column, value = read
                sums[column] += count * value
                counts[column] += count
        return np.where(counts > 0, sums / np.maximum(counts, 1e-9), np.nan) if counts.any() else None

    def check(self, label: NDArray[np.floating]) -> bool:
        rated = label[~np.isnan(label)]
        return bool(len(rated) and rated.min() >= 0 and rated.max() <= 1)

    def loss(self, logits: "Tensor", targets: "Tensor", weights: "Tensor") -> "Tensor":
        """1 − CCC plus the mean squared error, over the ratings that there are, mean over the dimensions.

        CCC is that of Lin 1989 ("A concordance correlation coefficient to evaluate reproducibility") over the batch;
        as a loss it is that of Trigeorgis et al. 2016 (ICASSP, "Adieu features?") and of Atmaja and Akagi 2021
        (Journal of Physics: Conference Series 1896), who found it ahead of the squared error for valence, arousal and
        dominance. The squared error beside it is ours: a batch of fewer than `FEWEST` ratings, or of equal ones, has
        no CCC to speak of.
        """
        import torch

        rated = ~targets.isnan()
        share = rated / rated.sum(dim=0).clamp_min(1)  # (B, C), sums to 1 over the ratings of a dimension
        truth, guess = torch.where(rated, targets, 0.0).float(), torch.where(rated, logits.float(), 0.0)
        error = (share * (guess - truth).square()).sum(dim=0)  # (C,)
        there, here = truth - (share * truth).sum(dim=0), guess - (share * guess).sum(dim=0)  # (B, C) centred
        variance = (share * there.square()).sum(dim=0)
        together = (share * there * here).sum(dim=0)
        # what is squared below 1 − CCC: the variances and the squared difference of the means are error + 2 together
        ccc = 2 * together / (error + 2 * together).clamp_min(LEAST_VARIANCE)
        told = (rated.sum(dim=0) >= FEWEST) & (variance > LEAST_VARIANCE)
        losses = weights * (torch.where(told, 1 - ccc, 0.0) + error)
        return (losses * rated.any(dim=0)).sum() / rated.any(dim=0).sum().clamp_min(1)

    def class_weights(self, labels: NDArray[np.floating], cap: float) -> NDArray[np.float32]:
        """Dimensions count alike."""
        del labels, cap
        return np.ones(len(self.classes), np.float32)

    def counts(self, labels: NDArray[np.floating]) -> NDArray[np.float64]:
        return (~np.isnan(labels)).sum(axis=0).astype(np.float64)

    def predictions(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """What the regression says, within the scale."""
        return np.clip(logits.astype(np.float64), 0, 1)

    def calibrate(
        self, logits: NDArray[np.floating], labels: NDArray[np.floating], seed: int
    ) -> tuple[float, NDArray[np.float64]]:
        """A regression has no confidence to calibrate."""
        del labels, seed
        return 1.0, self.predictions(logits)

    def as_sure(self, logits: NDArray[np.floating], predictions: NDArray[np.floating]) -> float:
        """A regression is never sure."""
        del logits, predictions
        return 1.0

    def confidence(self, predictions: Sequence[float]) -> float:
        """A regression can't tell."""
        del predictions
        return 0.0

    def decisions(self, predictions: NDArray[np.floating]) -> NDArray[np.int64]:
        """A hash of the answers' words."""
        rows = [self.answer(row) for row in predictions.tolist()]
        return np.array([zlib.crc32(" ".join(row).encode()) for row in rows], np.int64)

    def varies(self, labels: NDArray[np.floating]) -> bool:
        """Whether some dimension has two different ratings."""
        spans = [np.ptp(column[~np.isnan(column)]) for column in labels.T if not np.isnan(column).all()]
        return bool(spans) and max(spans) > LEAST_SPREAD

    def collapsed(self, labels: NDArray[np.floating], predictions: NDArray[np.floating]) -> bool:
        return self.varies(labels) and not self.varies(predictions)

    def accuracy(self, labels: NDArray[np.floating], predictions: NDArray[np.floating]) -> float:
        sums = moments(labels, predictions).sum(axis=0)  # (C, M)
        return float(concordance(sums)[sums[:, 0] > 0].mean())

    def answer(self, predictions: Sequence[float]) -> tuple[str, ...]:
        """`dimension=value` in the scale's units, for each dimension that has a number."""
        words = []
        for name, scale, share in zip(self.classes, self.scales, predictions, strict=True):
            if not math.isnan(share):
                span = scale.high - scale.low
                value = round(scale.low + share * span, DIGITS - math.ceil(math.log10(span)))
                words.append(f"{name}={min(max(value, scale.low), scale.high):.12g}")
        return tuple(words)

    def clear(self, labels: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Everywhere: where annotators differ, the truth is their mean."""
        return np.ones(len(labels), bool)

    def measure(
        self,
        labels: NDArray[np.floating],
        predictions: NDArray[np.floating],
        speakers: Sequence[str | None] | None = None,
        seed: int = 0,
        files: Sequence[str] | None = None,
    ) -> RatingMetrics:
        spans = [scale.high - scale.low for scale in self.scales]
        return measure_ratings(labels, predictions, self.classes, spans, speakers=speakers, seed=seed, files=files)

    def held_out(
        self, labels: Mapping[str, NDArray[np.floating]], speakers: Mapping[str, str | None]
    ) -> "HeldOutRatings":
        from aftertone_model.evaluation.rating_slope import HeldOutRatings

        return HeldOutRatings(labels=dict(labels), speakers=speakers, read=self._row)

    def _row(self, answer: Sequence[str]) -> NDArray[np.float64]:
        """(C,) what an answer's words say, in [0, 1]; NaN in a dimension that it leaves out."""
        found = np.full(len(self.classes), np.nan)
        for word in answer:
            if (read := self._read(word)) is not None:
                found[read[0]] = read[1]
        return found

    def _read(self, word: str) -> tuple[int, float] | None:
        """The column and the value in [0, 1] of `dimension=value`; None where the schema doesn't know it."""
        name, _, written = word.rpartition("=")
        if name not in self.classes:
            return None
        try:
            value = float(written)
        except ValueError:
            return None
        column = self.classes.index(name)
        scale = self.scales[column]
        if not scale.low <= value <= scale.high:
            return None
        return column, (value - scale.low) / (scale.high - scale.low)
