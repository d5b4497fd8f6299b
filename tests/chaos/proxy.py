"""A TCP proxy whose connections can be cut, stalled and refused, and which notes the HTTP requests that pass."""

import asyncio
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

REQUEST = re.compile(rb"(GET|POST|PATCH|PUT|DELETE) (\S+) HTTP/1")
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
CHUNK = 65_536


class Network:
    """The event loop that all proxies run in."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something in the loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def end(self) -> None:
        """Stop passing anything on."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@dataclass(eq=False)
class Connection:
    """Two sockets and what was asked last through them."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    request: str = ""

    def abort(self) -> None:
        """End both with a reset."""
        for writer in (self.client, self.server):
            writer.transport.abort()


@dataclass
class Proxy:
    """Listens on `port` of 127.0.0.1 and passes everything on to `target` there."""

    name: str
    network: Network
    target: int
    port: int = 0
    requests: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=2000))  # (epoch seconds, "GET /x")
    answers: deque[tuple[float, str, int]] = field(default_factory=lambda: deque(maxlen=200))  # with HTTP status
    passed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.outage = ""  # what is wrong now; '' when all is well
        self.network.run(self._open())

    @property
    def in_flight(self) -> list[str]:
        """Requests under way."""
        return [connection.request for connection in list(self._connections) if connection.request]

    def cut(self) -> None:
        """Reset all connections."""
        self.network.run(self._cut())

    def stall(self) -> None:
        """Accept and pass nothing on until `mend`."""
        self.outage = "stall"
        self.network.run(self._stall())

    def refuse(self) -> None:
        """Reset all connections and refuse new ones until `mend`."""
        self.outage = "refuse"
        self.network.run(self._refuse())

    def mend(self) -> None:
        """All is well again."""
        self.network.run(self._mend())
        self.outage = ""

    def wait_for_request(self, pattern: str, seconds: float) -> bool:
        """Return as soon as a request comes by ("POST /api/..."); whether one did."""
        began, deadline = time.time(), time.monotonic() + seconds
        with self.passed:
            while (left := deadline - time.monotonic()) > 0:
                if any(at >= began and self.matches(pattern, request) for at, request in self.requests):
                    return True
                self.passed.wait(left)
        return False

    @staticmethod
    def matches(pattern: str, request: str) -> bool:
        """Whether a request is one of those that a pattern means."""
        return re.match(pattern, request) is not None

    async def _open(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        connection = Connection(writer, far_writer)
        self._connections.add(connection)
        asking = self._pump(reader, far_writer, partial(self._asked, connection))
        answering = self._pump(far_reader, writer, partial(self._answered, connection))
        try:
            await asyncio.gather(asking, answering, return_exceptions=True)
        finally:
            self._connections.discard(connection)
            for one in (writer, far_writer):
                one.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[bytes], None]
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                note(chunk)
                await self._flowing.wait()
                writer.write(chunk)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

    def _asked(self, connection: Connection, chunk: bytes) -> None:
        if found := REQUEST.match(chunk):
            connection.request = f"{found[1].decode()} {found[2].decode()}"
            with self.passed:
                self.requests.append((time.time(), connection.request))
                self.passed.notify_all()

    def _answered(self, connection: Connection, chunk: bytes) -> None:
        if (found := STATUS.match(chunk)) and connection.request:
            self.answers.append((time.time(), connection.request, int(found[1])))

    async def _cut(self) -> None:
        for connection in list(self._connections):
            connection.abort()

    async def _stall(self) -> None:
        self._flowing.clear()

    async def _refuse(self) -> None:
        self._server.close()
        await self._cut()

    async def _mend(self) -> None:
        self._flowing.set()
        if not self._server.is_serving():
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
