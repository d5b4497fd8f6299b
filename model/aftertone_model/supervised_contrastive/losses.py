"""What stage 1 minimises: InfoNCE and the cosine margin loss (the paper's sections 2.2 and 2.3, equations 3 to 5).

Positives are clips of one emotion, negatives are clips of others; both come from two corpora.
"""

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(positives: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """() InfoNCE (equation 3), the mean over ordered pairs of positives.

    A positive x_i and another one x_j are told from x_i and each negative x'_k:
    −log exp(sim(x_i, x_j) / τ) / (exp(sim(x_i, x_j) / τ) + Σ_k exp(sim(x_i, x'_k) / τ)), sim being the cosine.

    Args:
        positives: (P, D) of one emotion, P > 1.
        negatives: (M, D) of other emotions, M > 0.
        temperature: τ > 0.
    """
    first, others = functional.normalize(positives, dim=-1), functional.normalize(negatives, dim=-1)
    alike = first @ first.T / temperature  # (P, P)
    different = (first @ others.T / temperature).logsumexp(dim=1, keepdim=True)  # (P, 1)
    losses = functional.softplus(different - alike)  # −log σ(alike − different)
    pairs = ~torch.eye(len(positives), dtype=torch.bool, device=positives.device)
    return losses[pairs].mean()


def cosine_margin(positives: Tensor, negatives: Tensor, weight: float, margin: float) -> Tensor:
    """() cosine margin loss (equation 4): α (1 − sim(x_p, y_p)) + max(0, sim(x_p, x_n) − m).

    The positives are split into two equal parts, x and y, whose clips pair in order. The first term is the mean over
    these pairs; the second, on which the paper is silent, the mean over each clip of x with each negative.

    Args:
        positives: (P, D), P even; the first half is x.
        negatives: (M, D), M > 0.
        weight: α.
        margin: m, a cosine.
    """
    first, second = functional.normalize(positives, dim=-1).chunk(2)  # (P / 2, D) each
    pulled = (1 - (first * second).sum(dim=-1)).mean()
    pushed = functional.relu(first @ functional.normalize(negatives, dim=-1).T - margin).mean()
    return weight * pulled + pushed
