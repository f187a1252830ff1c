"""A machine's journal by HTTP, for the other machines of the instance: what is missing is fetched from where it is, and
a few edges need no Redis at all.

GET /journal                              JSON: the machine's name and its incarnations, each with what it promises
GET /journal/INCARNATION?after=&limit=    a Taken: the incarnation's records above a sequence number
POST /journal                             an Asked; its Taken: what all incarnations have above theirs

Records come up to their writer's mark, packed by partition. Who does not show the internal token gets the answer of a
path that is not there.
"""

import asyncio
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import hdrs, web

from tuike import _core
from tuike.data import Data

PURPOSE = b"tuike journal"
LIMIT = 20_000
"""Records in one answer at most."""
READERS = 16
"""Those whose places are remembered; another one's first read takes longer."""
READER_NAME = 64
BODY_LIMIT = 1 << 20
MEDIA = "application/msgpack"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Asked(msgspec.Struct):
    """Incarnation to sequence number (`_core.Shipment.GONE`: nothing of it); those left out, from their beginning.
    `reader` names who asks."""

    after: dict[int, int]
    limit: int = LIMIT
    reader: str = ""


class Taken(msgspec.Struct, array_like=True):
    """As `_core.Shipment` has it. `now`: the machine's time (ms) before it looked; an older version does not say it."""

    heard: list[tuple[str, int, int, int]]
    packed: list[tuple[int, int, memoryview]]
    damage: list[tuple[str, int, int, int]]
    count: int
    more: bool
    now: int = _core.Shipment.ENDED


def token(secret: str) -> str:
    """What machines of one instance show each other (HMAC-SHA256, RFC 2104)."""
    return hmac.new(bytes.fromhex(secret), PURPOSE, hashlib.sha256).hexdigest()


class JournalRoutes:
    """The routes of one data directory's journal."""

    def __init__(self, data: Data, clock: Callable[[], int], otherwise: Handler) -> None:
        """`otherwise` answers who shows no token."""
        self._machine = data.machine
        self._root = str(data.journal)
        self._clock = clock
        self._otherwise = otherwise
        self._expected = f"Bearer {token(data.secret)}".encode()
        self._followers: OrderedDict[str, _core.Follower] = OrderedDict()
        # one at a time: they read the same disk, and each has its answer in memory
        self._turn = asyncio.Semaphore(1)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/journal", self._for_members(self._list)),
            web.get("/journal/{incarnation}", self._for_members(self._one)),
            web.post("/journal", self._for_members(self._all)),
        ]

    def _for_members(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.StreamResponse:
            shown = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(shown, self._expected):
                return await self._otherwise(request)
            return await handler(request)

        return checked

    async def _list(self, request: web.Request) -> web.Response:
        taken = await self._take(Asked({}, 0))
        incarnations = [
            {"producer": producer, "incarnation": f"{number:016x}", "live": mark != _core.Shipment.ENDED, "mark": mark}
            for producer, number, _, mark in taken.heard
        ]
        return web.json_response({"machine": self._machine, "incarnations": incarnations})

    async def _one(self, request: web.Request) -> web.StreamResponse:
        try:
            wanted = int(request.match_info["incarnation"], 16)
            after, limit = (int(request.query.get(name, least)) for name, least in (("after", 0), ("limit", LIMIT)))
        except ValueError as error:
            raise web.HTTPBadRequest(
                text="after and limit are whole numbers, an incarnation is 16 hex digits"
            ) from error
        there = [number for _, number, _ in _core.incarnations(self._root)]
        if wanted not in there:
            return await self._otherwise(request)
        places = dict.fromkeys(there, _core.Shipment.GONE) | {wanted: max(0, after)}
        taken = await self._take(Asked(places, limit))
        taken.heard = [heard for heard in taken.heard if heard[1] == wanted]
        taken.packed = [packed for packed in taken.packed if packed[0] == wanted]
        return web.Response(body=msgspec.msgpack.encode(taken), content_type=MEDIA)

    async def _all(self, request: web.Request) -> web.Response:
        try:
            asked = msgspec.msgpack.decode(await request.read(), type=Asked)
        except msgspec.DecodeError as error:
            raise web.HTTPBadRequest(text=f"not what is asked here: {error}") from error
        return web.Response(body=msgspec.msgpack.encode(await self._take(asked)), content_type=MEDIA)

    async def _take(self, asked: Asked) -> Taken:
        async with self._turn:
            follower = self._follower(asked.reader[:READER_NAME])
            return await asyncio.to_thread(_take, follower, asked, self._clock())

    def _follower(self, reader: str) -> _core.Follower:
        if not reader:
            return _core.Follower(self._root)
        follower = self._followers.pop(reader, None) or _core.Follower(self._root)
        self._followers[reader] = follower
        if len(self._followers) > READERS:
            self._followers.popitem(last=False)
        return follower


def _take(follower: _core.Follower, asked: Asked, now: int) -> Taken:
    shipment = follower.take(asked.after, min(max(0, asked.limit), LIMIT), now)
    return Taken(shipment.heard, shipment.packed, shipment.damage, shipment.count, shipment.more, now)
