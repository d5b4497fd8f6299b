"""Projects that Label Studio was told can't be used, and why, for `aftertone status`: few, in one small file."""

import hashlib
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from aftertone.store.clock import elapsed
from aftertone.store.folder import RecordFolder
from aftertone.store.records import Refusal, Refusals

MOST = 20  # projects that Label Studio hasn't confirmed: all that strangers can have listed, the latest of them
LONGEST = 1000  # characters of a reason
FORGOTTEN_AFTER = 86_400.0  # seconds after which a refusal isn't listed any more
WRITTEN_AFTER = 600.0  # seconds after which the same refusal is written anew, so that it stays listed


class RefusedProjects:
    """Whose label config or options couldn't be used last, for all processes of one MODEL_DIR.

    What can't be written isn't listed: whoever was refused is told so either way.
    """

    def __init__(self, model_dir: Path) -> None:
        self._folder = RecordFolder(model_dir)
        self._lock = FileLock(model_dir / "refused.lock", timeout=5, poll_interval=0.01)

    def add(self, project: int, reason: str, label_config: str = "", *, known: bool) -> None:
        """Have a project listed.

        Args:
            reason: a message whose first line is the reason.
            label_config: that the project was refused with.
            known: whether Label Studio confirmed the project before.
        """
        line = "".join(letter if letter.isprintable() else "?" for letter in reason.split("\n", 1)[0])[:LONGEST]
        new = Refusal(at=time.time(), reason=line, label_config=_digest(label_config), known=known)
        old = self.current().get(project)
        if old is not None and old.model_copy(update={"at": new.at}) == new and not _older(old, WRITTEN_AFTER):
            return
        with suppress(OSError), self._lock:  # a lock that isn't given in time is such an error too
            rows = {**self.current(), project: new}
            strangers = sorted((row.at, number) for number, row in rows.items() if not row.known)
            dropped = {number for _, number in strangers[:-MOST]}
            self._folder.save(Refusals(projects={n: row for n, row in rows.items() if n not in dropped}))

    def withdraw(self, project: int, label_config: str | None = None) -> None:
        """The project can be used.

        Args:
            label_config: that this was seen with, by a look. Options that were refused with the very same one remain
                listed, since Label Studio kept those before them. None: Label Studio just named options that fit.
        """
        refused = self.current().get(project)
        if refused is not None and (label_config is None or refused.label_config != _digest(label_config)):
            with suppress(OSError), self._lock:
                self._folder.save(Refusals(projects={n: row for n, row in self.current().items() if n != project}))

    def current(self) -> dict[int, Refusal]:
        """The refusals that are listed, by project."""
        rows = self._folder.get(Refusals).projects
        return {project: row for project, row in rows.items() if not _older(row, FORGOTTEN_AFTER)}


def _older(row: Refusal, seconds: float) -> bool:
    return elapsed(row.at, time.time()) >= seconds


def _digest(label_config: str) -> str:
    return hashlib.sha256(label_config.encode(errors="replace")).hexdigest()[:16] if label_config else ""
