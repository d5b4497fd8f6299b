"""Reading the body of a request: bounded alone, bounded together with all others, and validated."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from aftertone.server.errors import BodyTooLargeError, BusyError, MalformedRequestError
from aftertone.server.requests import explain

B = TypeVar("B", bound=BaseModel)

LARGE = 1_000_000  # bytes from which on bodies are handled one after the other: parsed they are ten times as large
TOGETHER = 64_000_000  # bytes of all bodies that are held at once
MOST_NESTS, MOST_VALUES = 500_000, 2_000_000  # brackets and commas: a body of 20 MB that is nothing else takes 1 GB


class Bodies:
    """The bodies of all requests of one process."""

    def __init__(self) -> None:
        self._held = 0  # bytes
        self._one_large = asyncio.Semaphore(1)

    @asynccontextmanager
    async def read(self, request: Request, kind: type[B], *, limit: int) -> AsyncIterator[B]:
        """The request's body; its memory counts as held until the block ends.

        Args:
            limit: bytes that it may have.

        Raises:
            BodyTooLargeError: it has more.
            BusyError: all bodies together are too large.
            MalformedRequestError: it isn't JSON that fits.
        """
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and (len(declared) > 12 or int(declared) > limit):
            raise _too_large(limit)
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                self._held += len(chunk)
                if len(body) > limit:
                    raise _too_large(limit)
                if self._held > TOGETHER:
                    raise BusyError("Too many large requests arrive at once. Try again in a moment.")
            async with self._one_large if len(body) > LARGE else nullcontext():
                yield await run_in_threadpool(_validate, kind, body)
        finally:
            self._held -= len(body)


def _validate(kind: type[B], body: bytearray) -> B:
    if body.count(b"{") + body.count(b"[") > MOST_NESTS or body.count(b",") > MOST_VALUES:
        raise BodyTooLargeError("The body holds more objects and values than a request of Label Studio does.")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise MalformedRequestError(explain(error)) from None


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The body is larger than the {limit // 1_000_000} MB that this route takes.")
