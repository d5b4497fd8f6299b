"""Decode one audio file to the samples that everything else works on: mono, 16 kHz, float32."""

import io
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.data.recording import read_recording
from aftertone_model.errors import AudioError


def decode(source: Path | bytes, *, max_seconds: float = 60.0) -> NDArray[np.float32]:
    """Decode a file, or its bytes, to mono samples at 16 kHz, in this process.

    For files of one's own. Those of strangers are decoded by `Decoders`, in processes that they may take down.

    Args:
        source: a path, or the whole file as bytes.
        max_seconds: the longest clip taken, in seconds.

    Returns:
        (S,) float32 at 16 kHz, finite, full scale at 1; float formats may go beyond.

    Raises:
        AudioError: the file is missing, or can't be used (`read_recording`). The message says why.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else open_audio(source) as file:
        recording = read_recording(file, max_seconds=max_seconds)
    return at_sample_rate(recording.samples, recording.rate)


def open_audio(path: Path) -> BinaryIO:
    """Open a file for decoding.

    Raises:
        AudioError: it is missing or can't be read.
    """
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise AudioError("The file is missing. Restore it, or delete the task.") from None
    except OSError as error:
        raise AudioError(
            f"The file can't be read ({error.strerror}). Check that it is a file and its permissions."
        ) from error


def at_sample_rate(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Samples (S,) at another rate, in Hz, at 16 kHz."""
    if rate == SAMPLE_RATE:
        return samples
    import torch  # takes seconds, which files at 16 kHz don't need
    from torchaudio.functional import resample

    # An odd rate such as 44,101 Hz has no small ratio to 16 kHz and would need a filter of gigabytes. The nearest small
    # ratio changes the speed by less than one part in 10,000; the usual rates are exact.
    ratio = Fraction(SAMPLE_RATE, rate).limit_denominator(1_000)
    return resample(torch.from_numpy(samples), ratio.denominator, ratio.numerator).numpy()
