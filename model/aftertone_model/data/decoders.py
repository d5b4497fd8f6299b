"""Decoding in processes of their own, so that a file which crashes, hangs or swells its decoder costs that file."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from aftertone_model.data.channels import CHANNELS, Channel
from aftertone_model.data.decoding_protocol import HIGHEST_RATE, LOWEST_RATE, REPLY, REQUEST, seconds_allowed
from aftertone_model.errors import AudioError, DecoderLostError

PROCESSES = min(os.cpu_count() or 1, 4)
START_SECONDS = 60.0  # in which a process must be up and take its first file
PATIENCE = 4  # a file may take so many times its computing time, on a machine that is busy with other things
LONGEST = 1e6  # seconds; a limit on clips beyond it is none
LONGEST_REASON = 10_000  # bytes
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "PYTHONHOME", "TMPDIR")


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A decoded file."""

    samples: NDArray[np.float32]  # (S,) as `audio.decode` gives them
    channels: int = 1  # of the file
    differ: bool = False  # whether its channels say different things, as two speakers of a call do


class Decoders:
    """A few processes that decode files, each started when it is first needed; usable from any number of threads."""

    def __init__(self, processes: int = PROCESSES) -> None:
        # A process dies with the thread that started it, so each has a thread here, which lasts as long as this object.
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="decode")
        self._own = threading.local()
        self._open: set[_Decoder] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        self._threads.shutdown(cancel_futures=True)
        for decoder in list(self._open):
            decoder.end()
        self._open.clear()

    def decode(self, file: BinaryIO, *, max_seconds: float = 60.0) -> NDArray[np.float32]:
        """Decode an open file as `audio.decode` does, from its beginning; waits for a process that is free.

        Raises:
            AudioError: it can't be used, or its decoder crashed or went beyond a limit; the message says which.
        """
        return self.hear(file, max_seconds=max_seconds).samples

    def hear(self, file: BinaryIO, *, max_seconds: float = 60.0, channel: Channel = "mix") -> Heard:
        """The same of one channel, with what is known about the others.

        Raises:
            AudioError: as for `decode`.
        """
        return self._threads.submit(self._hear, file, min(max_seconds, LONGEST), channel).result()

    def _hear(self, file: BinaryIO, max_seconds: float, channel: Channel) -> Heard:
        from aftertone_model.data.audio import (
            at_sample_rate,
        )  # brings FFmpeg and libsndfile, which a look at a project never needs

        decoder: _Decoder | None = getattr(self._own, "decoder", None)
        if decoder is not None and not decoder.runs():
            self._end(decoder)
            decoder = None
        if decoder is None:
            decoder = self._own.decoder = _Decoder()
            self._open.add(decoder)
        try:
            found = decoder.decode(file, max_seconds, channel)
        except _Lost as lost:
            raise _reason(self._end(decoder), lost, max_seconds) from None
        return Heard(samples=at_sample_rate(found.samples, found.rate), channels=found.channels, differ=found.differ)

    def _end(self, decoder: "_Decoder") -> int:
        self._own.decoder = None
        self._open.discard(decoder)
        return decoder.end()


class _Answer(NamedTuple):
    samples: NDArray[np.float32]  # (S,) at the file's own rate
    rate: int  # Hz
    channels: int  # of the file
    differ: bool  # whether its channels say different things


class _Lost(Exception):
    """The process ended or didn't answer in time."""


class _Decoder:
    """One process."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "aftertone_model.data.decoding_process"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(os.environ),
            )
        self._ready_by = time.monotonic() + START_SECONDS

    def runs(self) -> bool:
        return self._process.poll() is None

    def end(self) -> int:
        """End the process. Returns its exit status, negative where a signal ended it before."""
        self._channel.close()  # which ends an idle one, and finds out whether a lost one ended by itself
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=0.5)
        self._process.kill()
        self._process.wait()
        return 0

    def decode(self, file: BinaryIO, max_seconds: float, channel: Channel) -> "_Answer":
        """What the process says about a file."""
        deadline = max(self._ready_by, time.monotonic()) + PATIENCE * seconds_allowed(max_seconds)
        file.seek(0)
        try:
            socket.send_fds(self._channel, [REQUEST.pack(max_seconds, CHANNELS.index(channel))], [file.fileno()])
            rate, size, channels, differ = REPLY.unpack(self._receive(REPLY.size, deadline))
            if rate == 0 and 0 < size <= LONGEST_REASON:
                raise AudioError(self._receive(size, deadline).decode(errors="replace"))
            if not LOWEST_RATE <= rate <= HIGHEST_RATE or size % 4 or not 0 < size <= 8 * rate * max_seconds:
                raise _Lost("answered nonsense")
            samples = np.frombuffer(self._receive(size, deadline), np.float32)
            return _Answer(samples, rate, channels, bool(differ))
        except TimeoutError:
            raise _Lost("took too long") from None
        except OSError:
            raise _Lost("ended") from None

    def _receive(self, size: int, deadline: float) -> bytearray:
        content = bytearray(size)
        view, got = memoryview(content), 0
        while got < size:
            self._channel.settimeout(max(deadline - time.monotonic(), 1e-3))
            read = self._channel.recv_into(view[got:])
            if not read:
                raise _Lost("ended")
            got += read
        return content


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What the process needs; not our secrets."""
    kept = {name: ours[name] for name in KEPT_VARIABLES if name in ours}
    path = os.pathsep.join(folder for folder in sys.path if folder)
    return {**kept, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _reason(status: int, lost: _Lost, max_seconds: float) -> AudioError:
    if status == -signal.SIGXCPU:
        return AudioError(
            f"The file takes more than {seconds_allowed(max_seconds)} s of computing to decode. Export it again as "
            "16-bit WAV."
        )
    if status < 0 and status != -signal.SIGKILL:
        name = signal.Signals(-status).name
        return AudioError(f"The file crashes its decoder ({name}). Export it again as 16-bit WAV.")
    return DecoderLostError(
        f"The process that decoded the file {lost} (status {status}). Either the file is harmful or the machine short "
        "of memory or time; it is tried again later. If this stays, export it again as 16-bit WAV."
    )
