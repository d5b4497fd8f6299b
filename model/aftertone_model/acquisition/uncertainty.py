"""Uncertainty of one prediction: entropy, least confidence, margin. Closed forms in float64, one pass over the pool."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked

CHUNK = 16_384  # distributions whose float64 copies are held at once; few enough for a processor's cache


def entropy(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """-sum_c p_c log p_c over the last axis, in nats: 0 (certain) to log C (uniform). (..., C) -> (...)."""
    return _by_class(probabilities, _entropy)


def least_confidence(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 - max_c p_c: 0 (certain) to 1 - 1/C (uniform). (..., C) -> (...)."""
    return _by_class(probabilities, lambda classes: 1 - classes.max(axis=0))


def margin(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 - (p_first - p_second): 0 (certain) to 1 (the two likeliest classes tie). (..., C) -> (...); 0 where C = 1."""
    return _by_class(probabilities, _margin)


def answer_entropy(inputs: Inputs) -> NDArray[np.float64]:
    """(N,) entropy of a clip's answer in nats; of independent questions the sum."""
    return entropy(inputs.answers(Requires.PROBABILITIES)).sum(axis=-1)


def answer_margin(inputs: Inputs) -> NDArray[np.float64]:
    """(N,) margin of a clip's answer, higher = closer; of independent questions the closest."""
    return margin(inputs.answers(Requires.PROBABILITIES)).max(axis=-1)


def rank_by_entropy(inputs: Inputs, k: int, _rng: np.random.Generator) -> Ranked:
    """AFTER's own strategy (arXiv 2310.00283 §3.2, after a clustered seed set)."""
    return Ranked.by_score(answer_entropy(inputs), k)


def rank_by_least_confidence(inputs: Inputs, k: int, _rng: np.random.Generator) -> Ranked:
    """One minus the probability of the likeliest answer to all questions."""
    answers = inputs.answers(Requires.PROBABILITIES)  # (N, Q, A)
    return Ranked.by_score(1 - (1 - least_confidence(answers)).prod(axis=-1), k)


def rank_by_margin(inputs: Inputs, k: int, _rng: np.random.Generator) -> Ranked:
    """The margin of the closest question."""
    return Ranked.by_score(answer_margin(inputs), k)


def _by_class(
    probabilities: NDArray[np.floating], score: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """(..., C) -> (...) by a function of (C, N): whole columns at a time, as there are few classes and many clips."""
    rows = probabilities.reshape(-1, probabilities.shape[-1])
    scores = np.empty(len(rows))
    for start in range(0, len(rows), CHUNK):
        block = slice(start, start + CHUNK)
        scores[block] = score(np.ascontiguousarray(rows[block].T, dtype=np.float64))
    return scores.reshape(probabilities.shape[:-1])


def _entropy(classes: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.log(np.maximum(classes, np.finfo(np.float64).tiny))  # 0 log 0 is 0
    return -np.multiply(classes, logs, out=logs).sum(axis=0)


def _margin(classes: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(classes) == 1:
        return np.zeros(classes.shape[1])
    first, second = np.maximum(classes[0], classes[1]), np.minimum(classes[0], classes[1])
    for others in classes[2:]:
        np.maximum(second, np.minimum(first, others), out=second)
        np.maximum(first, others, out=first)
    return 1 - (first - second)
