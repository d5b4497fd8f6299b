"""What the logs of Aftertone's processes must not hold."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

TRACEBACK = re.compile(
    r"""
    ^(?:\d\d:\d\d:\d\d\ )?(?P<said>[^\n]*)\n     # what was logged with it
    Traceback\ \(most\ recent\ call\ last\):\n
    (?:[ ][^\n]*\n)+                             # the calls
    (?P<error>[^\n]*)$
    """,
    re.MULTILINE | re.VERBOSE,
)
BUG = re.compile(r"[^\n]{0,200}This is a bug[^\n]*")
TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")  # a JSON web token, as Label Studio's are


class Logs:
    """All logs in a folder, read on from where the last look ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def look(self, secrets: Iterable[str]) -> Iterator[str]:
        """Yields a sentence for everything new that is wrong."""
        for path in sorted(self._folder.glob("*.log")):
            text = path.read_bytes()[self._read.get(path, 0) :]
            text, newline, _ = text.rpartition(b"\n")
            self._read[path] = self._read.get(path, 0) + len(text) + len(newline)
            new = "\n" + text.decode(errors="replace")
            for found in TRACEBACK.finditer(new):
                if found["said"]:  # of a chain, the first one tells
                    yield f"{path.name} holds a traceback: {found['said']} ... {found['error']}"
            for found in BUG.finditer(new):
                yield f"{path.name} says: {found[0]}"
            if TOKEN.search(new) or any(secret in new for secret in secrets):
                yield f"{path.name} holds a secret"

    def tails(self, lines: int = 15) -> str:
        """The last lines of every log."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
            for path in sorted(self._folder.glob("*.log"))
        )
