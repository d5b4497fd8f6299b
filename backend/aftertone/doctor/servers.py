"""Whether anything answers at the addresses at which Label Studio calls this backend, as seen from this machine."""

import base64
import json
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, unquote, urlsplit

import certifi

from aftertone.errors import DamagedRecordError
from aftertone.store.project import Store
from aftertone.store.records import Connection

SECONDS = 2.0  # an answer may take; Label Studio waits for one
MOST = 8  # addresses that are asked
MOST_BYTES = 100_000  # of an answer that are read


@dataclass(frozen=True, kw_only=True)
class Silent:
    """An address that doesn't answer as a backend of Label Studio does."""

    address: str  # without a password
    reason: str
    unknown: bool = False  # this machine doesn't know the host, which Label Studio may well do

    @property
    def sentence(self) -> str:
        """For people."""
        return f"Label Studio calls this backend at {self.address}; {self.reason}."


def silent_servers(store: Store) -> list[Silent]:
    """Of the addresses at which projects are connected, those that don't answer."""
    found = (ask(url) for url in sorted(set(_addresses(store)))[:MOST])
    return [one for one in found if one is not None]


def ask(url: str) -> Silent | None:
    """What is wrong with an address; None where a backend answers."""
    parts = urlsplit(url)
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    try:
        status, body = _health(parts)
    except (OSError, HTTPException, ValueError) as error:  # the last where it is no address at all
        unknown = _unknown(parts.hostname or "")
        why = "this machine doesn't know that host" if unknown else f"nothing answers there ({_reason(error)})"
        return Silent(address=address, reason=why, unknown=unknown)
    try:
        healthy = status == 200 and json.loads(body).get("status") == "UP"
    except (ValueError, AttributeError):
        healthy = False
    return None if healthy else Silent(address=address, reason="something else answers there")


def _health(parts: SplitResult) -> tuple[int, bytes]:
    """Status and body of /health below an address; asked directly, whatever proxy the environment names.

    By the standard library, since `aftertone status` asks nothing else over HTTP and httpx takes longer to import than
    all else that it needs.
    """
    if parts.scheme == "https":
        trusted = ssl.create_default_context(cafile=certifi.where())
        connection = HTTPSConnection(parts.hostname or "", parts.port, timeout=SECONDS, context=trusted)
    else:
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS)
    headers = {"Accept": "application/json"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    with closing(connection):
        connection.request("GET", f"{parts.path.rstrip('/')}/health", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(MOST_BYTES)


def _addresses(store: Store) -> Iterator[str]:
    for number in store.projects():
        try:
            connection = store.project(number).read(Connection)
        except DamagedRecordError:
            continue
        if connection is not None and connection.url:
            yield connection.url


def _reason(error: Exception) -> str:
    return f"no answer within {SECONDS:g} s" if isinstance(error, TimeoutError) else str(error).rstrip(".")


def _unknown(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return True
    return False


def dead(silent: Iterable[Silent], *, runs: bool) -> list[Silent]:
    """Those where nobody serves.

    Args:
        runs: whether a server of this MODEL_DIR gives signs of life, perhaps in another network than this process.
    """
    return [] if runs else [one for one in silent if not one.unknown]
