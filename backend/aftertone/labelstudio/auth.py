"""The Authorization header of Label Studio's two kinds of token."""

import base64
import json
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import httpx

ACCESS_SECONDS = 300.0  # how long an access token lasts where it doesn't say so itself
RENEW_AT = 0.8  # of that time: a request that is under way for a minute still arrives with a valid one


class TokenAuth(httpx.Auth):
    """Signs requests; safe for several threads.

    A personal access token is a JWT that Label Studio doesn't take as it is: it is exchanged for an access token, anew
    before that expires and whenever it is refused. Any other key is a legacy token and is sent as it is.
    """

    def __init__(self, key: str, exchange: Callable[[str], str]) -> None:
        """Prepare to sign; nothing is sent yet.

        Args:
            key: a token of either kind.
            exchange: gives a new access token for a personal access token.
        """
        self._key, self._exchange = key, exchange
        self._lock = threading.Lock()
        self._personal = bool(_claims(key))
        self._header = "" if self._personal else f"Token {key}"
        self._renew_at = 0.0 if self._personal else float("inf")  # by the monotonic clock

    def header(self, *, refused: str | None = None) -> str:
        """A header that is valid now; `refused` is one that Label Studio didn't take, so that another is needed."""
        with self._lock:
            if self._personal and (self._header == refused or time.monotonic() >= self._renew_at):
                began = time.monotonic()
                access = self._exchange(self._key)
                claims = _claims(access)
                lasts = claims["exp"] - claims["iat"] if claims.keys() >= {"exp", "iat"} else ACCESS_SECONDS
                self._header, self._renew_at = f"Bearer {access}", began + RENEW_AT * lasts
            return self._header

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the request, and once more with a new access token when the first is refused."""
        request.headers["Authorization"] = sent = self.header()
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and self._personal:
            request.headers["Authorization"] = self.header(refused=sent)
            yield request


def expiry(token: str) -> float | None:
    """When a token ends, in epoch seconds, as it says itself; None where it doesn't."""
    ends = _claims(token).get("exp")
    return float(ends) if isinstance(ends, int | float) else None


def _claims(token: str) -> dict[str, Any]:
    """What a JWT says of itself, unverified; {} for anything else."""
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
