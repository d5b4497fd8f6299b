"""Where pre-training takes CNN frames from: the pool's cache, or the waveform through a CNN that learns too."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Wav2Vec2ForPreTraining

from aftertone_model.backbones.backbone import fingerprint, normalise, receptive_field
from aftertone_model.backbones.precision import bf16_is_faster
from aftertone_model.data.audio import SAMPLE_RATE
from aftertone_model.data.batches import pad
from aftertone_model.data.clips import Clip
from aftertone_model.data.pool import Pool
from aftertone_model.progress import Progress


@dataclass(frozen=True)
class Stretch:
    """Part of a clip, in CNN frames."""

    clip: Clip
    start: int
    frames: int


class Source(ABC):
    """CNN frames of one backbone on one pool."""

    def __init__(self, pool: Pool, backbone: Wav2Vec2ForPreTraining) -> None:
        self.pool, self.backbone = pool, backbone
        self.hop: int = backbone.config.inputs_to_logits_ratio  # samples per frame

    @abstractmethod
    def prepare(self, clips: Sequence[Clip], progress: Progress) -> None:
        """Compute once what can be."""

    @abstractmethod
    def length(self, clip: Clip) -> int:
        """Frames of a clip."""

    @abstractmethod
    def read(self, stretches: Sequence[Stretch], device: torch.device) -> tuple[Tensor, Tensor]:
        """Padded frames (B, T, C) of the stretches, on the device, and their lengths (B,), on the CPU."""

    def whole(self, clips: Sequence[Clip]) -> list[Stretch]:
        return [Stretch(clip, 0, self.length(clip)) for clip in clips]


class CachedFrames(Source):
    """Of a CNN that stands still."""

    def __init__(self, pool: Pool, backbone: Wav2Vec2ForPreTraining) -> None:
        super().__init__(pool, backbone)
        self._cnn = fingerprint(backbone)

    def prepare(self, clips: Sequence[Clip], progress: Progress) -> None:
        self.pool.extract(self.backbone, clips, progress)

    def length(self, clip: Clip) -> int:
        return len(self.pool.frames(self._cnn, clip.id))

    def read(self, stretches: Sequence[Stretch], device: torch.device) -> tuple[Tensor, Tensor]:
        frames, lengths = pad([self.pool.frames(self._cnn, s.clip.id)[s.start : s.start + s.frames] for s in stretches])
        return frames.to(device, non_blocking=True), lengths


class LearntFrames(Source):
    """Of a CNN in training: computed at every step, with gradients."""

    def prepare(self, clips: Sequence[Clip], progress: Progress) -> None:
        """Nothing can be kept."""

    def length(self, clip: Clip) -> int:
        return max(self._spare(clip), 0) // self.hop + 1

    def read(self, stretches: Sequence[Stretch], device: torch.device) -> tuple[Tensor, Tensor]:
        field = receptive_field(self.backbone.config)
        waveforms = [normalise(self.backbone, self.pool.waveform(s.clip.id)) for s in stretches]
        cut = [
            waveform[s.start * self.hop : (s.start + s.frames - 1) * self.hop + field]
            for s, waveform in zip(stretches, waveforms, strict=True)
        ]
        batch = np.zeros((len(cut), max(map(len, cut))), np.float32)
        for row, waveform in zip(batch, cut, strict=True):
            row[: len(waveform)] = waveform
        training = self.backbone.training and bf16_is_faster(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=training):
            frames = self.backbone.wav2vec2.feature_extractor(torch.from_numpy(batch).to(device))  # (B, C, T)
        return frames.transpose(1, 2).float(), torch.tensor([s.frames for s in stretches])

    def _spare(self, clip: Clip) -> int:
        """Samples beyond those that the first frame needs."""
        return round(clip.seconds * SAMPLE_RATE) - receptive_field(self.backbone.config)


def aligned(embeddings: NDArray[np.float16], stretch: Stretch, ratio: int) -> NDArray[np.float16]:
    """A teacher's embeddings (U, E) of a clip, cut to a stretch that starts at a multiple of `ratio` frames."""
    return embeddings[stretch.start // ratio : (stretch.start + stretch.frames) // ratio]
