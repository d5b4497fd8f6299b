"""Pre-training's second loss: linear projections of the transformer's layers must regress teachers' embeddings.

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
from aftertone_model.pretraining.teachers.teacher import Teacher
from aftertone_model.runtime import Runtime

MOST_TARGETS = 384  # numbers that a lesson asks for at each embedding
FLOOR = 0.05  # least deviation by which a target is divided, in units of the mean deviation: some hardly ever move


class Distillation(Objective):
    """All lessons of all teachers. Embeddings of all clips are computed and kept in the pool first."""

    judge: ClassVar = "distillation"

    def __init__(self, backbone: Backbone, config: PretrainingConfig, teachers: Sequence[Teacher]) -> None:
        super().__init__()
        self._teachers, self._weight, self._width = teachers, config.distil_weight, backbone.config.hidden_size
        self._hop = backbone.hop
        self._pool: Pool | None = None
        self.regressions: dict[str, list[Regression]] = {}  # by teacher, one per lesson

    def prepare(self, clips: Sequence[Clip], examples: Sequence[Clip], runtime: Runtime) -> None:
        """Embed all clips, and scale the targets by some."""
        self._pool = runtime.pool
        for teacher in self._teachers:
            self._pool.keep(teacher.fingerprint, teacher.embed, clips, runtime.progress)
            embeddings = [self._pool.frames(teacher.fingerprint, clip) for clip in examples]
            ratio = frames_per_embedding(self._hop, [teacher])
            self.regressions[teacher.name] = [
                Regression(self._width, ratio, [each[:, lesson.columns] for each in embeddings])
                for lesson in teacher.lessons
            ]
            self.add_module(teacher.name, nn.ModuleList(self.regressions[teacher.name]))

    def forward(self, batch: MaskedBatch) -> dict[str, Term]:
        """The mean over all lessons by their weights, and each teacher's own, which is only told."""
        total, weights = torch.zeros((), device=batch.hidden.device), 0.0
        terms: dict[str, Term] = {}
        for teacher in self._teachers:
            losses = self._losses(teacher, batch)
            shares = [lesson.weight for lesson in teacher.lessons]
            weighted = torch.stack([share * loss for share, loss in zip(shares, losses, strict=True)]).sum()
            total, weights = total + weighted, weights + sum(shares)
            terms[teacher.name] = Term(weighted / sum(shares), size=len(batch.stretches), weight=0.0)
        return terms | {self.judge: Term(total / weights, size=len(batch.stretches), weight=self._weight)}

    def _losses(self, teacher: Teacher, batch: MaskedBatch) -> list[Tensor]:
        """() of each lesson."""
        assert self._pool is not None, "prepare() comes first"
        ratio = frames_per_embedding(self._hop, [teacher])
        targets = [
            self._pool.frames(teacher.fingerprint, s.clip)[s.start // ratio : (s.start + s.frames) // ratio]
            for s in batch.stretches
        ]
        return [
            regression(
                batch.layers[max(lesson.layer, -len(batch.layers))].float(),
                batch.lengths,
                [target[:, lesson.columns] for target in targets],
            )
            for lesson, regression in zip(teacher.lessons, self.regressions[teacher.name], strict=True)
        ]


def frames_per_embedding(hop: int, teachers: Sequence[Teacher]) -> int:
    """Frames of `hop` samples in the time of one embedding of the slowest teacher; 1 without a teacher."""
    return max((teacher.hop // hop for teacher in teachers), default=1) or 1


class Regression(nn.Module):
    """The projections of one lesson, and the scale on which each of its targets counts the same.

    Embeddings wider than `MOST_TARGETS` are reduced to their principal components first: neighbouring activations of a
    CNN say much the same, and the rest costs time alone.
    """

    mean: Tensor  # (E,)
    projection: Tensor  # (E, P) from centred embeddings to targets, whose mean variance is 1
    clip_mean: Tensor  # (2P,)
    clip_deviation: Tensor  # (2P,)

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
        self.register_buffer("projection", _projection(every))
        clips = torch.stack([_statistics((e - self.mean) @ self.projection) for e in embeddings])  # (N, 2P)
        self.register_buffer("clip_mean", clips.mean(0))
        self.register_buffer("clip_deviation", _floored(clips.std(0)))
        self.frame_head = nn.Linear(hidden_size, self.projection.shape[1])
        self.clip_head = nn.Linear(hidden_size, 2 * self.projection.shape[1])

    def forward(self, hidden: Tensor, lengths: Tensor, targets: Sequence[NDArray[np.float16]]) -> Tensor:
        """Mean squared error of both projections, in units of each target's variance: about 2 for a constant predictor.

        Args:
            hidden: (B, T, D) output of the transformer.
            lengths: (B,) frames of each clip, on the CPU.
            targets: (U_i, E) the teacher's embeddings of the same stretches of audio.
        """
        counts = [min(length // self._ratio, len(e)) for length, e in zip(lengths.tolist(), targets, strict=True)]
        joined = np.concatenate([e[:count] for e, count in zip(targets, counts, strict=True)]).astype(np.float32)
        wanted = (torch.from_numpy(joined).to(hidden.device) - self.mean) @ self.projection  # (U, P), all clips' frames
        frames = torch.cat(
            [
                clip[: count * self._ratio].unflatten(0, (count, self._ratio)).mean(1)
                for clip, count in zip(hidden, counts, strict=True)
            ]
        )  # (U, D)
        frame_loss = (self.frame_head(frames).float() - wanted).square().mean()
        means = torch.stack([clip[:length].mean(0) for clip, length in zip(hidden, lengths.tolist(), strict=True)])
        statistics = torch.stack([_statistics(clip) for clip in wanted.split(counts)])  # (B, 2P)
        statistics = (statistics - self.clip_mean) / self.clip_deviation
        return frame_loss + (self.clip_head(means).float() - statistics).square().mean()


def _projection(embeddings: Tensor) -> Tensor:
    """(E, P) that divides each of few dimensions by its deviation, or takes many to their principal components."""
    deviation = _floored(embeddings.std(0))  # (E,)
    if len(deviation) <= MOST_TARGETS:
        return torch.diag(1 / deviation)
    scaled = (embeddings - embeddings.mean(0)) / deviation  # (U, E)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of the randomised decomposition
        _, singular, components = torch.pca_lowrank(scaled, MOST_TARGETS, center=False)  # (P,), (E, P)
    size = (singular.square().mean() / len(scaled)).sqrt()
    return components / deviation[:, None] / size


def _statistics(embeddings: Tensor) -> Tensor:
    """(2E,) mean and deviation over time of (U, E)."""
    return torch.cat([embeddings.mean(0), embeddings.std(0, correction=0)])


def _floored(deviations: Tensor) -> Tensor:
    return deviations.clamp_min(FLOOR * float(deviations.mean()) + 1e-6)
