"""A machine's faults: each gets its sentence, nothing is lost, and the loop goes on by itself when they are over."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from aftertone.errors import LabelStudioError
from aftertone.faults import explain, unwritable
from aftertone.store.records import Problem
from tests.unit.aftertone.loops import MemoryLoop


def system(code: int, path: str | None = None) -> OSError:
    return OSError(code, os.strerror(code), path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (system(errno.ENOSPC), "is full, or out of inodes"),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), "is full"),
        (SafetensorError("Error while serializing: I/O error: Disk quota exceeded (os error 122)"), "quota"),
        (OSError("8192 requested and 0 written"), "is full"),
        (system(errno.EDQUOT), "quota"),
        (system(errno.EROFS), "read-only"),
        (system(errno.EACCES), "who may write"),
        (system(errno.EPERM), "who may write"),
        (system(errno.ENOTDIR, "/data/projects"), "Move it away, or set MODEL_DIR to a folder. (/data/projects)"),
        (system(errno.EIO), "The disk with MODEL_DIR fails"),
        (system(errno.EMFILE), "ulimit -n"),
        (system(errno.ENOMEM), "too little memory"),
        (system(errno.EXDEV), "A file can't be read or written"),
        (SafetensorError("Error while deserializing header"), "Weights can't be read"),
        (LabelStudioError("It sleeps."), "It sleeps."),
    ],
)
def test_what_may_happen_on_a_machine_is_explained(error: Exception, said: str) -> None:
    assert said in str(explain(error))


@pytest.mark.parametrize(
    ("error", "amount"),
    [
        (
            RuntimeError(
                "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.25 GiB of which "
                "7.00 MiB is free. Process 1 has 79.2 GiB memory in use. Of the allocated memory ..."
            ),
            "20.00 MiB",
        ),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
                "to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
            ),
            "4000000000000 bytes",
        ),
        (MemoryError("Unable to allocate 1.00 TiB for an array with shape (1099511627776,)"), "1.00 TiB"),
    ],
)
def test_out_of_memory_is_one_sentence_with_the_amount(error: Exception, amount: str) -> None:
    wanted = f"There is too little memory for another {amount}. Free some, or use a smaller BACKBONE or DEVICE=cpu."
    assert explain(error) == wanted


def test_what_nobody_expects_is_a_bug() -> None:
    assert explain(ZeroDivisionError()) is None
    assert explain(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


def test_a_full_device_is_told_in_numpys_words() -> None:
    # A stream, never a path: what replaces a file by renaming, as safetensors does, would replace the device.
    with open(os.open("/dev/full", os.O_WRONLY), "wb", buffering=0) as device, pytest.raises(OSError) as raised:  # noqa: PT011, PTH123
        np.save(device, np.zeros(4096))
    assert "is full" in str(explain(raised.value))


def test_a_folder_says_why_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert unwritable(tmp_path / "not" / "there yet") is None
    (tmp_path / "file").write_text("")
    assert f"set MODEL_DIR to a folder. ({tmp_path}/file)" in str(unwritable(tmp_path / "file"))
    assert "Move it away" in str(unwritable(tmp_path / "file" / "below"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "who may write" in str(unwritable(tmp_path))


@contextmanager
def file_size(limit: int) -> Iterator[None]:
    """A real limit of the system: whatever writes more into one file fails on its way, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [0, 9_000, 20_000])
def test_a_disk_that_takes_no_more_stops_the_loop_until_it_does_again(
    make_loop: Callable[..., MemoryLoop], limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    loop = make_loop(12)
    with file_size(limit):
        loop.advance()
    assert "larger than the system allows" in caplog.text
    assert "bug" not in caplog.text
    assert "Traceback" not in caplog.text
    assert not [path for path in loop.store.folder.rglob(".*") if path.is_file()]
    loop.store.remove(Problem)  # else it waits for a minute
    loop.advance()
    loop.check_queue()
    with file_size(limit):
        loop.label(6)
        loop.advance()
    loop.store.remove(Problem)
    loop.advance()
    loop.check_queue()
    assert (loop.last.number, loop.last.labels) == (1, 6)


def test_a_disk_that_turns_read_only_loses_nothing(
    make_loop: Callable[..., MemoryLoop], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop = make_loop(12)
    loop.advance()
    loop.label(6)
    before = {path: path.stat().st_mtime_ns for path in loop.store.folder.rglob("*") if path.is_file()}

    def refuse(path: object, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        patch.setattr(Path, "mkdir", refuse)
        loop.advance()
        assert "is read-only" in caplog.text
        assert "Traceback" not in caplog.text
        assert loop.store.current == 0
    assert {path: path.stat().st_mtime_ns for path in loop.store.folder.rglob("*") if path.is_file()} == before
    loop.advance()
    loop.check_queue()
    assert loop.last.labels == 6
