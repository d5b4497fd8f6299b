"""BALD and its stochastic batch version: how much a label would tell about the model's own parameters."""

import numpy as np
from numpy.typing import NDArray

from aftertone_model.acquisition.inputs import Inputs, Requires
from aftertone_model.acquisition.strategy import Ranked
from aftertone_model.acquisition.uncertainty import entropy

CHUNK = 8_192  # candidates whose float64 copies are held at once
FLOOR = 1e-12  # nats; below this a BALD score is rounding error, and its logarithm must stay finite


def conditional_entropy(mc: NDArray[np.floating]) -> NDArray[np.float64]:
    """E_theta[H(y | theta)]: mean over MC samples of each sample's entropy, in nats. (N, K, C) -> (N,)."""
    means = np.empty(len(mc))
    for start in range(0, len(mc), CHUNK):
        means[start : start + CHUNK] = entropy(mc[start : start + CHUNK]).mean(axis=-1)
    return means


def mutual_information(mc: NDArray[np.floating]) -> NDArray[np.float64]:
    """BALD, I(y; theta) = H(mean_k p_k) - mean_k H(p_k) in nats: 0 to min(log C, log K). (N, K, C) -> (N,).

    Source: Houlsby et al., arXiv 1112.5745, eq. 2; the MC estimate is Gal et al., arXiv 1703.02910.
    """
    mean = mc.mean(axis=1, dtype=np.float64)  # (N, C)
    return np.maximum(entropy(mean) - conditional_entropy(mc), 0)


def _bald(inputs: Inputs) -> NDArray[np.float64]:
    """(N,) BALD of a clip's answer; of independent questions the sum."""
    answers = inputs.answers(Requires.MC)  # (N, K, Q, A)
    return np.sum([mutual_information(answers[:, :, q]) for q in range(answers.shape[2])], axis=0)


def rank_by_bald(inputs: Inputs, k: int, _rng: np.random.Generator) -> Ranked:
    """The clips of the highest BALD."""
    return Ranked.by_score(_bald(inputs), k)


def power_scores(bald: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """log BALD + Gumbel noise, whose top k are a draw without replacement in proportion to BALD. (N,) -> (N,).

    Source: Kirsch, Farquhar et al., arXiv 2106.12059, §3 (power acquisition with beta = 1, the paper's default).
    """
    return np.log(np.maximum(bald, FLOOR)) + rng.gumbel(size=len(bald))


def rank_by_powerbald(inputs: Inputs, k: int, rng: np.random.Generator) -> Ranked:
    """Clips drawn in proportion to BALD."""
    return Ranked.by_score(power_scores(_bald(inputs), rng), k)
