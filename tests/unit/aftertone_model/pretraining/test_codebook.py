"""The first codebooks: an entry for every region of the frames, and like codes for like frames."""

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import Wav2Vec2Config
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2GumbelVectorQuantizer

from aftertone_model.pretraining.codebook import fit_codebooks
from aftertone_model.pretraining.contrastive import perplexity, quantise

ENTRIES = 32


def quantizer() -> Wav2Vec2GumbelVectorQuantizer:
    config = Wav2Vec2Config(conv_dim=(16,), conv_kernel=(4,), conv_stride=(4,), codevector_dim=16)
    config.num_codevectors_per_group = ENTRIES
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh = Wav2Vec2GumbelVectorQuantizer(config).eval()
        torch.nn.init.normal_(fresh.weight_proj.weight)
        torch.nn.init.uniform_(fresh.codevectors)
    return fresh


def latents(count: int = 2_000) -> Tensor:
    """Frames as they come: far from zero mean, and with little variance in most directions."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(3.0 + rng.normal(size=(count, 4)) @ rng.normal(size=(4, 16))).float()  # (M, C)


@torch.no_grad()
def test_entries_spread_over_the_frames_and_like_frames_get_like_codes() -> None:
    fresh, fitted, points = quantizer(), quantizer(), latents()
    fit_codebooks(fitted, points, np.random.default_rng(0))
    usage = [perplexity(quantise(q, points[None]).soft[0].sum(0)).item() / (2 * ENTRIES) for q in (fresh, fitted)]
    assert usage[0] < 0.5
    assert usage[1] > 0.8

    vectors = quantise(fitted, points[None]).vectors[0]  # (M, V)
    pairs = np.random.default_rng(1).integers(0, len(points), (2, 3_000))
    apart, coded = ((x[pairs[0]] - x[pairs[1]]).norm(dim=1).numpy() for x in (points, vectors))
    assert np.corrcoef(apart, coded)[0, 1] > 0.7


@torch.no_grad()
def test_the_choice_is_the_nearest_centre_of_its_codebook() -> None:
    fitted, points = quantizer(), latents()
    fit_codebooks(fitted, points, np.random.default_rng(0))
    whitened = (points - points.mean(0)) / points.std(0)
    chosen = quantise(fitted, points[None]).ids[0]  # (M, G)
    assert not torch.equal(chosen[:, 0], chosen[:, 1])
    for group in range(2):
        means = torch.stack([whitened[chosen[:, group] == entry].mean(0) for entry in range(ENTRIES)])
        nearest = torch.cdist(whitened, means).argmin(1)
        assert (nearest == chosen[:, group]).float().mean() > 0.8  # centres a round of k-means before these means


@torch.no_grad()
@pytest.mark.parametrize("count", [2_000, 10])
def test_same_seed_same_codebooks(count: int) -> None:
    first, again = quantizer(), quantizer()
    for each in (first, again):
        fit_codebooks(each, latents(count), np.random.default_rng(0))
    for name, weight in first.state_dict().items():
        assert weight.isfinite().all()
        assert torch.equal(weight, again.state_dict()[name])
