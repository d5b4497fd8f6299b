"""The concordance correlation coefficient (CCC): how far ratings agree in rank, in mean and in spread, in [-1, 1].

It is a function of sums over clips, so that a bootstrap replicate needs the sums of each unit alone.
"""

import numpy as np
from numpy.typing import NDArray


def moments(truth: NDArray[np.floating], guesses: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, D, 6) of ratings (N, D): 1, truth, guess, truth², guess², truth · guess; all 0 where the truth is NaN."""
    rated = ~np.isnan(truth)
    known, said = np.where(rated, truth, 0.0), np.where(rated, guesses, 0.0)
    return np.stack([rated.astype(np.float64), known, said, known**2, said**2, known * said], axis=-1)


def concordance(sums: NDArray[np.floating]) -> NDArray[np.float64]:
    """(..., D) CCC from sums of moments (..., D, 6); 0 where there is no rating, or neither side varies.

    Source: Lin 1989, "A concordance correlation coefficient to evaluate reproducibility", with variances over n.
    """
    count, known, said, known2, said2, both = np.moveaxis(sums, -1, 0)
    n = np.maximum(count, 1)
    mean, guess = known / n, said / n
    covariance = both / n - mean * guess
    spread = (known2 / n - mean**2) + (said2 / n - guess**2) + (mean - guess) ** 2
    return np.where(spread > 1e-12, 2 * covariance / np.maximum(spread, 1e-12), 0.0)
