"""A training batch of clips through the transformer."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.precision import fastest
from aftertone_model.data.batches import pad
from aftertone_model.data.clips import SAMPLE_RATE, Clip
from aftertone_model.runtime import Runtime


def cropped_batch(
    encoder: Encoder, cnn: str, clips: Sequence[Clip], seconds: float, runtime: Runtime, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """CNN frames (B, T, C) of clips on the runtime's device, long ones cut at a random place, and lengths (B,).

    Args:
        cnn: name of the frames in the pool.
        seconds: the most of a clip.
    """
    most = max(1, int(seconds * SAMPLE_RATE / encoder.hop))
    cut = []
    for clip in clips:
        frames = runtime.pool.frames(cnn, clip)
        start = int(rng.integers(max(len(frames) - most, 0) + 1))
        cut.append(frames[start : start + most])
    padded, lengths = pad(cut)
    return padded.to(runtime.device), lengths


def contextualised(encoder: Encoder, frames: Tensor, lengths: Tensor) -> Tensor:
    """The transformer's output (B, T, D) in float32, computed in bfloat16 where that is faster and right."""
    with fastest(encoder.config, frames.device):
        hidden = encoder.contextualise(frames, lengths)
    return hidden.float()
