"""BADGE: pick clips whose last-layer gradients are large and differ, without ever building the gradients."""

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked

ROUNDING = 4e-6  # squared distances below this share of the squared norms are float32 rounding, i.e. duplicates


def rank_by_badge(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """k-means++ sampling on hypothetical gradients g = (p - onehot(argmax p)) ⊗ h; the rest by the norm of g.

    The first pick is the largest norm, as in the authors' code; each next one is drawn in proportion to its squared
    distance to the nearest pick (plain D² sampling: no greedy local trials as in scikit-learn's k-means++, and the
    origin is no centre as it is in scikit-activeml). When nothing differs from the picks any more, the draw is uniform
    over what is left.

    A gradient is an outer product of a residual a (C,) and an embedding h (D,), so that
    ‖g_i - g_j‖² = ‖a_i‖²‖h_i‖² + ‖a_j‖²‖h_j‖² - 2 (a_i·a_j)(h_i·h_j): two matrix-vector products per pick, and no array
    of N x C x D.

    Source: Ash et al., arXiv 1906.03671, algorithm 1; the factored distance is arXiv 2306.09910, appendix D.
    """
    embeddings = np.asarray(inputs.require(Requires.EMBEDDINGS), dtype=np.float32)  # (N, D)
    answers = inputs.answers(Requires.PROBABILITIES)  # (N, Q, A)
    residuals = prediction_residuals(answers).reshape(len(answers), -1)  # (N, Q A)
    squares = squared_norms(residuals) * squared_norms(embeddings)  # (N,) of the gradients

    picks = np.empty(k, dtype=np.intp)
    free = np.ones(len(squares), dtype=bool)
    nearest = np.full(len(squares), np.inf)  # (N,) squared distance to the nearest pick
    picks[0] = np.argmax(squares)
    for done in range(1, k):
        last = int(picks[done - 1])
        free[last] = False
        np.minimum(nearest, squared_distances(residuals, embeddings, squares, last), out=nearest)
        picks[done] = draw_in_proportion(np.where(free, nearest, 0), free, rng)
    return Ranked.picks_first(picks, np.sqrt(squares), k)


def prediction_residuals(probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
    """p - onehot(argmax p), (..., C): the gradient of the cross-entropy by the logits, if it is right."""
    residuals = np.array(probabilities, dtype=np.float32)
    best = residuals.argmax(axis=-1)[..., None]
    np.put_along_axis(residuals, best, np.take_along_axis(residuals, best, axis=-1) - 1, axis=-1)
    return residuals


def squared_norms(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, D) -> (N,)."""
    return np.einsum("nd,nd->n", rows, rows).astype(np.float64)


def squared_distances(
    residuals: NDArray[np.float32], embeddings: NDArray[np.float32], squares: NDArray[np.float64], row: int
) -> NDArray[np.float64]:
    """(N,) between each gradient and one row's, given residuals (N, C), embeddings (N, D) and squared norms (N,)."""
    products = (residuals @ residuals[row]).astype(np.float64) * (embeddings @ embeddings[row])
    scale = squares + squares[row]
    distances = scale - 2 * products
    distances[distances < ROUNDING * scale] = 0
    return distances


def draw_in_proportion(weights: NDArray[np.float64], free: NDArray[np.bool_], rng: np.random.Generator) -> int:
    """One index drawn with probability weights / sum; uniformly among `free` when all weights are 0."""
    total = weights.sum()
    chances = weights / total if total > 0 else free / free.sum()
    return int(rng.choice(len(weights), p=chances))
