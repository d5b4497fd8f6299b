"""Pre-training's second loss: a linear projection of the transformer's output must regress a teacher's embeddings.

Two projections: of the frames, to each teacher embedding; of their mean over the clip, to the mean and the deviation of
the teacher's embeddings over it, since a mean over time is what classifiers read.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.config import PretrainingConfig
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.pretraining.objective import MaskedBatch, Objective, Term
from aftertone_model.pretraining.teacher import HOP, Teacher
from aftertone_model.runtime import Runtime

FLOOR = 0.05  # least deviation by which a target is divided, in units of the mean deviation: some hardly ever move


class Distillation(Objective):
    """The teacher's embeddings of all clips are computed and kept in the pool first."""

    judge: ClassVar = "distillation"

    def __init__(self, backbone: Backbone, config: PretrainingConfig, teacher: Teacher) -> None:
        super().__init__()
        self._teacher, self._weight, self._width = teacher, config.distil_weight, backbone.config.hidden_size
        self._ratio = teacher_ratio(backbone)
        self._pool: Pool | None = None
        self.regression: Regression | None = None

    def prepare(self, clips: Sequence[Clip], examples: Sequence[Clip], runtime: Runtime) -> None:
        """Embed all clips, and scale the targets by some."""
        self._pool = runtime.pool
        self._pool.keep(self._teacher.fingerprint, self._teacher.embed, clips, runtime.progress)
        self.regression = Regression(self._width, self._ratio, [self._embeddings(clip) for clip in examples])

    def forward(self, batch: MaskedBatch) -> dict[str, Term]:
        assert self.regression is not None, "prepare() comes first"
        targets = [
            self._embeddings(s.clip)[s.start // self._ratio : (s.start + s.frames) // self._ratio]
            for s in batch.stretches
        ]
        loss = self.regression(batch.hidden, batch.lengths, targets)
        return {"distillation": Term(loss, size=len(targets), weight=self._weight)}

    def _embeddings(self, clip: Clip) -> NDArray[np.float16]:
        assert self._pool is not None, "prepare() comes first"
        return self._pool.frames(self._teacher.fingerprint, clip)


def teacher_ratio(backbone: Backbone) -> int:
    """Frames of the backbone in the time of one embedding of the teacher."""
    return max(HOP // backbone.hop, 1)


class Regression(nn.Module):
    """The projections, and the scale on which each target counts the same."""

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
        """Mean squared error of both projections, in units of each target's variance: about 2 for a constant predictor.

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
