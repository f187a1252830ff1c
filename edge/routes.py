"""The aiohttp door: every request goes to the responder, which knows the routes, and its answer goes out as it is."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TypeAlias
from weakref import WeakKeyDictionary

from aiohttp import hdrs, web
from multidict import CIMultiDict

from tuike._core import Edge

MAX_HEAD = 16_384
"""Longest request head, in bytes, as the front's."""
MAX_LINE = 2 * MAX_HEAD
"""Longest line that aiohttp reads: up to here it is we who refuse a head that is too large, with our reason."""
BODY_LIMIT = 64 << 10
BEACON_LIMIT = 1 << 20
"""Longest body, in bytes: of any request, and of a beacon's."""
BODY_TIMEOUT = 10.0
"""Seconds for a whole body."""
SYNC_TIMEOUT = 10.0
"""Seconds an answer waits for its event to be on the disk. Then it is 503: the event may be there or not, and the
merchant sends it again, which changes nothing if it is."""

Answer: TypeAlias = tuple[int, str, list[tuple[str, str]], bytes, int | None]
Clock: TypeAlias = Callable[[], int]


class Syncs:
    """Who waits for which event to be on the disk."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._waiting: deque[tuple[int, float, asyncio.Future[bool]]] = deque()

    async def wait(self, number: int) -> bool:
        """Whether event `number` is on the disk before `SYNC_TIMEOUT` is over, within a tick."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        # numbers come in ascending order: each is given out by an append just before
        self._waiting.append((number, loop.time() + SYNC_TIMEOUT, future))
        return await future

    def wake(self) -> None:
        """A sync has ended (`Edge.sync_fd` is readable)."""
        synced = self._edge.synced()
        while self._waiting and self._waiting[0][0] <= synced:
            self._settle(True)

    def expire(self, now: float) -> None:
        """To be called at every tick, at the loop's time: one timer for all who wait."""
        while self._waiting and self._waiting[0][1] <= now:
            self._settle(False)

    def _settle(self, synced: bool) -> None:
        """Tells the first in line, unless its connection has gone."""
        _, _, future = self._waiting.popleft()
        if not future.done():
            future.set_result(synced)


class Routes:
    """The handler of all edge routes."""

    def __init__(self, edge: Edge, clock: Clock) -> None:
        self._edge = edge
        self._clock = clock
        self.syncs = Syncs(edge)
        self.begun: WeakKeyDictionary[asyncio.BaseTransport, float] = WeakKeyDictionary()
        """When the last request of a connection began, at the loop's time."""

    def application(self, own: Iterable[web.AbstractRouteDef] = ()) -> web.Application:
        """An application of the edge's routes, after those of the caller's `own`."""
        app = web.Application(client_max_size=BEACON_LIMIT)
        app.add_routes(own)
        app.router.add_route("*", "/{path:.*}", self.handle)
        return app

    async def handle(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            self.begun[request.transport] = asyncio.get_running_loop().time()
        target = _target(request)
        if _head_size(request) > MAX_HEAD:
            return self._fail("target_too_long" if len(target) > MAX_HEAD else "head_too_large")
        body: bytes | None = b""
        if request.can_read_body:
            # even where nobody asks for a body: what is no sound request must not become an event
            limit = BEACON_LIMIT if request.path == "/e" else BODY_LIMIT
            try:
                if request.content.is_eof():
                    # it came with its head, as short ones do: there is nothing to wait for
                    body = request.content.read_nowait()
                    body = body if len(body) <= limit else None
                else:
                    async with asyncio.timeout(BODY_TIMEOUT):
                        body = await _read(request, limit)
            except TimeoutError:
                return self._fail("body_too_slow")
            except web.RequestPayloadError:
                return self._fail("malformed_body")
        if body is None:
            return self._fail("body_too_large")
        if request.method != hdrs.METH_POST:
            body = None
        # the peer of a connection that has just been lost has no name any more; nobody will see the answer
        peer = request.remote or "0.0.0.0"
        answer = self._edge.respond(request.method, target, _fields(request), peer, body, self._clock())
        number = answer[4]
        if number is not None and not await self.syncs.wait(number):
            return self._fail("not_synced")
        return response(answer)

    def _fail(self, reason: str) -> web.Response:
        answer = response(self._edge.fail(reason, self._clock()))  # type: ignore[arg-type]
        answer.force_close()
        return answer


def response(answer: Answer) -> web.Response:
    """The responder's answer for aiohttp to send, with all its fields: aiohttp adds none but the connection's."""
    status, reason, fields, body, _ = answer
    given = CIMultiDict((name, value) for name, value in fields if name != hdrs.CONNECTION)
    return web.Response(status=status, reason=reason, headers=given, body=body)


async def prepare(response: web.StreamResponse, closing: bool) -> None:
    """The last touch before a response's head is written. `closing`: it is the last on its connection."""
    if closing and response.status != HTTPStatus.SWITCHING_PROTOCOLS:
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"


def _target(request: web.Request) -> bytes:
    """Path and query as sent; of an absolute form (RFC 9112, section 3.2.2) what follows the host."""
    raw = request.raw_path
    if not raw.startswith("/"):
        raw = request.rel_url.raw_path_qs
    return raw.encode("utf-8", "surrogateescape")


def _fields(request: web.Request) -> Sequence[tuple[bytes, bytes]]:
    """The head's fields, those of X-Forwarded-For as one (RFC 9110, section 5.3): some proxies begin a line of their
    own after the client's, which may be a lie."""
    hops = request.headers.getall(hdrs.X_FORWARDED_FOR, ())
    if len(hops) < 2:
        return request.raw_headers
    name = hdrs.X_FORWARDED_FOR.encode()
    rest = [field for field in request.raw_headers if field[0].lower() != name.lower()]
    return [*rest, (name, ", ".join(hops).encode("utf-8", "surrogateescape"))]


def _head_size(request: web.Request) -> int:
    """Bytes of the request's head, with a line's end for each field (and what separates it from its name)."""
    fields = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
    return len(request.method) + len(request.raw_path) + 14 + fields


async def _read(request: web.Request, limit: int) -> bytes | None:
    """The whole body, or None where it is longer than `limit`."""
    if request.content_length is not None and request.content_length > limit:
        return None
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)
