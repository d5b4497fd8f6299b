"""Decoding: what is read, at which quality, and with which reason the rest is refused."""

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aftertone_model.data.audio import SAMPLE_RATE, decode
from aftertone_model.errors import AudioError
from tests.recordings import encoded, muxed, tone


def m4a(samples: NDArray[np.float32], rate: int) -> bytes:
    return muxed(samples, rate, container="mp4", codec="aac")


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 44_101, 48_000, 192_000])
@pytest.mark.parametrize("channels", [1, 8])
def test_any_rate_and_channel_count_becomes_16_khz_mono(rate: int, channels: int) -> None:
    got = decode(encoded(tone(0.5, rate, channels), rate))
    assert got.dtype == np.float32
    assert got.shape == pytest.approx((8_000,), abs=1)
    middle = slice(500, 7_500)  # the resampling filter rings at the ends
    np.testing.assert_allclose(got[middle], tone(0.5)[: len(got), 0][middle], atol=2e-2)


def test_16_bit_mono_at_16_khz_passes_unchanged() -> None:
    samples = (np.random.default_rng(0).integers(-32_768, 32_768, 4_000) / 32_768).astype(np.float32)
    np.testing.assert_array_equal(decode(encoded(samples[:, None])), samples)


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_compressed_formats(kind: str) -> None:
    assert len(decode(encoded(tone(1.0), kind=kind))) == pytest.approx(16_000, abs=2_000)


def test_what_libsndfile_cannot_read_goes_through_ffmpeg() -> None:
    got = decode(m4a(tone(1.0, 44_100), 44_100))
    assert len(got) == pytest.approx(16_000, abs=2_500)
    assert np.abs(got[1_000:14_000]).max() == pytest.approx(0.5, abs=0.05)  # the codec rings at the ends


def test_a_path_reads_like_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "clip.raw"  # a misleading name must not matter
    file.write_bytes(encoded(tone(0.2)))
    np.testing.assert_array_equal(decode(file), decode(file.read_bytes()))


def test_a_file_cut_in_the_middle_keeps_its_first_part() -> None:
    whole = encoded(tone(2.0))
    assert 0.9 < len(decode(whole[: len(whole) // 2])) / SAMPLE_RATE < 1.1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"", "empty"),
        (encoded(tone(1.0))[:44], "truncated"),
        (b"<html>404 Not Found</html>" * 50, "not audio"),
        (encoded(tone(0.02)), "0.020 s"),
        (encoded(tone(3.0)), "lasts 3 s; the limit is 2 s"),
        (encoded(np.zeros((8_000, 1), np.float32)), "silent"),
        (encoded(np.where(tone(1.0) > 0.4, np.nan, tone(1.0)), subtype="FLOAT"), "NaN or infinity"),
        (encoded(np.where(tone(1.0, channels=2) > 0.4, [np.inf, -np.inf], 0.1), subtype="FLOAT"), "NaN or infinity"),
    ],
    ids=["empty", "truncated", "html", "20 ms", "too long", "silent", "nan", "inf"],
)
def test_bad_input_names_its_reason(source: bytes, reason: str) -> None:
    with pytest.raises(AudioError, match=reason):
        decode(source, max_seconds=2.0)


def test_a_missing_file_and_a_folder_name_their_reason(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="missing"):
        decode(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="can't be read"):
        decode(tmp_path)


def test_half_an_hour_of_8_channels_is_refused_by_its_header(tmp_path: Path) -> None:
    file = tmp_path / "long.wav"
    rate, channels, samples = 192_000, 8, 30 * 60 * 192_000 // 2  # 16-bit, just below the 4 GiB of a WAV
    size = samples * channels * 2
    header = b"RIFF" + struct.pack("<I", min(36 + size, 2**32 - 1)) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    with file.open("wb") as out:
        out.write(header + b"data" + struct.pack("<I", size))
        out.truncate(44 + size)  # sparse: takes no disk
    with pytest.raises(AudioError, match="lasts 15 min 0 s; the limit is 1 min 0 s"):
        decode(file)


def test_a_header_that_lies_about_the_length_is_caught_while_streaming() -> None:
    data = bytearray(m4a(tone(4.0), SAMPLE_RATE))
    for box in (b"mvhd", b"tkhd", b"mdhd"):  # durations of 0: the header says nothing
        at = data.find(box) + 4
        data[at + 16 if box != b"tkhd" else at + 20 : at + 20 if box != b"tkhd" else at + 24] = bytes(4)
    with pytest.raises(AudioError, match="limit is 2 s"):
        decode(bytes(data), max_seconds=2.0)
