"""What a strategy may look at, each kind named so that the engine computes exactly what is needed, once."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

SUM_TOLERANCE = 1e-3  # how far a distribution may be from summing to 1: bf16 softmax is off by this much


class Requires(StrEnum):
    """A kind of inputs; the value is the name of the field of `Inputs` that carries it."""

    PROBABILITIES = "probabilities"  # the classifier's class probabilities
    MC = "mc"  # class probabilities under K dropout masks of the head, the same K masks for every clip
    EMBEDDINGS = "embeddings"  # the pooled hidden states that enter the classifier's last layer
    SURPRISAL = "surprisal"  # the adapted backbone's surprisal along each clip; needs no labels


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What is known about N candidates: unlabelled clips only, one row each, all arrays in the same row order.

    Ties are broken by row and some strategies draw noise by row. Keep rows in an order that doesn't depend on the day
    (sorted by clip id) and the same seed gives the same picks.

    Raises:
        ValueError: a shape disagrees, a value is not finite, or probabilities are negative or don't sum to 1.
    """

    candidates: int  # N, >= 0
    probabilities: NDArray[np.floating] | None = None  # (N, C), rows sum to 1
    mc: NDArray[np.floating] | None = None  # (N, K, C), sums to 1 over C; sample k is the same mask in every row
    embeddings: NDArray[np.floating] | None = None  # (N, D)
    surprisal: NDArray[np.floating] | None = None  # (N, B) quantiles in nats, >= 0; zeros: clip too short

    def __post_init__(self) -> None:
        for need in Requires:
            array = getattr(self, need)
            if array is None:
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
            if need in (Requires.PROBABILITIES, Requires.MC) and not _is_distribution(array):
                raise ValueError(f"{need} must be >= 0 and sum to 1 over classes; pass probabilities, not logits.")

    def require(self, need: Requires) -> NDArray[np.floating]:
        """The array of that kind.

        Raises:
            ValueError: it wasn't computed.
        """
        array = getattr(self, need)
        if array is None:
            raise ValueError(
                f"This strategy needs {need}, which the inputs lacks; compute what Strategy.requires names."
            )
        return array


def _is_distribution(probabilities: NDArray[np.floating]) -> bool:
    sums = probabilities.sum(axis=-1, dtype=np.float64)
    return bool((probabilities >= 0).all() and np.allclose(sums, 1, rtol=0, atol=SUM_TOLERANCE))
