"""The tiny backbone: drawn under its seed, and with frames that a neighbour can be told from."""

import numpy as np
import torch

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.backbones.tiny import tiny_model


def test_the_seed_draws_every_weight_and_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (tiny_model(seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())
    for name in ("wav2vec2.feature_extractor.conv_layers.0.conv.weight", "quantizer.weight_proj.weight"):
        assert not torch.equal(first[name], other[name])


def test_one_frame_per_20_ms() -> None:
    noise = np.random.default_rng(0).normal(size=10 * 16_000).astype(np.float32)
    frames = load_backbone("tiny").encode(noise)
    assert abs(len(frames) - 500) < 5
    assert frames.shape[1] == 256


def test_neighbouring_frames_are_alike_and_distant_ones_are_not() -> None:
    """Of a sound whose spectrum drifts, as speech does."""
    rng = np.random.default_rng(0)
    samples = 6 * 16_000
    hertz = np.interp(np.arange(samples), np.linspace(0, samples, 25), rng.uniform(100, 4_000, 25))
    sound = np.sin(2 * np.pi * np.cumsum(hertz) / 16_000) + 0.1 * rng.normal(size=samples)
    frames = load_backbone("tiny").encode(sound.astype(np.float32)).astype(np.float64)  # (T, C)
    centred = frames - frames.mean(axis=0)

    def correlation(lag: int) -> float:
        return float((centred[lag:] * centred[:-lag]).sum() / (centred**2).sum())

    assert correlation(1) > 0.7
    assert correlation(100) < 0.3
