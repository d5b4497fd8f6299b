"""The process that decodes strangers' files: whatever a file does to it, nothing else is harmed.

It is started by `Decoders`, holds no secret, and gets open files through a socket, its standard input. From its first
file on it can open no file and no socket, write nothing, and use only so much memory and computing time.
"""

import ctypes
import io
import math
import os
import resource
import signal
import socket
import sys
import wave
from contextlib import suppress
from pathlib import Path

from aftertone_model.data.channels import CHANNELS, Channel
from aftertone_model.data.decoding_protocol import HIGHEST_RATE, REPLY, REQUEST, seconds_allowed
from aftertone_model.data.formats import ffmpeg_stream
from aftertone_model.data.recording import read_recording
from aftertone_model.errors import AudioError

MEMORY = 2**28  # bytes beside the samples that one file may take
SAMPLE_BYTES = 12  # what one sample takes in all: as blocks, joined, and while it is checked
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Decode what the socket brings until its other end is closed."""
    _end_with_parent()
    channel = socket.socket(fileno=sys.stdin.fileno())
    _load_everything()
    _confine()
    idle_memory = _memory()
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, REQUEST.size, 1)
        if not request:
            return
        max_seconds, wanted = REQUEST.unpack(request)
        _limit_file(max_seconds, idle_memory)
        about, content = _outcome(descriptors[0], max_seconds, CHANNELS[wanted])
        channel.sendall(REPLY.pack(about[0], content.nbytes, *about[1:]))
        channel.sendall(content)


def _outcome(descriptor: int, max_seconds: float, channel: Channel) -> tuple[tuple[int, int, bool], memoryview]:
    """What the reply says about one file, its rate, channels and whether they differ, and the bytes of it."""
    try:
        with os.fdopen(descriptor, "rb") as file:
            found = read_recording(file, max_seconds=max_seconds, channel=channel)
        return (found.rate, found.channels, found.differ), found.samples.data.cast("B")
    except AudioError as error:
        reason = str(error)
    except MemoryError:
        reason = "The file takes too much memory to decode. Export it again as 16-bit WAV."
    except Exception as error:
        reason = f"The file can't be decoded ({type(error).__name__}). Export it again as 16-bit WAV."
    return (0, 0, False), memoryview(reason.encode())


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _load_everything() -> None:
    """Load what decoding needs while files can still be opened."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(b"\x00\x40" * 16_000)
    file.seek(0)
    read_recording(file, max_seconds=2.0)
    file.seek(0)
    for _ in ffmpeg_stream(file).blocks:
        pass
    with suppress(AudioError):
        read_recording(io.BytesIO(b"no audio"), max_seconds=2.0)


def _confine() -> None:
    free = os.dup(0)
    os.close(free)
    for kind, most in ((resource.RLIMIT_NOFILE, free + 1), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))


def _limit_file(max_seconds: float, idle_memory: int) -> None:
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _set_soft(resource.RLIMIT_CPU, math.ceil(used) + seconds_allowed(max_seconds))
    if idle_memory:
        _set_soft(resource.RLIMIT_AS, idle_memory + MEMORY + round(SAMPLE_BYTES * HIGHEST_RATE * max_seconds))


def _set_soft(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (min(limit, 2**62 if hard == resource.RLIM_INFINITY else hard), hard))


def _memory() -> int:
    """Bytes of address space in use; 0 where the system doesn't say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main()
