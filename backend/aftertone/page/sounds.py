"""A pool's clips for the browser: as WAV, with ranges, and as a picture of their spectrogram."""

import re
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from aftertone.page.access import EMBEDDED_HERE_ALONE

SAMPLE_RATE = 16_000
WINDOW, HOP = 512, 160  # samples: 32 ms, every 10 ms
WIDEST = 600  # pixels of a spectrogram
DECIBELS = 70.0  # that a spectrogram shows
RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
FOR_A_DAY = "private, max-age=86400"  # a clip never changes: its id is the hash of its samples


def wav(samples: NDArray[np.int16]) -> bytes:
    """A WAV file of a clip (S,), 16 kHz, mono."""
    data = np.ascontiguousarray(samples, "<i2").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, SAMPLE_RATE,
                       2 * SAMPLE_RATE, 2, 16, b"data", len(data))  # fmt: skip
    return head + data


def answer(request: Request, clip: str, kind: str, content: bytes) -> Response:
    """The content, or the part of it that is asked for, or that the browser has it already."""
    headers = {
        **EMBEDDED_HERE_ALONE, "ETag": f'"{clip}"', "Cache-Control": FOR_A_DAY, "Accept-Ranges": "bytes",
    }  # fmt: skip
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    asked = RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or not any(asked.groups()):
        return Response(content, media_type=kind, headers=headers)
    first, last = asked.groups()
    start = int(first) if first else max(0, len(content) - int(last))
    end = min(int(last), len(content) - 1) if first and last else len(content) - 1
    if start > end:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
    return Response(content[start : end + 1], 206, media_type=kind, headers=headers)


def spectrogram(samples: NDArray[np.int16]) -> bytes:
    """A PNG of a clip (S,): time to the right, 0 to 8 kHz upwards, louder is darker."""
    wave = samples.astype(np.float32) / 32_768
    if len(wave) < WINDOW:
        wave = np.pad(wave, (0, WINDOW - len(wave)))
    starts = np.arange(0, len(wave) - WINDOW + 1, HOP)
    if len(starts) > WIDEST:
        starts = starts[np.linspace(0, len(starts) - 1, WIDEST).astype(int)]
    frames = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[starts] * np.hanning(WINDOW)
    loudness = 20 * np.log10(np.abs(np.fft.rfft(frames, axis=1)) + 1e-6).T[::-1]  # (F, T), high frequencies first
    loudness = loudness[: 2 * (len(loudness) // 2)].reshape(-1, 2, loudness.shape[1]).max(axis=1)
    shade = np.clip((loudness - loudness.max() + DECIBELS) / DECIBELS, 0, 1)
    return _png((255 - 235 * shade).astype(np.uint8))


def _png(grey: NDArray[np.uint8]) -> bytes:
    """An image (H, W) of 8-bit grey."""
    height, width = grey.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), grey], axis=1)  # each line begins with its filter: none

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts
