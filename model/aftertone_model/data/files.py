"""Writing so that a reader, or a restart after a kill, sees the old content or the new, never half of it."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole_file(path: Path, *, private: bool = False) -> Iterator[Path]:
    """An empty file beside `path` to write to; it becomes `path` when the block ends well, or else disappears.

    Args:
        private: only the owner may read it; by default the umask says who may.
    """
    scratch = _beside(path)
    try:
        os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666))
        yield scratch
        _sync(scratch)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write `text`, whole or not at all; `private` as for `whole_file`."""
    with whole_file(path, private=private) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, private: bool = False) -> None:
    """Write `value` as JSON, whole or not at all; `private` as for `whole_file`."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n", private=private)


def read_json(path: Path, default: Any = None) -> Any:
    """The JSON value in `path`, or `default` when there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A scratch folder that becomes `path` when the block ends well and disappears when it doesn't."""
    scratch = _beside(path)
    scratch.mkdir()
    try:
        yield scratch
        for file in scratch.rglob("*"):
            if file.is_file():
                _sync(file)
        _remove(path)
        scratch.replace(path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to `<name>.corrupt`, in place of an earlier one; nothing where it is gone."""
    aside = path.with_name(f"{path.name}.corrupt")
    if path.exists():
        _remove(aside)
        path.replace(aside)
    return aside


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(file: Path) -> None:
    with file.open("rb") as content:
        os.fsync(content.fileno())


def _beside(path: Path) -> Path:
    """A name in `path`'s folder, which is made if need be, that nothing has yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.parent / f".{path.name}.{secrets.token_hex(4)}"
