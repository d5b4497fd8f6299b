"""Which formats are taken, and that nothing else is: no playlist, no video, no header that lies."""

import io
import struct
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest

from aftertone_model.data.audio import decode
from aftertone_model.data.formats import BLOCK_SAMPLES, FFMPEG_CODECS, FFMPEG_FORMATS, open_stream
from aftertone_model.data.manifest import AUDIO_SUFFIXES
from aftertone_model.data.recording import read_recording
from aftertone_model.errors import AudioError
from tests.fuzz.mutants import playlists
from tests.recordings import CONTAINERS, SAMPLE_RATE, encoded, tone

MUTANTS = [file for file in sorted((Path(__file__).parents[3] / "mutants").iterdir()) if file.suffix != ".md"]
PLAYLISTS = sorted(playlists(Path("canary"), 1))


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_its_sound(name: str) -> None:
    got = decode(CONTAINERS[name](tone(1.0), SAMPLE_RATE))
    assert len(got) == pytest.approx(SAMPLE_RATE, abs=1_500)  # some codecs pad
    spectrum = np.abs(np.fft.rfft(got))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(got) == pytest.approx(440, abs=2)


def test_a_folder_is_searched_for_nothing_that_cannot_be_decoded() -> None:
    assert {Path(name).suffix for name in CONTAINERS} >= AUDIO_SUFFIXES


def test_every_format_and_codec_that_is_allowed_exists() -> None:
    short = {name for formats in av.formats_available for name in formats.split(",")}
    assert set(FFMPEG_FORMATS) <= short
    optional = {"libopus"}
    assert set(FFMPEG_CODECS) - optional <= av.codecs_available


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_what_only_names_a_recording_elsewhere_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    canary = tmp_path / "canary.wav"
    canary.write_bytes(encoded(tone(1.0)))
    with pytest.raises(AudioError, match=r"not audio|truncated|lasts 0.0"):
        decode(playlists(canary, 1)[kind])


@pytest.mark.parametrize("file", MUTANTS, ids=lambda file: file.name)
def test_a_broken_file_gives_its_samples_or_a_reason(file: Path) -> None:
    with suppress(AudioError):
        assert np.isfinite(decode(file)).all()


@pytest.mark.parametrize("channels", [9, 32])
def test_many_channels_are_averaged_by_ffmpeg_too(channels: int) -> None:
    content = encoded(tone(0.5, channels=channels))
    at = content.index(b"data") + 8
    block = struct.pack("<HHIIHH", 0x6E, channels, SAMPLE_RATE, SAMPLE_RATE * channels * 2, channels * 2, 16)
    assert content[20:36] != block  # format 0x6E is one that neither library knows
    with pytest.raises(AudioError, match="not audio"):
        decode(content[:20] + block + content[36:])
    samples = np.frombuffer(content[at:], "<i2").reshape(-1, channels)
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout=f"{channels} channels")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=f"{channels} channels")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    np.testing.assert_allclose(decode(file.getvalue()), tone(0.5)[:, 0], atol=1e-4)


def wav(rate: int, channels: int) -> bytes:
    content = bytearray(encoded(tone(1.0)))
    content[22:32] = struct.pack("<HII", channels, rate, rate * channels * 2 % 2**32)
    content[32:34] = struct.pack("<H", channels * 2)
    return bytes(content)


@pytest.mark.parametrize("rate", [0, 1, 999, 800_000, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_rate_that_no_recording_has_is_refused_before_anything_is_read(rate: int) -> None:
    with pytest.raises(AudioError, match=r"sample rate|not audio|lasts"):
        decode(wav(rate, 1))


def test_a_thousand_channels_are_read_in_small_blocks() -> None:
    content = wav(192_000, 1_000) + bytes(8_000_000)
    content = content[:40] + struct.pack("<I", len(content) - 44) + content[44:]
    sizes = [block.shape for block in open_stream(io.BytesIO(content)).blocks]
    assert {channels for _, channels in sizes} == {1_000}
    assert sum(length for length, _ in sizes) > 4_000
    assert max(length for length, _ in sizes) <= BLOCK_SAMPLES // 1_000


def test_hours_behind_a_header_that_names_no_length_are_not_read_to_their_end() -> None:
    content = bytearray(encoded(np.zeros((90 * 8_000, 1), np.float32), 8_000, "FLAC"))
    assert len(content) < 20_000
    content[21] &= 0xF0  # total samples, 36 bits: 0 for unknown
    content[22:26] = bytes(4)
    with pytest.raises(AudioError, match="more than 3 s"):
        read_recording(io.BytesIO(content), max_seconds=2.0)


def test_the_pictures_of_a_video_are_no_audio() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode(None))
    with pytest.raises(AudioError, match="not audio"):
        decode(file.getvalue())
