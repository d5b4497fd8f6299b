"""A folder of records: whole or not at all when written, validated when read, set aside when damaged."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from aftertone.errors import DamagedRecordError, StoreError
from aftertone.store.records import Connection, Damage, Record, Sources, Tasks
from aftertone_model.data.files import Guard, remove, set_aside, write_text
from aftertone_model.errors import DamagedFileError

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)
T = TypeVar("T")

UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    IsADirectoryError,
)  # by JSON of another form, or by a folder in its place


NOT_CONNECTED = (
    f"{Connection.FILE} is missing, and with it the project's extra params; the server's settings count meanwhile. "
    "Label Studio writes it anew when the model's connection is saved there (Settings > Model > Edit > Validate and "
    "Save)."
)


class RecordFolder:
    """One project's records.

    A damaged file that can be made again is set aside as `<name>.corrupt` by whoever reads it first, and counts as
    absent from then on; any other raises DamagedRecordError, which names the file and what a person can do.
    """

    def __init__(self, folder: Path, guard: Guard = nullcontext) -> None:
        """
        Args:
            guard: entered around every change on disk; raising there prevents it.
        """
        self.folder, self.guard = folder, guard

    def read(self, kind: type[R]) -> R | None:
        """A record; None where there is none, or where a damaged one was set aside.

        Raises:
            DamagedRecordError: it is damaged and can't be made again.
        """
        path = self.folder / kind.FILE
        if kind.OLD_FILE and not path.exists():
            path = self.folder / kind.OLD_FILE
        if kind.MADE_AGAIN:
            return self.mended(path, lambda: read_record(kind, path), kind.AFTER_DAMAGE)
        try:
            return read_record(kind, path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def written(self, file: str) -> int:
        """When a file or folder was last written, in ns; 0 where there is none."""
        try:
            return (self.folder / file).stat().st_mtime_ns
        except OSError:
            return 0

    def get(self, kind: type[R]) -> R:
        """A record, or an empty one where there is none."""
        return self.read(kind) or kind()

    def save(self, record: Record) -> None:
        """Write a record in place of the one before."""
        write_record(self.folder, record, self.guard)
        if record.OLD_FILE:
            with self.guard():
                remove(self.folder / record.OLD_FILE)

    def migrate(self, *kinds: type[Record]) -> None:
        """Write records that lie under an older name under today's."""
        for kind in kinds:
            if (self.folder / kind.OLD_FILE).is_file():
                self.save(self.get(kind))

    def remove(self, kind: type[Record]) -> None:
        """Remove a record, if it is there."""
        with self.guard():
            remove(self.folder / kind.FILE)

    def damage(self) -> tuple[str, ...]:
        """A sentence per damaged file that was set aside and still lies there, and if the connection is lost."""
        unconnected = not (self.folder / Connection.FILE).exists() and (self.folder / Tasks.FILE).exists()
        return (NOT_CONNECTED,) * unconnected + tuple(
            f"{file} was damaged and set aside as {file}.corrupt. {after} Remove the .corrupt file to end this warning."
            for file, after in self.get(Damage).files.items()
            if (self.folder / f"{file}.corrupt").exists()
        )

    def note_damage(self, error: DamagedFileError) -> None:
        """Put a file that was set aside among the project's warnings, and have lost clips' audio fetched again."""
        log.warning("%s", error, extra={"action": "file_set_aside"})
        if error.clips:
            kept = {path.stem for path in self.folder.glob("pool/clips/*/*.npy")} - set(error.clips)
            sources = self.get(Sources).sources
            self.save(
                Sources(sources={url: row for url, row in sources.items() if row.clip is None or row.clip in kept})
            )
        path = error.path.relative_to(self.folder) if error.path.is_relative_to(self.folder) else error.path
        self.save(Damage(files={**self.get(Damage).files, str(path): error.remedy}))

    def mended(self, path: Path, read: Callable[[], T], after: str) -> T | None:
        """What `read` finds at `path`; None where there is nothing, or it is damaged, which sets it aside."""
        try:
            return read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (DamagedFileError, DamagedRecordError, *UNREADABLE):
            try:
                with self.guard():
                    set_aside(path)
                self.note_damage(DamagedFileError(path, after))
            except OSError as error:  # of a full or read-only disk, which a reader can do without
                log.warning("%s can't be set aside: %s", path, error, extra={"action": "file_not_set_aside"})
            return None

    @contextmanager
    def loading(self, folder: Path, after: str) -> Iterator[None]:
        """Set a folder aside when weights or records can't be loaded from it.

        Raises:
            DamagedFileError: that happened; another try does without the folder.
        """
        try:
            yield
        except Exception as error:
            if not folder.is_dir() or _may_pass(error):
                raise
            with self.guard():
                set_aside(folder)
            raise DamagedFileError(folder, f"{after} (It couldn't be loaded: {error})") from error


def _may_pass(error: Exception) -> bool:
    """Whether the same files may well be loaded another time."""
    if isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError, DamagedRecordError)):
        return False
    if isinstance(error, (MemoryError, StoreError)) or "memory" in str(error):
        return True
    cause = error.__cause__  # transformers and Aftertone's own errors wrap what the disk said
    return (isinstance(error, OSError) and error.errno is not None) or (
        isinstance(cause, Exception) and _may_pass(cause)
    )


def read_record(kind: type[R], path: Path) -> R:
    """The record in a file.

    Raises:
        FileNotFoundError: there is none.
        DamagedRecordError: the file holds something else.
    """
    try:
        return kind.of_file(path.read_bytes())
    except UNREADABLE as error:
        raise DamagedRecordError(path, kind.AFTER_DAMAGE, set_aside=False) from error


def write_record(folder: Path, record: Record, guard: Guard = nullcontext) -> None:
    """Write a record into its file in `folder`; `guard` as for `whole_file`."""
    write_text(folder / record.FILE, f"{record.model_dump_json(indent=1)}\n", private=record.PRIVATE, guard=guard)
