"""What a demo remembers from one start to the next."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, Field, ValidationError

from aftertone.demo.accounts import Account
from aftertone.demo.errors import DemoError
from aftertone_model.data.files import write_text

EMAIL = "demo@example.com"


class State(BaseModel, frozen=True):
    """The content of state.json, which only its owner may read: it holds the accounts' passwords and tokens."""

    password: str = Field(repr=False)  # of the person who labels, chosen by chance before the account is made
    secret_key: str = Field("", repr=False)  # Label Studio signs tokens with it; "": one that it keeps itself
    person: Account | None = None  # that person's account, once Label Studio has it
    annotators: tuple[Account, ...] = ()  # those that the oracle labels with
    projects: dict[str, int] = {}  # corpus name -> project in Label Studio
    label_studio_port: int = 8080  # tried first, so that bookmarks stay good
    backend_port: int = 9090  # tried first, so that the connection in Label Studio stays good


class StateFile:
    """state.json, read once and written whole at each change."""

    def __init__(self, path: Path) -> None:
        """Read the file, or begin one.

        Raises:
            DemoError: the file isn't as a demo wrote it.
        """
        self._path = path
        # Alphanumeric: Label Studio's own keys are lost at a restart where they begin with `$`.
        self.state = State(password=secrets.token_urlsafe(9), secret_key=secrets.token_hex(32))
        try:
            if path.exists():
                self.state = State.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise DemoError(
                f"{path} is damaged ({first['msg']}), and with it the passwords and tokens of this demo's accounts. "
                f"Restore it from a backup, or remove the folder {path.parent} and start the demo anew."
            ) from None
        self.update()

    def update(self, **changes: object) -> State:
        """Replace the named fields, on disk too."""
        self.state = self.state.model_copy(update=changes)
        write_text(self._path, self.state.model_dump_json(indent=1), private=True)
        return self.state


@contextmanager
def only_demo(folder: Path) -> Iterator[None]:
    """Hold the folder for one demo at a time.

    Raises:
        DemoError: another demo has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / "lock").acquire(blocking=False)
    except Timeout:
        raise DemoError(f"A demo is already running in {folder}. Use that one, or end it with Ctrl-C first.") from None
    with lock:
        yield
