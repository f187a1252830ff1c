"""One worker's service: the front, aiohttp behind it, their timers and their drain."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import http, web
from aiohttp.abc import AbstractAccessLogger

from tuike._core import Edge
from tuike.clock import wall
from tuike.data import Data
from tuike.edge.handover import Handover
from tuike.edge.routes import MAX_LINE, Clock, Routes, prepare
from tuike.journal_http import JournalRoutes

TICK = 0.05
"""Seconds between two signs of life, promises and looks at the registry."""
SWEEP = 1.0
"""Seconds between two looks for connections that have waited too long."""
BACKLOG = 4096
"""Connections that may wait in the listening socket (the kernel's `somaxconn` bounds it)."""
DRAIN_GRACE = 1.0
"""Seconds in which a draining worker still answers on open connections, with `Connection: close`."""
DRAIN_LIMIT = 20.0
"""Seconds after which a draining worker closes what is left."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a connection may do. Times are in seconds."""

    connections: int = 16_384
    head: float = 10.0
    idle: float = 75.0
    stalled: float = 30.0
    linger: float = 2.0


class Service:
    """Serves one listening socket; with `front` off by aiohttp alone, which answers the same."""

    def __init__(
        self,
        edge: Edge,
        listener: socket.socket,
        *,
        front: bool = True,
        limits: Limits | None = None,
        clock: Clock = wall,
        own_routes: Iterable[web.AbstractRouteDef] = (),
        journal: Data | None = None,
    ) -> None:
        """`journal`: of this directory, is given to the machines that share its secret."""
        self.edge = edge
        self._listener = listener
        self._front = front
        self._limits = limits or Limits()
        self._clock = clock
        self._draining = False
        self._routes = Routes(edge, clock)
        if journal is not None:
            own_routes = [*own_routes, *JournalRoutes(journal, clock, self._routes.handle).routes()]
        app = self._routes.application(own_routes)
        app.on_response_prepare.append(self._prepare)
        self._runner = web.AppRunner(
            app,
            shutdown_timeout=DRAIN_LIMIT,
            keepalive_timeout=self._limits.idle,
            lingering_time=self._limits.linger,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            access_log_class=_malformed_counter(edge),
            logger=_quiet_logger(),
        )
        self._site: web.SockSite | None = None
        self._handover: Handover | None = None
        # whether aiohttp has connections: looked at once a tick, since that walks all of them
        self._others_wait = False
        self._front_fd: int | None = None
        self._timers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Accepts from here on."""
        loop = asyncio.get_running_loop()
        await self._runner.setup()
        assert self._runner.server is not None
        self._handover = Handover(self._runner.server, self._routes.begun)
        loop.add_reader(self.edge.sync_fd, self._routes.syncs.wake)
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)
        if self._front:
            limits = self._limits
            self._front_fd = self.edge.listen(
                self._listener.fileno(),
                connections=limits.connections,
                head=limits.head,
                idle=limits.idle,
                stalled=limits.stalled,
                linger=limits.linger,
            )
            loop.add_reader(self._front_fd, self._turn)
        else:
            self._site = web.SockSite(self._runner, self._listener, backlog=BACKLOG)
            await self._site.start()
        self._timers = [
            loop.create_task(_every(TICK, self._tick)),
            loop.create_task(_every(SWEEP, self._sweep)),
        ]

    @property
    def connections(self) -> int:
        """All open connections, the front's and aiohttp's."""
        return self.edge.connections + (self._handover.connections if self._handover else 0)

    @property
    def aiohttp_requests(self) -> int:
        """Requests that went to aiohttp since the start."""
        return self._runner.server.requests_count if self._runner.server else 0

    async def drain(self, grace: float = DRAIN_GRACE, limit: float = DRAIN_LIMIT) -> None:
        """Takes in what has connected, answers with `Connection: close`, then lets go of those who ask nothing.

        Nobody is cut off: a connection is closed when it has its answer, when it has been idle for `grace`
        seconds, or at the `limit`. The listening socket stays open for whoever holds it besides."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._draining = True
        self.edge.drain()
        self._turn()
        await self._until(lambda: self.connections == 0 and not self._accepting(), began + grace)
        self.edge.end_idle()
        if self._site is not None:
            await self._site.stop()
        await self._until(lambda: self.edge.connections == 0, began + limit)
        await self._runner.cleanup()

    async def close(self) -> None:
        """Stops at once (after `drain`: for good), and ends the journal's incarnation."""
        loop = asyncio.get_running_loop()
        for timer in self._timers:
            timer.cancel()
        if self._front_fd is not None:
            loop.remove_reader(self._front_fd)
        await self._runner.cleanup()
        loop.remove_reader(self.edge.sync_fd)
        self.edge.close(self._clock())

    def _accepting(self) -> bool:
        return self.edge.accepting or self._site is not None

    async def _until(self, condition: Callable[[], bool], deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while not condition() and loop.time() < deadline:
            await asyncio.sleep(TICK)

    def _turn(self) -> None:
        assert self._handover is not None
        rest = self.edge.poll(self._clock(), self._others_wait)
        if rest is None:
            return
        given, again = rest
        for descriptor, unread, answered in given:
            self._handover.take(descriptor, unread, answered)
            self._others_wait = True
        if again:
            asyncio.get_running_loop().call_soon(self._turn)

    def _tick(self) -> None:
        self._routes.syncs.expire(asyncio.get_running_loop().time())
        self.edge.tick(self._clock())
        self._others_wait = self._handover is not None and self._handover.connections > 0

    def _sweep(self) -> None:
        assert self._handover is not None
        away = self._handover.connections
        now = asyncio.get_running_loop().time()
        self._handover.sweep(now, self._limits.head, self.connections >= self._limits.connections)
        if self.edge.sweep(away):
            self._turn()

    async def _prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        assert self._handover is not None
        if request.transport is not None:  # of a route that is not the edge's own, too
            self._routes.begun[request.transport] = asyncio.get_running_loop().time()
        await prepare(response, self._draining or request.transport in self._handover.last)


async def _every(seconds: float, call: Callable[[], None]) -> None:
    """Calls now and then every so many seconds. A failure is logged when it begins, and the next call is tried."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    last = ""
    while True:
        try:
            call()
            last = ""
        except OSError as error:
            if str(error) != last:
                last = str(error)
                _log.error("%s", last)
        due = max(due + seconds, loop.time())
        await asyncio.sleep(due - loop.time())


def _malformed_counter(edge: Edge) -> type[AbstractAccessLogger]:
    class Counter(AbstractAccessLogger):
        """Counts what aiohttp refused before it was a request; such a request has no method."""

        def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
            if request.method == "UNKNOWN":
                edge.count_malformed()

    return Counter


def _quiet_logger() -> logging.Logger:
    """aiohttp's log without a traceback for each malformed request from the internet."""
    logger = logging.getLogger("tuike.edge.aiohttp")
    logger.addFilter(_is_our_concern)
    return logger


def _is_our_concern(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], http.HttpProcessingError))
