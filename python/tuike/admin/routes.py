"""A route says who may call it, what comes in and what goes out; the application and openapi.json are made of them."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiohttp import ClientError, ClientSession, web
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from tuike import promises
from tuike.admin import inputs
from tuike.admin.auth import Actor
from tuike.admin.problems import Problem
from tuike.admin.writes import Outcome, Writes
from tuike.sending.sender import Sender
from tuike.statements import Signer
from tuike.stores import engine

T = TypeVar("T")
Body = dict[str, Any]

MAX_IDEMPOTENCY_KEY = 200
MAX_KEPT_KEY = 256  # of the column, with the actor's name and a space before it


@dataclass(slots=True)
class Service:
    """What the handlers share. Reads run in `readers`' threads, off the event loop."""

    engine: Engine
    replica: Engine  # the same, where there is no copy to read from
    readers: ThreadPoolExecutor
    writes: Writes
    processor: ClientSession  # to the processor's unix socket
    metrics: Path
    journal: Path  # of this machine
    member: bool  # of an instance on several machines
    books_away: Path  # there while the processor does without the books' server
    secret: str  # the instance secret, hex
    signer: Signer  # of statements
    sender: Sender  # of webhooks
    first_token_hash: str
    public_url: str  # of the edge, without a slash at its end
    max_levels: int
    ceiling: int  # of rules that are written now, a rate of 1e-6
    clock: Callable[[], int]  # milliseconds
    random: Callable[[int], bytes]
    draining: bool = False
    seen_watermark: int = 0

    async def read(self, query: Callable[..., T], *args: Any) -> T:
        """Runs `query(connection, *args)` on one snapshot of the books."""
        return await self._read(self.engine, query, *args)

    async def read_copy(self, query: Callable[..., T], *args: Any) -> T:
        """The same on the copy for reports and lists, which may be seconds behind; on the books where it is away."""
        if self.replica is not self.engine:
            with suppress(Problem):
                return await self._read(self.replica, query, *args)
        return await self._read(self.engine, query, *args)

    async def _read(self, books: Engine, query: Callable[..., T], *args: Any) -> T:
        def run() -> T:
            with books.connect() as connection:
                return query(connection, *args)

        try:
            return await asyncio.get_running_loop().run_in_executor(self.readers, run)
        except DBAPIError as error:
            if isinstance(error, OperationalError) or engine.is_away(error) or engine.lacks_tables(error):
                raise Problem("books_unavailable", f"the books cannot be read: {engine.said(error)}") from error
            raise

    async def watermark(self) -> int:
        """Up to when the books are complete, in milliseconds, as far as we last heard; 0: we never did."""
        if self.member:
            with suppress(Problem):
                self.seen_watermark = max(self.seen_watermark, await self.read(promises.committed))
            return self.seen_watermark
        try:
            async with self.processor.get("/watermark") as answer:
                self.seen_watermark = max(self.seen_watermark, (await answer.json())["watermark"])
        except (ClientError, OSError):
            pass  # it does not run: what it said last stands, and falls behind the clock
        return self.seen_watermark


@dataclass(frozen=True, slots=True)
class Call:
    """One authorised request with its validated input (`body` and `query` are of the route's types)."""

    service: Service
    actor: Actor
    request: web.Request
    raw: bytes
    body: Any = None
    query: Any = None

    def path(self, name: str) -> str:
        return self.request.match_info[name]

    async def read(self, query: Callable[..., T], *args: Any) -> T:
        return await self.service.read(query, *args)

    async def read_copy(self, query: Callable[..., T], *args: Any) -> T:
        return await self.service.read_copy(query, *args)

    @property
    def idempotency_key(self) -> str | None:
        key = self.request.headers.get("Idempotency-Key")
        longest = min(MAX_IDEMPOTENCY_KEY, MAX_KEPT_KEY - len(self.actor.name) - 1)
        if key is not None and not (0 < len(key) <= longest and key.isascii() and key.isprintable()):
            raise Problem("bad_idempotency_key", f"`Idempotency-Key` is 1 to {longest} printable ASCII characters")
        return key

    @property
    def fingerprint(self) -> str:
        """Of method, path and body: what a repeated Idempotency-Key must agree in."""
        head = f"{self.request.method} {self.request.path}\n".encode()
        return hashlib.sha256(head + self.raw).hexdigest()

    async def write(
        self, kind: str, op: str, data: Body, *, fields: Body | None = None, fingerprint: str = ""
    ) -> "Answer":
        """Journals it and answers with its outcome, or 202 when the books do not answer in time. `fields` are the
        event's own; `fingerprint` is another than the call's."""
        event_id, outcome = await self.service.writes.submit(
            kind,
            {
                "op": op,
                "data": data,
                "actor": self.actor.name,
                "idem": self.idempotency_key,
                "fingerprint": fingerprint or self.fingerprint,
            },
            fields or {},
        )
        return answer_of(event_id, outcome)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Body

    def response(self) -> web.Response:
        return web.Response(
            status=self.status,
            body=msgspec.json.encode(self.body),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


Handler = Callable[[Call], Awaitable[Answer | Body | web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Handler
    summary: str
    roles: frozenset[str]  # empty: anyone, without a token
    answer: Any = None  # the type of the answer, for openapi.json
    body: Any = None
    query: Any = None
    status: int = 200
    media: str = "application/json"
    also: str = ""  # another media type it answers in, where it is asked to
    journalled: bool = True  # of what is no GET: it takes an Idempotency-Key, and the books may answer late


def answer_of(event_id: str, outcome: Outcome | None) -> Answer:
    if outcome is None:
        return Answer(202, {"event_id": event_id})
    if outcome.http >= 400:
        raise Problem(outcome.code, outcome.result.get("detail", ""), status=outcome.http)
    return Answer(outcome.http, outcome.result)


def writes(kind: str, op: str, *names: str) -> Handler:
    """What journals the body as it came, with these names of the path in it."""

    async def write(call: Call) -> Answer:
        data = {} if call.body is None else inputs.data(call.body)
        return await call.write(kind, op, data | {name: call.path(name) for name in names})

    return write
