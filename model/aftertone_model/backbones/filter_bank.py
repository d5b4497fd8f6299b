"""Band-pass filters, which the first layer of a backbone of ours is drawn as."""

import math

import torch
from torch import Tensor

from aftertone_model.data.clips import SAMPLE_RATE

LOWEST, HIGHEST = (2_595 * math.log10(1 + hertz / 700) for hertz in (60.0, 7_600.0))  # mel, centres of the filters


def band_passes(mel: Tensor, phase: Tensor, taps: int) -> Tensor:
    """Hann-windowed tones of norm 1: (filters, 1, taps).

    Args:
        mel: (filters,) centres on the mel scale.
        phase: (filters,) in radians.
        taps: samples per filter.
    """
    hertz = 700 * (10 ** (mel / 2_595) - 1)  # (filters,)
    time = torch.arange(taps) / SAMPLE_RATE  # (taps,)
    tones = torch.sin(2 * math.pi * hertz[:, None] * time + phase[:, None]) * torch.hann_window(taps)
    return (tones / tones.norm(dim=1, keepdim=True))[:, None]
