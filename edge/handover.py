"""A connection of the front becomes aiohttp's: its descriptor, and the bytes read from it but not answered."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from math import inf
from typing import cast
from weakref import WeakSet

from aiohttp import web

from tuike.edge.routes import BODY_TIMEOUT, SYNC_TIMEOUT

PRESSED = 1.0
"""Seconds without a first head after which a connection may have to make room."""
LONGEST = BODY_TIMEOUT + SYNC_TIMEOUT
"""Seconds within which every request has its answer."""

_log = logging.getLogger(__name__)


class _Arrival(asyncio.Protocol):
    """Stands before aiohttp's handler until the front's unread bytes are before those read since.

    They are passed on only when the transport is reading, since pausing one that has not begun to read has no
    effect in uvloop, and a handler given many pipelined requests pauses it."""

    def __init__(self, handler: web.RequestHandler, unread: bytes) -> None:
        self._handler = handler
        self._held = [unread]
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._held.append(data)

    def eof_received(self) -> None:
        # what came before the end counts, even if nobody waits for its answer (a beacon of a closing page)
        self.pass_on()
        self._handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._handler.connection_lost(exc)

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()

    def pass_on(self) -> None:
        """Gives the handler its bytes and the connection; nothing the second time."""
        if self._transport is None or self._transport.is_closing():
            return
        transport, self._transport = self._transport, None
        transport.set_protocol(self._handler)
        self._handler.data_received(b"".join(self._held))


class Handover:
    """Takes the front's connections to the aiohttp server."""

    def __init__(self, server: web.Server, begun: Mapping[asyncio.BaseTransport, float]) -> None:
        """`begun`: when the last request of each connection began that had any."""
        self._server = server
        self._begun = begun
        self._silent: dict[web.RequestHandler, float] = {}
        self._arriving: set[asyncio.Task[None]] = set()
        # transports on which the front has answered: they are closed after aiohttp's answer, so that a proxy's
        # pooled connections come back to the front
        self.last: WeakSet[asyncio.BaseTransport] = WeakSet()

    @property
    def connections(self) -> int:
        return len(self._server.connections) + len(self._arriving)

    def sweep(self, now: float, head: float, pressed: bool) -> None:
        """Once a second: cuts off who has sent no whole head in `head` seconds, for whom aiohttp waits without end.

        `pressed`: connections are at their limit; then also who was silent for `PRESSED` seconds, or can have nothing
        under way any more."""
        silent = {}
        for handler in self._server.connections:
            transport = handler.transport
            if transport is None:
                continue
            if (began := self._begun.get(transport)) is None:
                silent[handler] = since = self._silent.get(handler, now)
                limit = PRESSED if pressed else head
            else:
                since, limit = began, LONGEST if pressed else inf
            if now - since >= limit:
                transport.abort()
        self._silent = silent

    def take(self, descriptor: int, unread: bytes, answered: bool) -> None:
        """Owns `descriptor` from here on."""
        task = asyncio.get_running_loop().create_task(self._adopt(socket.socket(fileno=descriptor), unread, answered))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _adopt(self, connection: socket.socket, unread: bytes, answered: bool) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, arrival = await loop.connect_accepted_socket(
                lambda: _Arrival(self._server(), unread), connection
            )
        except OSError as error:  # the peer has gone in between
            _log.debug("a connection was lost on its way to aiohttp: %s", error)
            connection.close()
            return
        if answered:
            self.last.add(transport)
        arrival.pass_on()
