"""Temperature scaling: one number that makes a classifier's confidence match how often it is right."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

MIN_CLIPS = 50  # below this a fitted temperature is mostly noise
FOLDS = 5
LOG_RANGE = (np.log(0.05), np.log(20.0))  # a temperature beyond these says that the logits mean nothing


class Likelihood(Protocol):
    """What a label schema says about logits (N, C) and soft targets (N, C)."""

    @property
    def prior(self) -> float: ...

    def log_likelihood(self, logits: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.float64]: ...

    def predictions(self, logits: NDArray[np.floating]) -> NDArray[np.float64]: ...


def fit_temperature(
    logits: NDArray[np.floating], targets: NDArray[np.floating], schema: Likelihood, smoothing: float = 1.0
) -> float:
    """The temperature T > 0 under which logits / T have the highest likelihood.

    Labels are smoothed by one clip of no class, as Platt did: else a test set without a mistake would ask for T = 0,
    and a classifier that is certain of everything ranks nothing.

    Source: Guo et al. 2017 (arXiv 1706.04599), eq. 9; smoothing after Platt 1999, section 2.2.

    Args:
        logits: (N, C), N > 0.
        targets: (N, C) soft labels.
        smoothing: clips of no class; none where the targets are what another model says, which is never certain.
    """
    smooth = (targets * len(targets) + smoothing * schema.prior) / (len(targets) + smoothing)  # (N, C)

    def loss(log_temperature: float) -> float:
        return -float(schema.log_likelihood(logits.astype(np.float64) / np.exp(log_temperature), smooth).mean())

    found = minimize_scalar(loss, bounds=LOG_RANGE, method="bounded")
    return float(np.exp(found.x))  # pyright: ignore[reportAttributeAccessIssue]


def cross_fitted(
    logits: NDArray[np.floating], targets: NDArray[np.floating], schema: Likelihood, seed: int = 0
) -> NDArray[np.float64]:
    """(N, C) probabilities, each scaled by a temperature that was fitted without its own clip.

    So that a calibration error measured on them is that of a clip the temperature hasn't seen.
    """
    folds = np.random.default_rng(seed).permutation(len(logits)) % FOLDS  # (N,)
    probabilities = np.empty(logits.shape, np.float64)
    for fold in range(FOLDS):
        held, rest = folds == fold, folds != fold
        if held.any():
            temperature = fit_temperature(logits[rest], targets[rest], schema)
            probabilities[held] = schema.predictions(logits[held].astype(np.float64) / temperature)
    return probabilities
