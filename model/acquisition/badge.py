"""BADGE: pick clips whose last-layer gradients are large and differ, without ever building the gradients."""

import numpy as np
from numpy.typing import NDArray

from model.acquisition.evidence import Evidence, Need
from model.acquisition.strategy import Ranked

ROUNDING = 4e-6  # squared distances below this share of the squared norms are float32 rounding, i.e. duplicates


def rank_by_badge(evidence: Evidence, k: int, rng: np.random.Generator) -> Ranked:
    """k-means++ sampling on hypothetical gradients g = (p - onehot(argmax p)) ⊗ h; the rest by the norm of g.

    The first pick is the largest norm, as in the authors' code; each next one is drawn in proportion to its squared
    distance to the nearest pick (plain D² sampling, no greedy local trials). When nothing differs from the picks any
    more, the draw is uniform over what is left.

    A gradient is an outer product of a residual a (C,) and an embedding h (D,), so that
    ‖g_i - g_j‖² = ‖a_i‖²‖h_i‖² + ‖a_j‖²‖h_j‖² - 2 (a_i·a_j)(h_i·h_j): two matrix-vector products per pick, and no array
    of N x C x D.

    Source: Ash et al., arXiv 1906.03671, algorithm 1; the factored distance is arXiv 2306.09910, appendix D.
    """
    embeddings = np.asarray(evidence.require(Need.EMBEDDINGS), dtype=np.float32)  # (N, D)
    residuals = prediction_residuals(evidence.require(Need.PROBABILITIES))  # (N, C)
    squares = np.einsum("nc,nc->n", residuals, residuals, dtype=np.float64) * np.einsum(
        "nd,nd->n", embeddings, embeddings, dtype=np.float64
    )  # (N,) squared gradient norms

    picks = np.empty(k, dtype=np.intp)
    free = np.ones(len(squares), dtype=bool)
    nearest = np.full(len(squares), np.inf)  # (N,) squared distance to the nearest pick
    picks[0] = np.argmax(squares)
    for done in range(1, k):
        last = picks[done - 1]
        free[last] = False
        products = (residuals @ residuals[last]).astype(np.float64) * (embeddings @ embeddings[last])
        scale = squares + squares[last]
        distances = scale - 2 * products
        distances[distances < ROUNDING * scale] = 0
        np.minimum(nearest, distances, out=nearest)
        picks[done] = draw_in_proportion(np.where(free, nearest, 0), free, rng)
    return Ranked.picks_first(picks, np.sqrt(squares), k)


def prediction_residuals(probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
    """p - onehot(argmax p): the gradient of the cross-entropy by the logits, had the prediction been right. (N, C)."""
    residuals = np.array(probabilities, dtype=np.float32)
    residuals[np.arange(len(residuals)), residuals.argmax(axis=1)] -= 1
    return residuals


def draw_in_proportion(weights: NDArray[np.float64], free: NDArray[np.bool_], rng: np.random.Generator) -> int:
    """One index drawn with probability weights / sum; uniformly among `free` when all weights are 0."""
    total = weights.sum()
    chances = weights / total if total > 0 else free / free.sum()
    return int(rng.choice(len(weights), p=chances))
