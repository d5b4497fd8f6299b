"""Which servers and workers run on a MODEL_DIR, and with which settings: a small file each, renewed while they live."""

import hashlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from filelock import FileLock

from aftertone.errors import DamagedRecordError, SettingsError
from aftertone.store.folder import read_record
from aftertone.store.lease import RENEW_SECONDS, SILENT_SECONDS, Holder, ended, this_process
from aftertone.store.records import Record
from aftertone_model.data.files import write_text

log = logging.getLogger(__name__)

Kind = Literal["server", "worker"]


class Running(Record):
    """A process that runs; its file's time is that of its last sign of life."""

    FILE = "running"  # a folder of such files
    AFTER_DAMAGE = "The process counts as ended."

    kind: Kind
    process: Holder
    settings: dict[str, str]  # by name in upper case, those that change what is learned
    secrets: dict[str, str]  # by name, a hash of the salt and the value
    salt: str

    @property
    def name(self) -> str:
        """For people."""
        return f"The {self.kind} that runs as process {self.process.pid} on {self.process.host}"

    def differences(self, settings: Mapping[str, str], hidden: Mapping[str, str]) -> str:
        """Which of the given settings differ from this process's, for people; '' where none does."""
        names = [name for name in sorted({*settings, *self.settings}) if settings.get(name) != self.settings.get(name)]
        said = [f"{name}={_shown(settings.get(name))} here, {_shown(self.settings.get(name))} there" for name in names]
        said += [name for name, value in hidden.items() if _hash(self.salt, value) != self.secrets.get(name)]
        return "; ".join(said)


class RunningProcesses:
    """Those of one MODEL_DIR."""

    def __init__(self, model_dir: Path) -> None:
        self._model_dir, self._folder = model_dir, model_dir / Running.FILE

    def alive(self) -> list[Running]:
        """Those that run, as far as can be known: who is silent for long counts as ended."""
        found = []
        for file in sorted(self._folder.glob("*.json")):
            try:
                silent = abs(time.time() - file.stat().st_mtime) > SILENT_SECONDS
                running = read_record(Running, file)
            except (OSError, DamagedRecordError):
                continue
            if not silent and not ended(running.process):
                found.append(running)
        return found

    @contextmanager
    def enter(self, kind: Kind, settings: Mapping[str, str], hidden: Mapping[str, str]) -> Iterator[None]:
        """Count as running while the block runs.

        Args:
            settings: those that change what is learned, by name.
            hidden: secrets among them, which are written as a salted hash.

        Raises:
            SettingsError: this is a worker, and one that runs has other settings.
        """
        process, salt = this_process(), secrets.token_hex(16)
        hashes = {name: _hash(salt, value) for name, value in hidden.items()}
        record = Running(kind=kind, process=process, settings=dict(settings), secrets=hashes, salt=salt)
        file, over = self._folder / f"{process.id}.json", threading.Event()
        self._model_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(self._model_dir / "running.lock", timeout=10):
            if kind == "worker":
                self._compare(settings, hidden)
            self._tidy()
            write_text(file, f"{record.model_dump_json(indent=1)}\n", private=True)
        renewal = threading.Thread(target=_renew, args=(file, over), name="sign of life", daemon=True)
        renewal.start()
        try:
            yield
        finally:
            over.set()
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def _compare(self, settings: Mapping[str, str], hidden: Mapping[str, str]) -> None:
        for other in self.alive():
            if other.kind == "worker" and (different := other.differences(settings, hidden)):
                raise SettingsError(
                    f"{other.name} has other settings: {different}. Workers that share a MODEL_DIR need the same ones: "
                    "correct them here, or stop the other worker first."
                )

    def _tidy(self) -> None:
        """Remove what ended processes left."""
        for file in self._folder.glob("*.json"):
            with suppress(OSError):
                if abs(time.time() - file.stat().st_mtime) > 100 * SILENT_SECONDS:
                    file.unlink()


def _renew(file: Path, over: threading.Event) -> None:
    while not over.wait(RENEW_SECONDS):
        try:
            os.utime(file)
        except OSError as error:  # of a disk that is away for a while
            log.info("No sign of life can be left: %s", error, extra={"action": "sign_not_left"})


def _hash(salt: str, value: str) -> str:
    return hashlib.sha256(f"{salt} {value}".encode()).hexdigest()


def _shown(value: str | None) -> str:
    return "unset" if value is None else value or "''"
