"""Which channel of a file is heard, and when its channels say different things; files are made up."""

import io
from collections.abc import Iterator
from tempfile import TemporaryFile

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from aftertone_model.data.channels import CHANNELS, Channel
from aftertone_model.data.decoders import Decoders, Heard
from aftertone_model.data.recording import read_recording
from aftertone_model.errors import AudioError

RATE = 16_000
RNG = np.random.default_rng(0)


def speech(*turns: float) -> NDArray[np.float64]:
    """Four seconds of noise that rises and falls as speech does; `turns` say how loud each second is."""
    time = np.arange(len(turns) * RATE) / RATE
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time)
    return 0.2 * RNG.normal(size=len(time)) * syllables * np.repeat(turns, RATE)


def file_of(*channels: NDArray[np.float64], format: str = "WAV") -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, np.clip(np.stack(channels, axis=1), -1, 1), RATE, format=format)
    file.seek(0)
    return file


def hear(decoders: Decoders, content: io.BytesIO, channel: Channel) -> Heard:
    with TemporaryFile() as file:
        file.write(content.getvalue())
        return decoders.hear(file, channel=channel)


VOICE, OTHER, FAINT = speech(1, 1, 0, 0), speech(0, 0, 1, 1), 0.001 * RNG.normal(size=4 * RATE)
WHOLE = speech(1, 1, 1, 1)


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with Decoders(1) as shared:
        yield shared


@pytest.mark.parametrize("format", ["WAV", "FLAC"])
def test_each_channel_is_heard_as_it_was_recorded(decoders: Decoders, format: str) -> None:
    file = file_of(VOICE, OTHER, format=format)
    mix, left, right = (hear(decoders, file, channel) for channel in CHANNELS)
    assert np.allclose(left.samples, np.clip(VOICE, -1, 1), atol=1e-4)
    assert np.allclose(right.samples, np.clip(OTHER, -1, 1), atol=1e-4)
    assert np.allclose(mix.samples, (left.samples + right.samples) / 2, atol=1e-4)
    assert {(one.channels, one.differ) for one in (left, right, mix)} == {(2, True)}


@pytest.mark.parametrize("channel", CHANNELS)
def test_of_a_mono_file_there_is_one_thing_to_hear(decoders: Decoders, channel: Channel) -> None:
    found = hear(decoders, file_of(WHOLE), channel)
    assert np.array_equal(found.samples, hear(decoders, file_of(WHOLE), "mix").samples)
    assert (found.channels, found.differ) == (1, False)


DELAYED = np.roll(WHOLE, 20)  # 1.25 ms, as of a second microphone


@pytest.mark.parametrize(
    ("channels", "differ"),
    [
        ((VOICE + FAINT, OTHER + FAINT), True),  # a call: each speaker has a channel
        ((VOICE + 0.1 * OTHER, OTHER + 0.1 * VOICE), True),  # with crosstalk, 20 dB below
        ((VOICE + FAINT, 0.1 * OTHER + FAINT), True),  # one of them recorded much lower
        ((VOICE + FAINT, OTHER + FAINT, WHOLE), True),
        ((WHOLE, WHOLE), False),
        ((WHOLE, 0.2 * WHOLE), False),  # the same, lower
        ((WHOLE, 0.7 * DELAYED + FAINT), False),  # two microphones
        ((WHOLE, -WHOLE), False),
        ((WHOLE, 0 * WHOLE), False),  # nothing on the second channel: the mix has all there is
        ((VOICE, FAINT), False),  # or noise alone
        ((VOICE, 0.01 * OTHER + 0.02 * VOICE), False),  # or crosstalk
    ],
)
def test_channels_differ_where_each_is_the_louder_one_for_a_while(
    channels: tuple[NDArray[np.float64], ...], differ: bool
) -> None:
    assert read_recording(file_of(*channels), max_seconds=60, channel="left").differ is differ


def test_an_empty_channel_is_a_reason_that_names_it() -> None:
    with pytest.raises(AudioError, match="silent in its right channel"):
        read_recording(file_of(WHOLE, 0 * WHOLE), max_seconds=60, channel="right")
    assert read_recording(file_of(WHOLE, 0 * WHOLE), max_seconds=60, channel="left").samples.size == 4 * RATE


def test_samples_that_are_no_numbers_are_a_reason_and_no_warning() -> None:
    broken = io.BytesIO()
    soundfile.write(broken, np.full((RATE, 2), np.nan, np.float32), RATE, format="WAV", subtype="FLOAT")
    broken.seek(0)
    with pytest.raises(AudioError, match="not numbers"):
        read_recording(broken, max_seconds=60)
