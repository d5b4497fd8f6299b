"""A teacher for pre-training: pitch, voicing and energy, which emotion is heard by and spectra show only indirectly.

Pitch is by SwiftF0 (Nieradzik 2025, arXiv 2508.18440), whose package ships its weights.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.errors import TeacherError
from aftertone_model.pretraining.teachers.teacher import Lesson

HOP = 640  # samples per embedding
LOWEST, HIGHEST = 60.0, 600.0  # Hz that pitch is looked for in
VOICED = 0.9  # confidence from which a frame has a pitch, as SwiftF0 sets it
QUIETEST = 1e-8  # energy added before the logarithm, of speech at unit variance


class Prosody:
    """(T, 5): log pitch, its slope, confidence that there is one, log energy, its slope; one vector per 40 ms."""

    name, hop, fingerprint = "prosody", HOP, "teacher-prosody-2"
    lessons: Sequence[Lesson] = (Lesson(columns=slice(0, 5), layer=-2, weight=0.25),)

    @cached_property
    def _tracker(self) -> Any:
        try:
            from swift_f0 import SwiftF0
        except ImportError as error:
            raise TeacherError("The teacher prosody needs swift-f0: `pip install aftertone[pretrain]`.") from error
        return SwiftF0(threads=1)

    def embed(self, waveform: NDArray[np.float32]) -> NDArray[np.float16]:
        """Between voiced stretches pitch goes on in a straight line; a clip without any has its log pitch at 0."""
        count = max(len(waveform) // HOP, 1)
        samples = np.pad(waveform, (0, max(HOP - len(waveform), 0)))
        samples = (samples - samples.mean()) / (samples.std() + 1e-7)
        found = self._tracker.detect(samples.astype(np.float32), SAMPLE_RATE, LOWEST, HIGHEST)
        middles = (np.arange(count) + 0.5) * HOP / SAMPLE_RATE  # seconds
        voiced = found.confidence >= VOICED
        log_pitch = np.zeros(count)
        if voiced.any():
            log_pitch = np.interp(middles, found.timestamps[voiced], np.log(found.pitch_hz[voiced]))
        confidence = np.interp(middles, found.timestamps, found.confidence)
        energy = np.log(np.square(samples[: count * HOP]).reshape(count, HOP).mean(axis=1) + QUIETEST)
        columns = [log_pitch, _slope(log_pitch), confidence, energy, _slope(energy)]
        return np.stack(columns, axis=1).astype(np.float16)


def _slope(contour: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.gradient(contour) if len(contour) > 1 else np.zeros_like(contour)
