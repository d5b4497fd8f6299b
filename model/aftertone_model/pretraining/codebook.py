"""The first codebooks of a quantiser that no checkpoint gives: drawn from the frames themselves."""

import numpy as np
import torch
from torch import Tensor
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2GumbelVectorQuantizer

ITERATIONS = 5  # of k-means; entries need to be spread over the frames, not optimal
SHARPNESS = 0.2  # logit per unit of squared distance between a frame and an entry, in units of the latents' variance


@torch.no_grad()
def fit_codebooks(quantizer: Wav2Vec2GumbelVectorQuantizer, latents: Tensor, rng: np.random.Generator) -> None:
    """Put each codebook's entries where the frames are, instead of at random.

    Drawn in the usual way, most entries are no frame's choice, like frames get unlike code vectors, and a model that
    starts from scratch needs thousands of steps before the first code can be told. Here each codebook's entries are
    k-means centres; the logit of an entry falls with a frame's distance to it, so that the nearest centre is the
    choice; and code vectors are a random projection of the centres, so that like frames have like codes.

    Args:
        quantizer: changed in place.
        latents: (M, C) frames as the quantiser sees them; with fewer frames than entries some entries coincide.
        rng: of the k-means starts, others for each codebook, and of the projections.
    """
    groups, entries = quantizer.num_groups, quantizer.num_vars
    mean, deviation = latents.mean(0), latents.std(0).clamp_min(1e-5)  # (C,)
    whitened = (latents - mean) / deviation  # (M, C)
    codebooks = quantizer.codevectors.view(groups, entries, -1)  # (G, E, V / G)
    weights = quantizer.weight_proj.weight.view(groups, entries, -1)  # (G, E, C)
    biases = quantizer.weight_proj.bias.view(groups, entries)  # (G, E)
    for codebook, weight, bias in zip(codebooks, weights, biases, strict=True):
        start = torch.from_numpy(rng.choice(len(whitened), entries, replace=entries > len(whitened))).to(latents.device)
        centres = k_means(whitened, whitened[start])  # (E, C)
        projection = rng.normal(size=(len(mean), codebook.shape[-1])) / np.sqrt(len(mean))  # (C, V / G)
        codebook.copy_(centres @ torch.from_numpy(projection).to(latents))
        # -SHARPNESS/2 |z - centre|^2 without |z|^2, which all entries share, is linear in the latents.
        weight.copy_(SHARPNESS * centres / deviation)
        bias.copy_(-SHARPNESS / 2 * centres.square().sum(-1) - weight @ mean)


def k_means(points: Tensor, centres: Tensor) -> Tensor:
    """A few rounds of Lloyd's algorithm; unlike scikit-learn's on several threads, the same sums in the same order."""
    for _ in range(ITERATIONS):
        nearest = (points @ centres.T - centres.square().sum(-1) / 2).argmax(1)  # (M,)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        counts = torch.bincount(nearest, minlength=len(centres))[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
    return centres
