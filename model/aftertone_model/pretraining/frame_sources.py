"""Where pre-training takes CNN frames from: the pool's cache, or the waveform through a CNN that learns too."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.features import extract
from aftertone_model.backbones.precision import bf16_is_faster
from aftertone_model.data.batches import pad
from aftertone_model.data.clips import SAMPLE_RATE, Clip
from aftertone_model.runtime import Runtime

NOISE_DB = (5.0, 30.0)  # how far below the speech noise lies


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
    def read(
        self, stretches: Sequence[Stretch], device: torch.device, rng: np.random.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Padded frames (B, T, C) of the stretches, on the device, and their lengths (B,), on the CPU.

        Args:
            rng: draws noise that some stretches are heard in, where waveforms are at hand; without it there is none.
        """

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

    def read(
        self, stretches: Sequence[Stretch], device: torch.device, rng: np.random.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        del rng
        frames, lengths = pad([self.pool.frames(self._cnn, s.clip)[s.start : s.start + s.frames] for s in stretches])
        return frames.to(device, non_blocking=True), lengths


class LearnedFrames(FrameSource):
    """Of a CNN in training: computed at every step, with gradients."""

    def __init__(self, backbone: Backbone, runtime: Runtime, noise: float) -> None:
        """
        Args:
            noise: share of stretches that are heard in noise.
        """
        super().__init__(backbone, runtime)
        self._noise = noise

    def length(self, clip: Clip) -> int:
        return max(self._spare(clip), 0) // self.hop + 1

    def read(
        self, stretches: Sequence[Stretch], device: torch.device, rng: np.random.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        field = self.backbone.receptive_field
        waveforms = [self.backbone.normalise(self.pool.waveform(s.clip.file)) for s in stretches]
        cut = [
            waveform[s.start * self.hop : (s.start + s.frames - 1) * self.hop + field]
            for s, waveform in zip(stretches, waveforms, strict=True)
        ]
        if rng is not None:
            cut = [in_noise(waveform, rng) if rng.random() < self._noise else waveform for waveform in cut]
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


def in_noise(waveform: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The waveform (S,) in steady noise, 5 to 30 dB below it, coloured anywhere from white to brown, at its old level.

    What a recording's room and microphone add is of this kind, and differs between corpora.
    """
    size, level = len(waveform), float(waveform.std()) + 1e-7
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, size)
    noise *= level * 10 ** (-rng.uniform(*NOISE_DB) / 20) / (noise.std() + 1e-12)
    noisy = waveform + noise
    return (noisy * (level / (noisy.std() + 1e-12))).astype(np.float32)
