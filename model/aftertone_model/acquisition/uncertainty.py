"""Uncertainty of one prediction: entropy, least confidence, margin. Closed forms in float64, one pass over the pool."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked


def entropy(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """-sum_c p_c log p_c over the last axis, in nats: 0 (certain) to log C (uniform). (..., C) -> (...)."""
    return entr(np.asarray(probabilities, dtype=np.float64)).sum(axis=-1)


def least_confidence(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 - max_c p_c: 0 (certain) to 1 - 1/C (uniform). (..., C) -> (...)."""
    return 1 - np.max(np.asarray(probabilities, dtype=np.float64), axis=-1)


def margin(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 - (p_first - p_second): 0 (certain) to 1 (the two likeliest classes tie). (..., C) -> (...); 0 where C = 1."""
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.shape[-1] == 1:
        return np.zeros(probabilities.shape[:-1])
    top = np.partition(probabilities, -2, axis=-1)[..., -2:]  # (..., 2), second then first
    return 1 - (top[..., 1] - top[..., 0])


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
