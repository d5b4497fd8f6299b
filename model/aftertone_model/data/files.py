"""Writing so that a reader, or a restart after a kill or a power cut, sees old content or new, never half of it.

A file or folder gets its name once its content is on the disk, and the name is on the disk when the writer returns.
Where a folder replaces another, a kill between the two leaves neither. `is_scratch` knows what kills leave behind.
"""

import ctypes
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

Guard = Callable[[], AbstractContextManager[object]]
"""Entered for the moment in which a write takes effect; raising there prevents it."""


@contextmanager
def whole_file(path: Path, *, private: bool = False, sync: bool = True, guard: Guard = nullcontext) -> Iterator[Path]:
    """An empty file beside `path` to write to; it becomes `path` when the block ends well, or else disappears.

    Args:
        private: only the owner may read it; by default the umask says who may.
        sync: wait for the disk; without, a power cut soon after may cost the file or leave it damaged.
        guard: entered around the moment in which the file takes its place.
    """
    scratch = _beside(path)
    try:
        os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666))
        yield scratch
        if sync:
            _sync(scratch)
        with guard():
            if path.is_dir():
                set_aside(path)
            scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    if sync:
        _sync(path.parent)


@contextmanager
def whole_files(folder: Path) -> Iterator["Batch"]:
    """Many small files that get their names together, once the disk has them all: one by one would cost minutes.

    The block may go through `commit` any number of times; what was written since the last one gets its names at the
    end of the block, also where that is an error.

    Args:
        folder: holds the files before they have their names; on the disk that they belong on.
    """
    batch = Batch(_beside(folder / "batch"))
    try:
        yield batch
    finally:
        try:
            batch.commit()
        finally:
            remove(batch.folder)


class Batch:
    """Files that wait for their names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._waiting: dict[Path, Path] = {}  # where it is -> where it belongs
        folder.mkdir()

    @contextmanager
    def file(self, path: Path) -> Iterator[Path]:
        """Where to write what becomes `path`; an error in the block leaves nothing."""
        scratch = self.folder / f"{len(self._waiting)}"
        yield scratch
        self._waiting[scratch] = path

    def commit(self) -> None:
        """Give what was written its names."""
        if self._waiting:
            sync_file_system(self.folder)
        for scratch, path in self._waiting.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                set_aside(path)
            scratch.replace(path)
        self._waiting = {}


def write_text(path: Path, text: str, *, private: bool = False, guard: Guard = nullcontext) -> None:
    """Write `text`, whole or not at all; `private` and `guard` as for `whole_file`."""
    with whole_file(path, private=private, guard=guard) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, private: bool = False, guard: Guard = nullcontext) -> None:
    """Write `value` as JSON, whole or not at all; `private` and `guard` as for `whole_file`."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n", private=private, guard=guard)


def read_json(path: Path, default: Any = None) -> Any:
    """The JSON value in `path`, or `default` when there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default


@contextmanager
def whole_folder(path: Path, *, guard: Guard = nullcontext) -> Iterator[Path]:
    """A scratch folder that becomes `path` when the block ends well and disappears when it doesn't."""
    scratch = _beside(path)
    scratch.mkdir()
    try:
        yield scratch
        put_in_place(scratch, path, guard=guard)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def put_in_place(folder: Path, path: Path, *, guard: Guard = nullcontext) -> None:
    """Rename a folder that is complete to `path`, in place of what is there, once the disk has its content.

    Args:
        guard: entered around the moment in which the folder takes its place.
    """
    allowed = folder.stat().st_mode & 0o666  # as the umask said when it was made; safetensors asks nobody
    for inside in (*folder.rglob("*"), folder):
        if inside.is_file():
            inside.chmod(allowed)
        _sync(inside)
    _make(path.parent)
    with guard():
        remove(path)
        folder.replace(path)
    _sync(path.parent)


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to `<name>.corrupt`, in place of an earlier one; nothing where it is gone."""
    aside = path.with_name(f"{path.name}.corrupt")
    if path.exists():
        remove(aside)
        path.replace(aside)
    return aside


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there; a kill leaves a folder whole, or as scratch."""
    if path.is_dir() and not path.is_symlink():
        if not is_scratch(path.name):
            path = path.replace(_beside(path))
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_scratch(name: str) -> bool:
    """Whether a file or folder of this name is what a kill left of something being written or removed."""
    return re.fullmatch(r"\..+\.[0-9a-f]{8}", name) is not None


def sync_file_system(folder: Path) -> None:
    """Wait until the disk that holds `folder` has everything written to it so far."""
    if sys.platform != "linux":
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    """A name in `path`'s folder, which is made if need be, that nothing has yet."""
    _make(path.parent)
    return path.parent / f".{path.name}.{secrets.token_hex(4)}"


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _sync(folder.parent)
