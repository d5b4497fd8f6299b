"""Pre-training's second loss: a linear reading of the transformer's output must give a teacher's embeddings.

Two readings: of the frames, each teacher embedding; of their mean over the clip, the mean and the deviation of the
teacher's embeddings over it, since a mean over time is what classifiers read.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

FLOOR = 0.05  # least deviation by which a target is divided, in units of the mean deviation: some hardly ever move


class Distillation(nn.Module):
    """The heads, and the scale on which each target counts the same."""

    mean: Tensor  # (E,)
    deviation: Tensor  # (E,)
    clip_mean: Tensor  # (2E,)
    clip_deviation: Tensor  # (2E,)

    def __init__(self, hidden_size: int, frames_per_target: int, examples: Sequence[NDArray[np.float16]]) -> None:
        """
        Args:
            hidden_size: D of the transformer.
            frames_per_target: transformer frames in the time of one embedding of the teacher.
            examples: (U_i, E) embeddings of some clips, which give the scale.
        """
        super().__init__()
        self._ratio = frames_per_target
        embeddings = [torch.from_numpy(np.array(example, np.float32)) for example in examples]
        every = torch.cat(embeddings)  # (U, E)
        self.register_buffer("mean", every.mean(0))
        self.register_buffer("deviation", _floored(every.std(0)))
        clips = torch.stack([_statistics((e - self.mean) / self.deviation) for e in embeddings])  # (N, 2E)
        self.register_buffer("clip_mean", clips.mean(0))
        self.register_buffer("clip_deviation", _floored(clips.std(0)))
        self.frame_head = nn.Linear(hidden_size, every.shape[1])
        self.clip_head = nn.Linear(hidden_size, 2 * every.shape[1])

    def forward(self, hidden: Tensor, lengths: Tensor, targets: Sequence[NDArray[np.float16]]) -> Tensor:
        """Mean squared error of both readings, in units of each target's variance: about 2 for one who knows nothing.

        Args:
            hidden: (B, T, D) output of the transformer.
            lengths: (B,) frames of each clip, on the CPU.
            targets: (U_i, E) the teacher's embeddings of the same stretches of audio.
        """
        frame_losses, means, statistics = [], [], []
        for clip, length, embeddings in zip(hidden, lengths.tolist(), targets, strict=True):
            count = min(length // self._ratio, len(embeddings))
            wanted = torch.from_numpy(np.array(embeddings[:count], np.float32)).to(hidden.device)
            wanted = (wanted - self.mean) / self.deviation  # (U, E)
            pooled = clip[: count * self._ratio].unflatten(0, (count, self._ratio)).mean(1)  # (U, D)
            frame_losses.append((self.frame_head(pooled).float() - wanted).square().mean(1))
            means.append(clip[:length].mean(0))
            statistics.append((_statistics(wanted) - self.clip_mean) / self.clip_deviation)
        clip_loss = (self.clip_head(torch.stack(means)).float() - torch.stack(statistics)).square().mean()
        return torch.cat(frame_losses).mean() + clip_loss


def _statistics(embeddings: Tensor) -> Tensor:
    """(2E,) mean and deviation over time of (U, E)."""
    return torch.cat([embeddings.mean(0), embeddings.std(0, correction=0)])


def _floored(deviations: Tensor) -> Tensor:
    return deviations.clamp_min(FLOOR * float(deviations.mean()) + 1e-6)
