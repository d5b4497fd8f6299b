"""Whether anything answers at the addresses at which Label Studio calls this backend, as seen from this machine."""

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from aftertone.errors import DamagedRecordError
from aftertone.store.project import Store
from aftertone.store.records import Connection

SECONDS = 2.0  # an answer may take; Label Studio waits for one
MOST = 8  # addresses that are asked


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
        with httpx.Client(timeout=SECONDS, trust_env=False) as http:
            answer = http.get(f"{url.rstrip('/')}/health")
        healthy = answer.status_code == 200 and answer.json().get("status") == "UP"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        unknown = _unknown(parts.hostname or "")
        why = "this machine doesn't know that host" if unknown else f"nothing answers there ({_reason(error)})"
        return Silent(address=address, reason=why, unknown=unknown)
    except (ValueError, AttributeError):
        healthy = False
    return None if healthy else Silent(address=address, reason="something else answers there")


def _addresses(store: Store) -> Iterator[str]:
    for number in store.projects():
        try:
            connection = store.project(number).read(Connection)
        except DamagedRecordError:
            continue
        if connection is not None and connection.url:
            yield connection.url


def _reason(error: Exception) -> str:
    return f"no answer within {SECONDS:g} s" if isinstance(error, httpx.TimeoutException) else str(error).rstrip(".")


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
