"""What fine-tuning minimises: cross-entropy over hard or soft labels, with capped class weights."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Equation 5 of AFTER with class weights: −(1/k) Σ_i Σ_j w_j y_ij log ŷ_ij, in float32.

    Args:
        logits: (B, C).
        targets: (B, C) hard or soft labels, rows summing to 1.
        weights: (C,); all 1 gives equation 5 itself.
    """
    return -(weights * targets * logits.float().log_softmax(dim=-1)).sum(dim=-1).mean()


def class_weights(labels: NDArray[np.floating], cap: float) -> NDArray[np.float32]:
    """(C,) weights that make rare classes count as much as common ones, but none more than `cap` times the average.

    Inversely proportional to the (soft) label counts, capped, then scaled so that the mean weight of a label is 1.

    Args:
        labels: (N, C), N > 0.
        cap: >= 1; 1 turns weighting off.
    """
    counts = labels.sum(axis=0)  # (C,)
    balanced = counts.sum() / (len(counts) * np.maximum(counts, 1e-9))
    weights = np.clip(balanced, 1 / cap, cap)
    return (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)
