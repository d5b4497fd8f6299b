"""A deadline for a whole download: httpx itself only limits the time between two bytes, which a drip never exceeds."""

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

LOWEST_RATE = 10_000  # bytes per second that a download must keep up once the first time-out is over
LONGEST = 20  # times that time-out a download may last, however large and fast


class Deadlines:
    """Ends what an httpx client does in a thread once it takes too long; each thread has a deadline of its own."""

    def __init__(self, timeout: float) -> None:
        """
        Args:
            timeout: seconds until the average rate must be above LOWEST_RATE.
        """
        self._timeout = timeout
        self._now = threading.local()

    def watch(self, client: httpx.Client) -> None:
        """Have a client keep the deadlines, with and without a proxy."""
        for transport in (client._transport, *client._mounts.values()):
            if isinstance(transport, httpx.HTTPTransport):
                # httpx has no parameter for it, although its connection pools do.
                transport._pool._network_backend = _Backend(transport._pool._network_backend, self)

    @contextmanager
    def one(self) -> Iterator[None]:
        """A download by this thread, with its redirects."""
        self._now.began, self._now.received = time.monotonic(), 0
        try:
            yield
        finally:
            del self._now.began

    def left(self) -> float:
        """Seconds left for this thread's download, not above 0 when it is to end."""
        if not hasattr(self._now, "began"):
            return self._timeout
        allowed = min(self._timeout + self._now.received / LOWEST_RATE, self._timeout * LONGEST)
        return self._now.began + allowed - time.monotonic()

    def received(self, count: int) -> None:
        """Count bytes that arrived for this thread's download."""
        if hasattr(self._now, "began"):
            self._now.received += count


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadlines: Deadlines) -> None:
        self._stream, self._deadlines = stream, deadlines

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        content = self._stream.read(max_bytes, _shorter(timeout, self._deadlines, httpcore.ReadTimeout))
        self._deadlines.received(len(content))
        return content

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _shorter(timeout, self._deadlines, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = _shorter(timeout, self._deadlines, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadlines)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend, deadlines: Deadlines) -> None:
        self._backend, self._deadlines = backend, deadlines

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        timeout = _shorter(timeout, self._deadlines, httpcore.ConnectTimeout)
        stream = self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream, self._deadlines)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


def _shorter(timeout: float | None, deadlines: Deadlines, error: type[Exception]) -> float:
    left = deadlines.left()
    if left <= 0:
        raise error("The download takes too long as a whole.")
    return left if timeout is None else min(timeout, left)
