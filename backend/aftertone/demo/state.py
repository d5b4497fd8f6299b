"""What a demo remembers from one start to the next."""

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from aftertone.demo.accounts import Account
from aftertone.demo.errors import DemoError
from aftertone_model.data.files import read_json, write_json

EMAIL = "demo@example.com"


@dataclass(frozen=True, kw_only=True)
class State:
    """The content of state.json, which only its owner may read: it holds the accounts' passwords and tokens."""

    password: str = field(repr=False)  # of the person who labels, chosen by chance before the account is made
    person: Account | None = None  # that person's account, once Label Studio has it
    annotators: tuple[Account, ...] = ()  # those that the oracle labels with
    projects: dict[str, int] = field(default_factory=dict)  # corpus name -> project in Label Studio
    label_studio_port: int = 8080  # tried first, so that bookmarks stay good
    backend_port: int = 9090  # tried first, so that the connection in Label Studio stays good


class StateFile:
    """state.json, read once and written whole at each change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        raw: dict[str, Any] = read_json(path) or {"password": secrets.token_urlsafe(9)}
        if raw.get("person"):
            raw["person"] = Account(**raw["person"])
        raw["annotators"] = tuple(Account(**account) for account in raw.get("annotators", ()))
        self.state = State(**raw)
        self._write()

    def update(self, **changes: object) -> State:
        """Replaces the named fields, on disk too."""
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self._write()
        return self.state

    def _write(self) -> None:
        write_json(self._path, asdict(self.state), private=True)


@contextmanager
def only_demo(folder: Path) -> Iterator[None]:
    """Holds the folder for one demo at a time. Raises DemoError when another has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(
                f"A demo is already running in {folder}. Use that one, or end it with Ctrl-C first."
            ) from None
        yield
