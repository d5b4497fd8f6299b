"""Archives of a project's exports, as the page's button has them made: `exports/` and what became of each.

Whoever makes one, a process of its own, holds no lease, as for `requests.py`; it holds `exports/making.lock` instead.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import Field

from aftertone.errors import StoreError
from aftertone.store.clock import Moment, elapsed
from aftertone.store.folder import RecordFolder
from aftertone.store.records import Part, Record
from aftertone_model.data.files import remove

FOLDER, LOCK, MAKING = "exports", "making.lock", "making"
KEPT_SECONDS = 86_400.0  # for which an archive is kept
START_SECONDS = 60.0  # in which the process that makes one must be up

State = Literal["being made", "ready", "failed"]


class Export(Part):
    """One archive, or the attempt to make it."""

    round: int
    version: str  # of the round
    began: Moment
    ended: Moment = 0.0  # 0 until it has
    file: str = ""  # name in the folder; '' until it is there
    bytes: int = 0  # of the file
    error: str = ""  # why there is none, for people


class Exports(Record):
    """The latest of each format."""

    FILE = "exports.json"
    AFTER_DAMAGE = "Exports that the page lists are made again by its buttons."

    formats: dict[str, Export] = Field(default_factory=dict)


class ExportFolder:
    """A project's archives."""

    def __init__(self, store: RecordFolder) -> None:
        self._store = store
        self.folder = store.folder / FOLDER

    def begin(self, format: str, number: int, version: str, now: float) -> None:
        """Note that an export is about to be made.

        Raises:
            StoreError: one is being made.
        """

        def add(formats: dict[str, Export]) -> None:
            if any(self._state(one, now) == "being made" for one in formats.values()):
                raise StoreError("An export of this project is being made already. One is made at a time.")
            formats[format] = Export(round=number, version=version, began=now)

        self._change(add)

    @contextmanager
    def making(self) -> Iterator[Path]:
        """A folder to make an archive in, which is removed at the end; `held` is true meanwhile.

        Raises:
            StoreError: another process is making one, or the project is forgotten.
        """
        scratch = self.folder / MAKING
        try:
            self._check_kept()
            self.folder.mkdir(exist_ok=True)
            with FileLock(self.folder / LOCK, timeout=10, poll_interval=0.05):
                self._check_kept()
                remove(scratch)  # of one that was killed
                scratch.mkdir()
                try:
                    yield scratch
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
        except Timeout:
            raise StoreError("An export of this project is being made already. One is made at a time.") from None
        finally:
            if self._forgotten:
                self._leave_nothing()

    def ready(self, format: str, archive: Path, name: str, now: float, *, number: int, version: str) -> None:
        """Put a whole archive in place of the one before; its round may be another than what was asked for."""

        def done(formats: dict[str, Export]) -> None:
            before = formats[format]
            archive.replace(self.folder / name)
            size = (self.folder / name).stat().st_size
            what = {"round": number, "version": version, "file": name, "bytes": size, "ended": now}
            formats[format] = before.model_copy(update=what)

        self._change(done)
        kept = {one.file for one in self._store.get(Exports).formats.values()}
        for path in self.folder.glob("*.zip"):
            if path.name not in kept:
                remove(path)

    def failed(self, format: str, error: str, now: float) -> None:
        """Note why an archive wasn't made, unless the project is forgotten."""
        if self._forgotten:
            return

        def note(formats: dict[str, Export]) -> None:
            formats[format] = formats[format].model_copy(update={"ended": now, "error": error})

        self._change(note)

    def states(self, now: float) -> dict[str, tuple[State, Export]]:
        """What became of each format's latest; those whose archive has gone are left out."""
        found = {}
        for format, one in self._store.get(Exports).formats.items():
            state = self._state(one, now)
            if state != "ready" or (self.folder / one.file).is_file():
                found[format] = state, one
        return found

    def archive(self, name: str) -> Path | None:
        """An archive by its file's name; None where there is no such."""
        known = {one.file for one in self._store.get(Exports).formats.values() if one.file}
        path = self.folder / name
        return path if name in known and path.is_file() else None

    @property
    def held(self) -> bool:
        """Whether a process is making an archive."""
        if not self.folder.is_dir():
            return False
        try:
            with FileLock(self.folder / LOCK, timeout=0):
                return False
        except Timeout:
            return True

    @property
    def _forgotten(self) -> bool:
        """Whether the request to make an archive went, with all that was kept of the project."""
        return not (self._store.folder / Exports.FILE).is_file()

    def _check_kept(self) -> None:
        if self._forgotten:
            raise StoreError("The project was forgotten meanwhile.")

    def _leave_nothing(self) -> None:
        """Remove what making an archive put where the project was: locks make the folders that they lie in."""
        remove(self.folder)
        with suppress(OSError):
            self._store.folder.rmdir()

    def _state(self, one: Export, now: float) -> State:
        if one.ended:
            return "failed" if one.error else "ready"
        return "being made" if elapsed(one.began, now) < START_SECONDS or self.held else "failed"

    def _change(self, change: Callable[[dict[str, Export]], None]) -> None:
        """Change the record; whoever else does so at the same time waits."""
        with FileLock(self._store.folder / "exports.lock", timeout=5, poll_interval=0.01):
            formats = dict(self._store.get(Exports).formats)
            change(formats)
            self._store.save(Exports(formats=formats))
