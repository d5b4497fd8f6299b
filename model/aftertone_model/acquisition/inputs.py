"""What a query strategy may look at, each kind named so that the learner computes exactly what is needed, once."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

SUM_TOLERANCE = 1e-3  # how far a distribution may be from summing to 1: bf16 softmax is off by this much


class Requires(StrEnum):
    """A kind of input; the value is the name of the field of `Inputs` that carries it."""

    PROBABILITIES = "probabilities"  # the classifier's class probabilities
    RATINGS = "ratings"  # the ratings that a regression predicts
    MC = "mc"  # class probabilities under K dropout masks of the head, the same K masks for every clip
    EMBEDDINGS = "embeddings"  # the pooled hidden states that enter the classifier's last layer
    SURPRISAL = "surprisal"  # the adapted backbone's surprisal along each clip; needs no labels
    LABELLED = "labelled"  # clips that have labels: these, and what the classifier makes of the clips


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """What is known about M clips that have labels, one row each; none of them is a candidate.

    The classifier was trained on most of them, so that its predictions flatter it.

    Raises:
        ValueError: shapes disagree, or a value is not finite.
    """

    labels: NDArray[np.floating]  # (M, C) soft, 0..1; of ratings, predicted where nobody rated
    predictions: NDArray[np.floating]  # (M, C) probabilities or ratings
    embeddings: NDArray[np.floating]  # (M, D)

    def __post_init__(self) -> None:
        if not self.labels.shape == self.predictions.shape == (len(self.embeddings), *self.labels.shape[1:]):
            raise ValueError(
                f"Labels {self.labels.shape}, predictions {self.predictions.shape} and embeddings "
                f"{self.embeddings.shape} must have a row for each labelled clip, the first two a column per class."
            )
        for array in (self.labels, self.predictions, self.embeddings):
            if array.ndim != 2 or not np.isfinite(array).all():
                raise ValueError(
                    "What is known of labelled clips must be finite numbers in two axes; score them again."
                )


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What is known about N candidates: unlabelled clips, one row each, all arrays in the same row order.

    Ties are broken by row and some strategies draw noise by row. The order of rows must be deterministic
    (sorted by clip id); then the same seed gives the same picks.

    Raises:
        ValueError: a shape disagrees, a value is not finite, or probabilities are negative or don't sum to 1.
    """

    candidates: int  # N, >= 0
    probabilities: NDArray[np.floating] | None = None  # (N, C), rows sum to 1
    ratings: NDArray[np.floating] | None = None  # (N, C) places on the scales, 0..1
    mc: NDArray[np.floating] | None = None  # (N, K, C), sums to 1 over C; sample k is the same mask in every row
    embeddings: NDArray[np.floating] | None = None  # (N, D)
    exclusive: bool = (
        True  # classes exclude each other; if not, each is a yes-or-no question and `probabilities` says yes
    )
    surprisal: NDArray[np.floating] | None = None  # (N, B) quantiles in nats, >= 0; -1: clip too short
    labelled: Labelled | None = None

    def __post_init__(self) -> None:
        for need in Requires:
            array = getattr(self, need)
            if array is None or need is Requires.LABELLED:
                continue
            dimensions = 3 if need is Requires.MC else 2
            if array.ndim != dimensions or len(array) != self.candidates or 0 in array.shape[1:]:
                raise ValueError(
                    f"{need} has shape {array.shape}; expected {dimensions} axes, {self.candidates} rows, none empty."
                )
            if not np.isfinite(array).all():
                raise ValueError(
                    f"{need} holds NaN or infinity; score the clips again and look for a broken classifier."
                )
            if need in (Requires.PROBABILITIES, Requires.MC) and not _are_probabilities(array, self.exclusive):
                sums = " and sum to 1 over classes" if self.exclusive else " and <= 1"
                raise ValueError(f"{need} must be >= 0{sums}; pass probabilities, not logits.")
        if self.labelled is not None:
            for ours, theirs in (
                (self.probabilities, self.labelled.predictions),
                (self.ratings, self.labelled.predictions),
                (self.embeddings, self.labelled.embeddings),
            ):
                if ours is not None and ours.shape[1] != theirs.shape[1]:
                    raise ValueError(
                        f"Candidates have {ours.shape[1]} columns and labelled clips {theirs.shape[1]}; score both "
                        "with the same classifier."
                    )

    def check(self, need: Requires) -> None:
        """ValueError if that kind wasn't computed."""
        if getattr(self, need) is None:
            raise ValueError(
                f"This strategy needs {need}, which the inputs lack; compute what Strategy.requires names."
            )

    def require(self, need: Requires) -> NDArray[np.floating]:
        """The array of that kind; of labelled clips see `known`.

        Raises:
            ValueError: it wasn't computed.
        """
        self.check(need)
        return getattr(self, need)

    def known(self) -> Labelled:
        """What is known about labelled clips.

        Raises:
            ValueError: it wasn't computed.
        """
        self.check(Requires.LABELLED)
        assert self.labelled is not None
        return self.labelled

    def answers(self, need: Requires) -> NDArray[np.floating]:
        """Probabilities as distributions over the answers to each question: (..., Q, A), sums to 1 over A.

        One question with C answers where classes are exclusive, else C questions with the answers yes and no.
        """
        probabilities = self.require(need)
        if self.exclusive:
            return probabilities[..., None, :]
        return np.stack([probabilities, 1 - probabilities], axis=-1)


def _are_probabilities(array: NDArray[np.floating], exclusive: bool) -> bool:
    if not exclusive:
        return bool((array >= 0).all() and (array <= 1).all())
    return bool((array >= 0).all() and np.allclose(array.sum(axis=-1, dtype=np.float64), 1, rtol=0, atol=SUM_TOLERANCE))
