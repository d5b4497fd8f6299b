"""What the logs of Aftertone's processes must not hold."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

TRACEBACK = "Traceback (most recent call last)"
BUG = "This is a bug"
TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")  # a JSON web token, as Label Studio's are
CONTEXT = 1_500  # characters around a find that are shown


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
            new = text.decode(errors="replace")
            for wrong in (TRACEBACK, BUG):
                if (at := new.find(wrong)) >= 0:
                    yield f"{path.name} holds {wrong!r}:\n{_indented(new[max(0, at - 200) : at + CONTEXT])}"
            if TOKEN.search(new) or any(secret in new for secret in secrets):
                yield f"{path.name} holds a secret"

    def tails(self, lines: int = 15) -> str:
        """The last lines of every log."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
            for path in sorted(self._folder.glob("*.log"))
        )


def _indented(text: str) -> str:
    return "\n".join(f"      {line}" for line in text.strip().splitlines())
