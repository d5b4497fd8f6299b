"""Batches of clips of about the same length, bounded by the seconds of audio they hold."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

CPU_SECONDS = 32.0  # of audio at once: more leaves a processor's caches and pads more (docs/benchmarks/speed.md)
GPU_SECONDS = 120.0  # about 2 GB at wav2vec 2.0 large
JITTER = 0.1  # relative noise on lengths before sorting: other batches each epoch, little more padding


def length_batches(
    seconds: ArrayLike, budget: float, rng: np.random.Generator | None = None
) -> list[NDArray[np.int64]]:
    """Split clips into batches of similar length.

    Args:
        seconds: (N,) durations of the clips.
        budget: the most audio in a batch, padding included, in seconds; a longer clip is a batch of its own.
        rng: shuffles batches and what shares them, for training. Without it batches are sorted, the longest first, so
            that a batch too large for memory fails at once.

    Returns:
        Index arrays that together hold each of 0..N-1 once. Equal inputs and equal state of `rng`, equal batches.
    """
    durations = np.asarray(seconds, dtype=np.float64)  # (N,)
    keys = durations if rng is None else durations * (1 + rng.uniform(-JITTER, JITTER, len(durations)))
    batches: list[NDArray[np.int64]] = []
    batch: list[int] = []
    longest = 0.0
    for index in np.argsort(-keys, kind="stable"):
        longest = max(longest, durations[index])
        if batch and longest * (len(batch) + 1) > budget:
            batches.append(np.array(batch))
            batch, longest = [], durations[index]
        batch.append(int(index))
    if batch:
        batches.append(np.array(batch))
    if rng is not None:
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches


def scoring_seconds(device: torch.device) -> float:
    """How much audio a model without gradients computes at once."""
    return CPU_SECONDS if device.type == "cpu" else GPU_SECONDS


def pad(frames: Sequence[NDArray[np.float16]]) -> tuple[Tensor, Tensor]:
    """Stack clips' frames, each (T_i, C), padded with zeros: (B, T, C) float16, and their lengths (B,) int64."""
    lengths = torch.tensor([len(clip) for clip in frames])  # (B,)
    padded = torch.zeros(len(frames), int(lengths.max()), frames[0].shape[1], dtype=torch.float16)  # (B, T, C)
    for row, clip in zip(padded.numpy(), frames, strict=True):
        row[: len(clip)] = clip
    return padded, lengths
