"""Logs: a line for people, or a JSON object for collectors. Neither ever holds a token or an audio address."""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from aftertone.redaction import HIDDEN, without_anything_secret

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
LEAST_SECRET = 6  # characters: a shorter password would blot out words that only look like it

_about: ContextVar[Mapping[str, object]] = ContextVar("about")


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """Put fields, such as the project, into every record that is logged in the block, whoever logs it."""
    token = _about.set({**_about.get({}), **fields})
    try:
        yield
    finally:
        _about.reset(token)


def note(**fields: object) -> None:
    """The same until the block of `about` ends; nothing outside of one."""
    if _about.get(None) is not None:
        _about.set({**_about.get({}), **fields})


class _Safe(logging.Formatter):
    """A formatter whose lines hold no secret, whatever a library put into a message or a traceback."""

    def __init__(self, secrets: Sequence[str] = (), fmt: str | None = None, datefmt: str | None = None) -> None:
        super().__init__(fmt, datefmt)
        self._secrets = tuple(secret for secret in secrets if len(secret) >= LEAST_SECRET)

    def safe(self, text: str) -> str:
        """Without the secrets that are known, and without whatever looks like one."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return without_anything_secret(text)


class TextFormatter(_Safe):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, with a traceback below it where there is one."""
        return self.safe(super().format(record))


class JsonFormatter(_Safe):
    """One JSON object per line: time, level, message, and whatever `extra` and `about` gave."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get({}),
            **{key: value for key, value in vars(record).items() if key not in STANDARD},
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        safe = {key: value if isinstance(value, int | float) else self.safe(str(value)) for key, value in entry.items()}
        return json.dumps(safe, ensure_ascii=False)


def configure_logging(style: Literal["text", "json"], secrets: Sequence[str] = ()) -> None:
    """Send our own records of level INFO and other libraries' warnings to standard error.

    Args:
        secrets: that no line may show.
    """
    handler = logging.StreamHandler()
    text = TextFormatter(secrets, fmt="%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    handler.setFormatter(JsonFormatter(secrets) if style == "json" else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for room in ("aftertone", "aftertone_model"):
        logging.getLogger(room).setLevel(logging.INFO)
