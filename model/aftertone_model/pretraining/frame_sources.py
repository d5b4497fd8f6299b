"""Where pre-training takes CNN frames from: the pool's cache, or the waveform through a CNN that learns too."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.features import extract
from aftertone_model.backbones.precision import bf16_is_faster
from aftertone_model.data.batches import pad
from aftertone_model.data.clips import SAMPLE_RATE, Clip
from aftertone_model.runtime import Runtime


@dataclass(frozen=True)
class Stretch:
    """Part of a clip, in CNN frames."""

    clip: Clip
    start: int
    frames: int


class FrameSource(ABC):
    """CNN frames of one backbone on one pool."""

    def __init__(self, backbone: Backbone, runtime: Runtime) -> None:
        self.backbone, self.pool, self.hop = backbone, runtime.pool, backbone.hop

    @abstractmethod
    def length(self, clip: Clip) -> int:
        """Frames of a clip."""

    @abstractmethod
    def read(self, stretches: Sequence[Stretch], device: torch.device) -> tuple[Tensor, Tensor]:
        """Padded frames (B, T, C) of the stretches, on the device, and their lengths (B,), on the CPU."""

    def whole(self, clips: Sequence[Clip]) -> list[Stretch]:
        """Each clip from its first frame to its last."""
        return [Stretch(clip, 0, self.length(clip)) for clip in clips]


class CachedFrames(FrameSource):
    """Of a frozen CNN, computed once."""

    def __init__(self, backbone: Backbone, clips: Sequence[Clip], runtime: Runtime) -> None:
        super().__init__(backbone, runtime)
        self._cnn = extract(backbone, clips, runtime)

    def length(self, clip: Clip) -> int:
        return len(self.pool.frames(self._cnn, clip))

    def read(self, stretches: Sequence[Stretch], device: torch.device) -> tuple[Tensor, Tensor]:
        frames, lengths = pad([self.pool.frames(self._cnn, s.clip)[s.start : s.start + s.frames] for s in stretches])
        return frames.to(device, non_blocking=True), lengths


class LearnedFrames(FrameSource):
    """Of a CNN in training: computed at every step, with gradients."""

    def length(self, clip: Clip) -> int:
        return max(self._spare(clip), 0) // self.hop + 1

    def read(self, stretches: Sequence[Stretch], device: torch.device) -> tuple[Tensor, Tensor]:
        field = self.backbone.receptive_field
        waveforms = [self.backbone.normalise(self.pool.waveform(s.clip.file)) for s in stretches]
        cut = [
            waveform[s.start * self.hop : (s.start + s.frames - 1) * self.hop + field]
            for s, waveform in zip(stretches, waveforms, strict=True)
        ]
        batch = np.zeros((len(cut), max(map(len, cut))), np.float32)
        for row, waveform in zip(batch, cut, strict=True):
            row[: len(waveform)] = waveform
        training = self.backbone.model.training and bf16_is_faster(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=training):
            frames = self.backbone.body.feature_extractor(torch.from_numpy(batch).to(device))  # (B, C, T)
        return frames.transpose(1, 2).float(), torch.tensor([s.frames for s in stretches])

    def _spare(self, clip: Clip) -> int:
        """Samples beyond those that the first frame needs."""
        return round(clip.seconds * SAMPLE_RATE) - self.backbone.receptive_field
