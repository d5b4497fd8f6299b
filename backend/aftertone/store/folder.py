"""A folder of records: whole or not at all when written, validated when read, set aside when damaged."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from aftertone.errors import DamagedRecordError, StoreError
from aftertone.store.records import Damage, Record, Sources
from aftertone_model.data.files import set_aside, write_text
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


class RecordFolder:
    """One project's records.

    A damaged file that can be made again is set aside as `<name>.corrupt` by whoever reads it first, and counts as
    absent from then on; any other raises DamagedRecordError, which names the file and what a person can do.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

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
        except FileNotFoundError:
            return None

    def get(self, kind: type[R]) -> R:
        """A record, or an empty one where there is none."""
        return self.read(kind) or kind()

    def save(self, record: Record) -> None:
        """Write a record in place of the one before."""
        write_record(self.folder, record)
        if record.OLD_FILE:
            (self.folder / record.OLD_FILE).unlink(missing_ok=True)

    def migrate(self, *kinds: type[Record]) -> None:
        """Write records that lie under an older name under today's."""
        for kind in kinds:
            if (self.folder / kind.OLD_FILE).is_file():
                self.save(self.get(kind))

    def remove(self, kind: type[Record]) -> None:
        """Remove a record, if it is there."""
        (self.folder / kind.FILE).unlink(missing_ok=True)

    def damage(self) -> tuple[str, ...]:
        """A sentence per damaged file that was set aside and still lies there."""
        return tuple(
            f"{file} was damaged and set aside as {file}.corrupt. {after} Remove the .corrupt file to end this warning."
            for file, after in self.get(Damage).files.items()
            if (self.folder / f"{file}.corrupt").exists()
        )

    def note_damage(self, error: DamagedFileError) -> None:
        """Put a file that was set aside among the project's warnings, and have a lost clip's audio fetched again."""
        log.warning("%s", error, extra={"action": "file_set_aside"})
        if error.clip is not None:
            sources = self.get(Sources).sources
            self.save(Sources(sources={url: row for url, row in sources.items() if row.clip != error.clip}))
        path = error.path.relative_to(self.folder) if error.path.is_relative_to(self.folder) else error.path
        self.save(Damage(files={**self.get(Damage).files, str(path): error.remedy}))

    def mended(self, path: Path, read: Callable[[], T], after: str) -> T | None:
        """What `read` finds at `path`; None where there is nothing, or it is damaged, which sets it aside."""
        try:
            return read()
        except FileNotFoundError:
            return None
        except (DamagedFileError, DamagedRecordError, *UNREADABLE):
            set_aside(path)
            self.note_damage(DamagedFileError(path, after))
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
            lost = isinstance(error, (FileNotFoundError, IsADirectoryError, DamagedRecordError))
            passing = isinstance(error, (MemoryError, OSError, StoreError)) or "memory" in str(error)
            if not folder.is_dir() or (passing and not lost):
                raise
            set_aside(folder)
            raise DamagedFileError(folder, f"{after} (It couldn't be loaded: {error})") from error


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


def write_record(folder: Path, record: Record) -> None:
    """Write a record into its file in `folder`."""
    write_text(folder / record.FILE, f"{record.model_dump_json(indent=1)}\n", private=record.PRIVATE)
