"""What only the processor's process knows, on a unix socket.

GET /clicks/{id}   the click's fields as the touch store has them
POST /clicks       touches in the order in which they came, as `touch_list.Wanted` asks for them
GET /touches       ?kind=visitor|cust&merchant=&key=: all that it has by one, those that bind among them
GET /watermark     {"watermark": ms}: everything received before it is in the books
GET /teams         ?id=: what `_core.Forest.team` says of a promoter
POST /teams        groups of promoters' ids, in JSON; what `_core.Forest.teams` says of them
"""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from aiohttp import web

from tuike import _core
from tuike.stores import touch_list

START_S = 10.0
ALWAYS = 2**63 - 1
MAX_ASKED = 256 << 20
"""Bytes of the groups: a million of the longest ids have 67 MB."""


class TouchServer:
    """A small aiohttp server in a thread of its own, for as long as it is entered."""

    def __init__(
        self,
        socket: Path,
        touches: _core.TouchStore,
        watermark: Callable[[], int],
        forest: Callable[[], _core.Forest],
    ) -> None:
        self._socket = socket
        self._touches = touches
        self._watermark = watermark
        self._forest = forest
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="touch-server", daemon=True)

    def __enter__(self) -> Self:
        self._socket.parent.mkdir(exist_ok=True)
        self._socket.unlink(missing_ok=True)
        self._thread.start()
        if not self._ready.wait(START_S):
            raise TimeoutError(f"{self._socket}: the touch server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=MAX_ASKED)
        app.router.add_get("/clicks/{id}", self._click)
        app.router.add_post("/clicks", self._clicks)
        app.router.add_get("/touches", self._path)
        app.router.add_get("/watermark", self._mark)
        app.router.add_get("/teams", self._team)
        app.router.add_post("/teams", self._teams)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(self._socket)).start()
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _click(self, request: web.Request) -> web.Response:
        """The click's fields as the touch store has them; 404 for a click it does not know."""
        try:
            click = await asyncio.to_thread(self._touches.click, request.match_info["id"])
        except ValueError:
            click = None
        if click is None:
            return web.json_response({"code": "unknown_click"}, status=404)
        return web.json_response(click)

    async def _clicks(self, request: web.Request) -> web.Response:
        wanted = msgspec.json.decode(await request.read(), type=touch_list.Wanted)
        page = await asyncio.to_thread(touch_list.newest, self._touches, wanted)
        return web.Response(body=msgspec.json.encode(page), content_type="application/json")

    async def _path(self, request: web.Request) -> web.Response:
        query = request.query
        return web.json_response(await asyncio.to_thread(self._all, query["kind"], query["merchant"], query["key"]))

    def _all(self, kind: Any, merchant: str, key: str) -> list[dict[str, Any]]:
        path = self._touches.path(kind, merchant, key, 0, ALWAYS)
        return path + self._touches.bindings(kind, merchant, key, ALWAYS)

    async def _mark(self, request: web.Request) -> web.Response:
        return web.json_response({"watermark": self._watermark()})

    async def _team(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(await asyncio.to_thread(self._forest().team, request.query["id"]))
        except ValueError:
            return web.json_response({"code": "unknown_promoter"}, status=404)

    async def _teams(self, request: web.Request) -> web.Response:
        groups = await request.json()
        return web.json_response(await asyncio.to_thread(self._forest().teams, groups))
