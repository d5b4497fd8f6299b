"""One audio file as it was recorded: its samples at its own rate, checked. Needs no torch."""

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from aftertone_model.data.channels import Channel, ChannelLevels, heard
from aftertone_model.data.clips import MIN_SECONDS
from aftertone_model.data.formats import Stream, open_stream
from aftertone_model.errors import AudioError

SILENCE = 10 ** (-80 / 20)  # peak of a clip that counts as silent: -80 dBFS


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A mono waveform at the rate of its file."""

    samples: NDArray[np.float32]  # (S,), finite, full scale at 1; float formats may go beyond
    rate: int  # Hz
    channels: int = 1  # of the file
    differ: bool = False  # whether its first two channels say different things; see `ChannelLevels.differ`


def read_recording(file: BinaryIO, *, max_seconds: float, channel: Channel = "mix") -> Recording:
    """Read an open audio file, which may be anything.

    The duration is checked in the header and again while the samples stream by, so that a file of hours is refused
    without being held in memory.

    Raises:
        AudioError: the file is empty, truncated, no audio, shorter than 0.1 s, longer than `max_seconds`, silent (peak
            below -80 dBFS), or holds samples that are no finite numbers. The message says which.
    """
    if not file.read(1):
        raise AudioError("The file is empty (0 bytes). Upload it again.")
    file.seek(0)
    stream = open_stream(file)
    if stream.header_seconds is not None and stream.header_seconds > max_seconds:
        raise _too_long(stream.header_seconds, max_seconds)
    levels = ChannelLevels()
    samples = _collect(stream, max_seconds, channel, levels)
    if samples.size == 0:
        raise AudioError("The file is truncated: it has an audio header but no samples. Upload it again.")
    if not np.isfinite(samples).all():
        raise AudioError(
            "The file holds samples that are not numbers (NaN or infinity). Export it again as 16-bit WAV."
        )
    if samples.size < MIN_SECONDS * stream.rate:
        raise AudioError(
            f"The clip lasts {samples.size / stream.rate:.3f} s; the shortest usable clip is {MIN_SECONDS} s. "
            "Upload a longer one."
        )
    if np.abs(samples).max() < SILENCE:
        where = "" if channel == "mix" or levels.channels < 2 else f" in its {channel} channel"
        raise AudioError(f"The clip is silent{where}: no sample is louder than -80 dBFS. Check the recording.")
    return Recording(samples=samples, rate=stream.rate, channels=levels.channels, differ=levels.differ(samples.size))


def _collect(stream: Stream, max_seconds: float, channel: Channel, levels: ChannelLevels) -> NDArray[np.float32]:
    kept: list[NDArray[np.float32]] = []
    count = 0
    for block in stream.blocks:
        levels.add(block, stream.rate)
        kept.append(heard(block, channel))
        count += len(block)
        if count > max_seconds * stream.rate:
            raise _too_long(count / stream.rate, max_seconds, at_least=True)
    return np.concatenate(kept) if kept else np.zeros(0, np.float32)


def _too_long(seconds: float, max_seconds: float, *, at_least: bool = False) -> AudioError:
    return AudioError(
        f"The clip lasts {'more than ' if at_least else ''}{_spoken(seconds)}; the limit is {_spoken(max_seconds)}. "
        "Cut it into utterances, or raise the limit."
    )


def _spoken(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{rest:g} s"
