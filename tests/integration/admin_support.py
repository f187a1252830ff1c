"""A real instance without an edge: a processor in a thread, the admin API on a free port, journals written directly."""

import asyncio
import contextlib
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientSession, web

from tuike import _core
from tuike.admin import answers, exports, tables
from tuike.admin import app as admin_app
from tuike.admin.routes import Service
from tuike.data import Data
from tuike.process import Processor
from tuike.touch_server import TouchServer
from waiting import eventually

FIRST_TOKEN = "first-token-of-the-tests"  # noqa: S105
PUBLIC_URL = "https://go.example"
TEN_PERCENT = {"type": "percentage", "value": "10.0"}
LEVELS = {
    "type": "percentage",
    "value": "10.0",
    "levels": [{"level": 1, "value": "5.0"}, {"level": 2, "value": "3.0"}],
}

Json = dict[str, Any]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def event_id(at: int | None = None) -> str:
    return ((now_ms() if at is None else at).to_bytes(6) + secrets.token_bytes(10)).hex()


@contextlib.asynccontextmanager
async def keeping_books(data: Data) -> AsyncIterator[None]:
    """A processor in a thread of its own, which serves once this is entered."""
    loop = asyncio.get_running_loop()
    stop, started = threading.Event(), asyncio.Event()

    def run() -> None:
        processor = Processor(data)
        with TouchServer(
            data.processor_socket, processor.touches, lambda: processor.watermark, lambda: processor.forest
        ):
            loop.call_soon_threadsafe(started.set)
            processor.run(stop)
        processor.close()

    running = asyncio.create_task(asyncio.to_thread(run))
    await asyncio.wait([running, asyncio.create_task(started.wait())], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        stop.set()
        await running


class Admin:
    """The API of one instance as its callers see it."""

    def __init__(self, data: Data, service: Service, session: ClientSession) -> None:
        self.data = data
        self.service = service
        self._session = session

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = FIRST_TOKEN,
        key: str | None = None,
        raw: bytes | None = None,
    ) -> tuple[int, Json]:
        """Status and document."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        sent = raw if raw is not None else (None if body is None else msgspec.json.encode(body))
        async with self._session.request(method, path, data=sent, headers=headers) as answer:
            if answer.content_type == "text/event-stream":  # it has no end
                return answer.status, {}
            document = await answer.read()
            if answer.content_type in (tables.MEDIA, exports.NDJSON):
                return answer.status, {"csv": document.decode()}
            check(method, answer.url.path, answer.status, document)
            return answer.status, msgspec.json.decode(document)

    async def get(self, path: str, *, token: str | None = FIRST_TOKEN) -> Json:
        status, document = await self.call("GET", path, token=token)
        assert status == 200, (path, status, document)
        return document

    async def post(self, path: str, body: Any, *, token: str | None = FIRST_TOKEN, key: str | None = None) -> Json:
        status, document = await self.call("POST", path, body, token=token, key=key)
        assert status in (200, 201), (path, status, document)
        return document

    async def text(self, path: str) -> tuple[int, str]:
        async with self._session.get(path) as answer:
            return answer.status, await answer.text()

    async def token(self, role: str, **more: Any) -> str:
        token: str = (await self.post("/v1/tokens", {"role": role} | more))["token"]
        return token

    async def shop(self, rule: Json = TEN_PERCENT, **more: Any) -> None:
        """A merchant `shop` with a product `tea`, and promoters: `ann` under `bob`."""
        await self.post("/v1/merchants", {"id": "shop", "name": "Shop", "currency": "CNY"})
        await self.post("/v1/products", product("tea", "shop", rule, **more))
        await self.post("/v1/promoters", {"id": "bob", "name": "Bob"})
        await self.post("/v1/promoters", {"id": "ann", "name": "Ann", "parent": "bob"})

    async def record(self, events: Sequence[Json]) -> None:
        """Journals events as an edge that has ended since."""
        await asyncio.to_thread(record, self.data, events)

    async def order(self, **fields: Any) -> str:
        """Journals an order and waits for the books; its conversion id."""
        await self.record([fields := order(**fields)])
        path = f"/v1/events/{fields['id']}"

        async def applied() -> bool:
            return bool((await self.get(path))["status"] != "waiting")

        await eventually(applied, "the order's outcome")
        document = await self.get(path)
        assert document["status"] == "applied", document
        conversion: str = document["result"]["conversion"]
        return conversion


def check(method: str, path: str, status: int, document: bytes) -> None:
    """Every answer is what openapi.json says of it."""
    if status == 202:
        msgspec.json.decode(document, type=answers.Accepted)
    elif status >= 400:
        problem = msgspec.json.decode(document, type=answers.Problem)
        assert problem.status == status
    else:
        types = {
            route.answer
            for route in admin_app.RESOURCES
            if route.method == method and re.fullmatch(re.sub("{[a-z_]+}", "[^/]+", route.path), path)
        }
        for type in types:
            msgspec.json.decode(document, type=type)


def product(id: str, merchant: str, rule: Json = TEN_PERCENT, **more: Any) -> Json:
    body = {
        "id": id,
        "merchant": merchant,
        "name": id.title(),
        "category": "food",
        "url": f"https://{merchant}.example/",
    }
    return body | {"commission": rule, "fraud": {"min_seconds_to_order": 0}} | more


def click(aff: str, **more: Any) -> Json:
    at = more.get("at", now_ms())
    fields = {
        "kind": "click",
        "id": event_id(at),
        "at": at,
        "received": at,
        "aff": aff,
        "pid": "tea",
        "merchant": "shop",
    }
    return fields | {"channel": "web", "visitor": secrets.token_hex(16), "counted": True} | more


def order(**more: Any) -> Json:
    at = now_ms()
    fields = {"kind": "order", "id": event_id(at), "at": at, "received": at, "merchant": "shop", "pid": "tea"}
    return fields | {"currency": "CNY", "status": "approved", "source": "postback"} | more


def record(data: Data, events: Sequence[Json]) -> None:
    writer = _core.Writer(str(data.journal), "edge-9", secrets.randbits(63) | 1)
    writer.append([_core.encode_event(event) for event in events])
    writer.close(now_ms())


@contextlib.asynccontextmanager
async def serving(path: Path, *, books: bool = True, **more: Any) -> AsyncIterator[Admin]:
    """The admin API of the data directory `path`, with its processor unless told otherwise."""
    data = Data.open(path, create=True)
    settings = admin_app.Settings(data, FIRST_TOKEN, PUBLIC_URL, **more)
    async with contextlib.AsyncExitStack() as stack:
        if books:
            await stack.enter_async_context(keeping_books(data))
        app = admin_app.make_app(settings)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        session = await stack.enter_async_context(ClientSession(f"http://127.0.0.1:{port}"))
        yield Admin(data, app[admin_app.SERVICE], session)
