"""Decoders: the same samples as in this process, and what a crash, a hang or a hostile file can't do."""

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from io import BufferedRandom
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from aftertone_model.data import decoders as module
from aftertone_model.data.audio import decode
from aftertone_model.data.decoders import Decoders
from aftertone_model.errors import AudioError, DecoderLostError
from tests.recordings import encoded, muxed, tone

TONE = encoded(tone(0.5, 44_100), 44_100)


def file_of(content: bytes) -> BufferedRandom:
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(content)
    return file


@pytest.fixture(scope="module")
def shared() -> Iterator[Decoders]:
    with Decoders(1) as decoders:
        yield decoders


@pytest.mark.parametrize("content", [TONE, muxed(tone(0.5), 16_000, container="mp4", codec="aac")])
def test_the_samples_are_those_of_this_process(shared: Decoders, content: bytes) -> None:
    with file_of(content) as file:
        np.testing.assert_array_equal(shared.decode(file), decode(content))


def test_a_bad_file_gives_its_reason_and_the_process_goes_on(shared: Decoders) -> None:
    for content, reason in ((b"", "empty"), (b"<html>", "not audio"), (encoded(tone(3.0)), "limit is 2 s")):
        with file_of(content) as file, pytest.raises(AudioError, match=reason):
            shared.decode(file, max_seconds=2.0)
    assert len(pids(shared)) == 1


def test_a_limit_without_end_is_one(shared: Decoders) -> None:
    with file_of(TONE) as file:
        assert len(shared.decode(file, max_seconds=float("inf"))) == 8_000


def test_it_gets_no_secret(shared: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "s3cret")
    with Decoders(1) as decoders, file_of(TONE) as file:
        decoders.decode(file)
        (pid,) = pids(decoders)
        assert b"s3cret" not in Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.parametrize(
    ("number", "reason", "lost"),
    [(signal.SIGSEGV, "crashes", False), (signal.SIGXCPU, "25 s of computing", False), (signal.SIGKILL, "tried", True)],
)
def test_the_end_of_a_process_costs_one_file(shared: Decoders, number: int, reason: str, lost: bool) -> None:
    def end(pid: int) -> None:
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)

    with file_of(TONE) as file, pytest.raises(AudioError, match=reason) as error:
        halted(shared, file, end)
    assert isinstance(error.value, DecoderLostError) is lost
    with file_of(TONE) as file:
        assert len(shared.decode(file)) == 8_000


def test_a_process_that_died_idle_costs_nothing(shared: Decoders) -> None:
    with file_of(TONE) as file:
        shared.decode(file)
        (pid,) = pids(shared)
        with_pidfd(pid, lambda: os.kill(pid, signal.SIGKILL))
        assert len(shared.decode(file)) == 8_000


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.0)
    with Decoders(1) as decoders, file_of(TONE) as file:
        decoders.decode(file)
        (pid,) = pids(decoders)
        monkeypatch.setattr(module, "PATIENCE", 0.01)
        with pytest.raises(DecoderLostError, match="took too long"):
            halted(decoders, file, lambda pid: None)
        assert not Path(f"/proc/{pid}").exists()


def test_several_files_at_once_are_not_mixed_up() -> None:
    with Decoders(2) as decoders, ThreadPoolExecutor(6) as threads, ExitStack() as files:
        opened = [files.enter_context(file_of(encoded(tone(0.2 + 0.01 * number)))) for number in range(12)]
        lengths = [len(waveform) for waveform in threads.map(decoders.decode, opened)]
    assert lengths == [round(16_000 * (0.2 + 0.01 * number)) for number in range(12)]


CONFINED = """
import socket, sys
from aftertone_model.data import decoding_process as process
assert "torch" not in sys.modules
process._confine()
process._limit_file(1.0, process._memory())
file = open(sys.executable, "rb")  # the one that may be given
def fails(action, *kinds):
    try: action()
    except kinds: return
    raise SystemExit(f"{action} did not fail")
fails(lambda: open(sys.executable, "rb"), OSError)
fails(socket.socket, OSError)
fails(lambda: bytearray(2**30), MemoryError)
file.close()
fails(lambda: open(sys.argv[1], "wb", buffering=0).write(b"x"), OSError)
"""


def test_it_can_open_nothing_write_nothing_and_not_swell(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", CONFINED, str(tmp_path / "file")], check=True)
    assert (tmp_path / "file").read_bytes() == b""


FORKED = """
import os, sys
from aftertone_model.data.decoders import Decoders
pid = os.fork()
if pid == 0:  # as RQ runs a job
    with Decoders(1) as decoders, open(sys.argv[1], "rb") as file:
        os._exit(len(decoders.decode(file)) != 8_000)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""

KILLED = """
import os, signal, sys
from aftertone_model.data.decoders import Decoders
decoders = Decoders(1)
with open(sys.argv[1], "rb") as file:
    decoders.decode(file)
(decoder,) = decoders._open
os.kill(decoder._process.pid, signal.SIGSTOP)  # it can't notice by itself
print(decoder._process.pid, flush=True)
sys.stdin.read()
"""


def test_it_works_in_a_forked_process(tmp_path: Path) -> None:
    (tmp_path / "tone.wav").write_bytes(TONE)
    subprocess.run([sys.executable, "-c", FORKED, str(tmp_path / "tone.wav")], check=True)


def test_it_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "tone.wav").write_bytes(TONE)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "tone.wav")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        with_pidfd(int(parent.stdout.readline()), parent.kill)


def pids(decoders: Decoders) -> list[int]:
    return [decoder._process.pid for decoder in decoders._open]


def halted(decoders: Decoders, file: BinaryIO, then: Callable[[int], None]) -> None:
    """Decode with a process that is stopped, and do something to it once it has been given the file."""
    file.seek(0)
    decoders.decode(file)
    (decoder,) = decoders._open
    os.kill(decoder._process.pid, signal.SIGSTOP)
    given = file.tell()
    with ThreadPoolExecutor(1) as thread:
        future: Future[Any] = thread.submit(decoders.decode, file)
        while file.tell() == given and not future.done():  # it goes back to the file's beginning first
            pass
        then(decoder._process.pid)
        future.result()


def with_pidfd(pid: int, action: Callable[[], None]) -> None:
    """Do something that ends a process, and wait until it has ended."""
    descriptor = os.pidfd_open(pid)
    try:
        action()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(60_000)
    finally:
        os.close(descriptor)
