"""A teacher for pre-training: pitch, voicing and energy, which emotion is heard by and spectra show only indirectly.

Pitch is by DIO of the WORLD vocoder (Morise et al. 2009), in the kept package pyworld.
"""

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.errors import TeacherError
from aftertone_model.pretraining.teachers.teacher import Lesson

HOP = 640  # samples per embedding
PERIOD = 10.0  # ms between two pitch values; four make an embedding
LOWEST, HIGHEST = 60.0, 600.0  # Hz that pitch is looked for in
DECIMATION = 4  # DIO looks at every fourth sample: seven times as fast, and pitch is below 600 Hz
QUIETEST = 1e-8  # energy added before the logarithm, of speech at unit variance


class Prosody:
    """(T, 5): log pitch, its slope, share of voiced time, log energy, its slope; one vector per 40 ms."""

    name, hop, fingerprint = "prosody", HOP, "teacher-prosody-1"
    lessons: Sequence[Lesson] = (Lesson(columns=slice(0, 5), layer=-2, weight=0.25),)

    @cached_property
    def _world(self) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pyworld still asks setuptools for its own version
                import pyworld
        except ImportError as error:
            raise TeacherError("The teacher prosody needs pyworld: `pip install aftertone[pretrain]`.") from error
        return pyworld

    def embed(self, waveform: NDArray[np.float32]) -> NDArray[np.float16]:
        """Between voiced stretches pitch goes on in a straight line; a clip without any has its pitch at 0."""
        count = max(len(waveform) // HOP, 1)
        samples = np.pad(waveform, (0, max(HOP - len(waveform), 0))).astype(np.float64)
        samples = (samples - samples.mean()) / (samples.std() + 1e-7)
        found, _ = self._world.dio(
            samples, SAMPLE_RATE, f0_floor=LOWEST, f0_ceil=HIGHEST, frame_period=PERIOD, speed=DECIMATION
        )
        voiced = found > 0
        times = np.arange(len(found))
        pitch = np.interp(times, times[voiced], np.log(found[voiced])) if voiced.any() else np.zeros(len(found))
        grid = np.minimum(np.arange(4 * count), len(found) - 1).reshape(count, 4)
        log_pitch = pitch[grid].mean(axis=1)
        energy = np.log(np.square(samples[: count * HOP]).reshape(count, HOP).mean(axis=1) + QUIETEST)
        columns = [log_pitch, _slope(log_pitch), voiced[grid].mean(axis=1), energy, _slope(energy)]
        return np.stack(columns, axis=1).astype(np.float16)


def _slope(contour: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.gradient(contour) if len(contour) > 1 else np.zeros_like(contour)
