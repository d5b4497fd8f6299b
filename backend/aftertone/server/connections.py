"""Connections: how long one may take, and how many there are. uvicorn bounds neither."""

import asyncio
import re
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from aftertone.server.app import answer

RECEIVING_SECONDS = 20.0  # for a request, headers and body, however it drips
ANSWERING_SECONDS = 120.0  # until the caller has read the answer; Label Studio waits 100 s
DOWNLOAD_SECONDS = 3_600.0  # the same of an archive, which may have a gigabyte
DOWNLOADS = re.compile(r"/projects/\d+/exports/")
MOST = 400  # open at once: with more, the one that has been silent for longest goes


class BoundedConnection(H11Protocol):
    """One connection, which is closed when it takes too long."""

    _receiving = False
    _since = 0.0  # by the loop's clock
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody connected."""
        super().connection_made(transport)
        self._begin(receiving=True)
        if len(self.connections) > MOST:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A part of a request, of several, or of none arrived."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """An answer was given; the next request may have arrived before."""
        self._begin(receiving=True)
        super().on_response_complete()
        self._look()

    def send_400_response(self, msg: str) -> None:
        """What arrived is no HTTP."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()  # in the middle of an answer to what came before
            return
        reply = answer(400, "BadRequest", f"{msg.rstrip('.')}: this is no HTTP that Aftertone understands.")
        headers: Any = [*reply.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers),
            h11.Data(data=bytes(reply.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        if self.cycle is not None and not self.cycle.response_complete:  # the body turned out to be nonsense
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _look(self) -> None:
        receiving = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if receiving != self._receiving:
            self._begin(receiving=receiving)

    def _make_room(self) -> None:
        others = [c for c in self.connections if isinstance(c, BoundedConnection) and not c.transport.is_closing()]
        if len(others) > MOST:
            silent = [c for c in others if c._receiving and c is not self]
            min(silent, key=lambda c: c._since, default=self).transport.abort()

    def _begin(self, *, receiving: bool) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        seconds = RECEIVING_SECONDS if receiving else self._answering_seconds()
        self._receiving, self._since = receiving, self.loop.time()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _answering_seconds(self) -> float:
        """For which the caller may read. Who isn't let through gets a short answer, so that nothing lasts longer."""
        path = self.scope["path"] if self.scope else ""
        return DOWNLOAD_SECONDS if DOWNLOADS.match(path) else ANSWERING_SECONDS
