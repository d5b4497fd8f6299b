"""Decode one audio file to the samples that everything else works on: mono, 16 kHz, float32."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
import soundfile
import torch
from av.error import FFmpegError
from numpy.typing import NDArray
from torchaudio.functional import resample

from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.errors import AudioError

MIN_SECONDS = 0.1  # shorter clips hold fewer frames than a mean over time needs
SILENCE = 10 ** (-80 / 20)  # peak of a clip that counts as silent: -80 dBFS


@dataclass(frozen=True, kw_only=True)
class _Stream:
    """An opened file: what its header says, and its samples a block at a time, so that a long file is never loaded."""

    rate: int  # samples per second of one channel
    header_seconds: float | None  # duration by the header, where it names one
    blocks: Iterator[NDArray[np.float32]]  # mono blocks (S,), full scale at 1


def decode(source: Path | bytes, *, max_seconds: float = 60.0) -> NDArray[np.float32]:
    """Decode a file, or its bytes, to mono samples at 16 kHz.

    libsndfile reads what it can (WAV, FLAC, OGG, MP3, AIFF, ...), FFmpeg by way of PyAV the rest (M4A, WebM, WMA, ...).
    Channels are averaged. The duration is checked in the header and again while the samples stream by, so that a file
    of hours is refused without being held in memory.

    Args:
        source: a path, or the whole file as bytes.
        max_seconds: the longest clip taken, in seconds.

    Returns:
        (S,) float32 at 16 kHz, finite, full scale at 1; float formats may go beyond.

    Raises:
        AudioError: the file is missing, empty, truncated, no audio, shorter than 0.1 s, longer than `max_seconds`,
            silent (peak below -80 dBFS), or holds samples that are no finite numbers. The message says which.
    """
    with _open(source) as file:
        stream = _soundfile_stream(file) or _pyav_stream(file)
        if stream.header_seconds is not None and stream.header_seconds > max_seconds:
            raise _too_long(stream.header_seconds, max_seconds)
        samples = _collect(stream, max_seconds)
    if samples.size == 0:
        raise AudioError("The file is truncated: it has an audio header but no samples. Upload it again.")
    if not np.isfinite(samples).all():
        raise AudioError(
            "The file holds samples that are not numbers (NaN or infinity). Export it again as 16-bit WAV."
        )
    if samples.size < MIN_SECONDS * stream.rate:
        raise AudioError(
            f"The clip lasts {samples.size / stream.rate:.3f} s; the shortest usable clip is {MIN_SECONDS} s."
        )
    if np.abs(samples).max() < SILENCE:
        raise AudioError("The clip is silent: no sample is louder than -80 dBFS. Check the recording.")
    return _to_sample_rate(samples, stream.rate)


def _open(source: Path | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        size, file = len(source), io.BytesIO(source)
    else:
        try:
            size, file = source.stat().st_size, source.open("rb")
        except FileNotFoundError:
            raise AudioError("The file is missing. Restore it, or delete the task.") from None
        except OSError as error:
            raise AudioError(
                f"The file can't be read ({error.strerror}). Check that it is a file and its permissions."
            ) from error
    if size == 0:
        file.close()
        raise AudioError("The file is empty (0 bytes). Upload it again.")
    return file


def _soundfile_stream(file: BinaryIO) -> _Stream | None:
    """The stream as libsndfile reads it, or None where it doesn't know the format."""
    try:
        sound = soundfile.SoundFile(file)
    except (soundfile.LibsndfileError, TypeError):  # TypeError: a name ending in .raw makes it ask for a sample rate
        file.seek(0)
        return None

    def blocks() -> Iterator[NDArray[np.float32]]:
        try:
            while (block := sound.read(sound.samplerate, dtype="float32", always_2d=True)).size:  # (S, channels)
                yield _mono(block, axis=1)
        except soundfile.LibsndfileError:
            return  # cut off in the middle: what came before it plays in the annotators' browser too

    # A stream of unknown length announces the largest count there is: no more known than None.
    known = 0 < sound.frames < 2**60
    return _Stream(
        rate=sound.samplerate, header_seconds=sound.frames / sound.samplerate if known else None, blocks=blocks()
    )


def _pyav_stream(file: BinaryIO) -> _Stream:
    try:
        container = av.open(file, "r")
        audio = container.streams.audio[0]
        rate = audio.codec_context.sample_rate
    except (FFmpegError, IndexError, ValueError) as error:
        raise AudioError(
            "The file is not audio, or in a format that can't be decoded. Convert it to WAV or FLAC."
        ) from error

    def blocks() -> Iterator[NDArray[np.float32]]:
        to_float = av.AudioResampler(format="fltp")
        try:
            for decoded in container.decode(audio):
                for frame in to_float.resample(decoded):
                    yield _mono(frame.to_ndarray(), axis=0)  # (channels, S)
        except FFmpegError:
            return  # as above
        finally:
            container.close()

    seconds = container.duration / av.time_base if container.duration else None
    return _Stream(rate=rate, header_seconds=seconds, blocks=blocks())


def _mono(block: NDArray[Any], axis: int) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf: the samples are checked as a whole later
        return block.mean(axis=axis, dtype=np.float32)


def _collect(stream: _Stream, max_seconds: float) -> NDArray[np.float32]:
    kept: list[NDArray[np.float32]] = []
    count = 0
    for block in stream.blocks:
        kept.append(block)
        count += len(block)
        if count > max_seconds * stream.rate:
            raise _too_long(count / stream.rate, max_seconds, at_least=True)
    return np.concatenate(kept) if kept else np.zeros(0, np.float32)


def _to_sample_rate(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    if rate == SAMPLE_RATE:
        return samples
    # An odd rate such as 44,101 Hz has no small ratio to 16 kHz and would need a filter of gigabytes. The nearest small
    # ratio changes the speed by less than one part in 10,000; the usual rates are exact.
    ratio = Fraction(SAMPLE_RATE, rate).limit_denominator(1_000)
    return resample(torch.from_numpy(samples), ratio.denominator, ratio.numerator).numpy()


def _too_long(seconds: float, max_seconds: float, *, at_least: bool = False) -> AudioError:
    return AudioError(
        f"The clip lasts {'more than ' if at_least else ''}{_spoken(seconds)}; the limit is {_spoken(max_seconds)}. "
        "Cut it into utterances, or raise the limit."
    )


def _spoken(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{rest:g} s"
