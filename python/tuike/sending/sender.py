"""Posts what happens in the books to who asked for it: signed, in order, again and again until it is taken.

Signatures and headers are those of Standard Webhooks (standardwebhooks.com): `webhook-id`, `webhook-timestamp` and
`webhook-signature`, which is `v1,` and base64(HMAC-SHA256(secret, "id.timestamp.body")). The id is the same at every
attempt and every replay. An event that is not taken holds up those behind it, until it is given up: 15 attempts, 12
seconds after the first and ever longer up to a day, about two days in all.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from tuike import __version__, _core
from tuike.books.bookkeeper import NUMBER_KEY
from tuike.books.records import Booked
from tuike.sending.guard import PublicResolver, why_not
from tuike.sending.happenings import Happening, happening
from tuike.sending.outbox import Delivery, Outbox, Position
from tuike.sending.place import Open, Place
from tuike.stores import meta
from tuike.stores.position import PositionMoved
from tuike.stores.schema import webhooks

SEAL_PURPOSE = "webhook"
SECRET_PREFIX = "whsec_"  # noqa: S105 (a name, no secret)
POLL_SECONDS = 0.5
ANSWER_SECONDS = 15.0
CONNECT_SECONDS = 5.0
MAX_DETAIL = 300
"""Bytes of an answer that are read, to show why it was refused."""
FIRST_PAUSE_MS = 12_000
LONGEST_PAUSE_MS = 86_400_000
MAX_ATTEMPTS = 15
JITTER = 0.2

T = TypeVar("T")
Read = Callable[..., Awaitable[Any]]
"""Runs a query on a snapshot of the books, off the loop."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Webhook:
    id: str
    url: str
    events: frozenset[str]
    key: bytes
    number: int


def pause(attempts: int, random: float) -> int:
    """Milliseconds until the next attempt, when so many have failed; `random` is in [0, 1)."""
    whole = min(FIRST_PAUSE_MS << (attempts - 1), LONGEST_PAUSE_MS)
    return int(whole * (1 - JITTER * random)) if whole > FIRST_PAUSE_MS else whole


def key_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX))


def signed(key: bytes, id: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers of a delivery."""
    said = f"{id}.{seconds}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, said, hashlib.sha256)).decode()
    return {"webhook-id": id, "webhook-timestamp": str(seconds), "webhook-signature": f"v1,{signature}"}


class Sender:
    """Belongs to one event loop."""

    def __init__(
        self,
        open_place: Open,
        secret: str,
        *,
        allow_private: bool,
        clock: Callable[[], int],
        random: Callable[[int], bytes],
    ) -> None:
        self.allow_private = allow_private
        self._secret = secret
        self._open_place = open_place
        self._read: Read
        self._clock = clock
        self._random = random
        # the place is one thread's
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="webhooks")
        self._place: Place | None = None
        self._tasks: dict[Webhook, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._session: ClientSession | None = None
        self._committed = 0
        self._moved = asyncio.Event()

    def start(self, read: Read) -> None:
        self._read = read
        resolver = None if self.allow_private else PublicResolver()
        self._session = ClientSession(
            connector=TCPConnector(resolver=resolver, limit_per_host=1),
            timeout=ClientTimeout(total=ANSWER_SECONDS, connect=CONNECT_SECONDS),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
        )
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """What is being sent is not waited for: it is sent again."""
        tasks = [task for task in (self._watching, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        if self._place is not None:
            await self._in_thread(self._place.close)
        self._thread.shutdown()

    async def outbox(self, use: Callable[..., T], *args: Any) -> T:
        """`use(outbox, *args)` in the place's thread."""
        return await self._at_place(lambda place: use(place.outbox, *args))

    async def _at_place(self, use: Callable[[Place], T]) -> T:
        def run() -> T:
            if self._place is None:
                self._place = self._open_place()
            return use(self._place)

        return await self._in_thread(run)

    async def _after(self, number: int, upto: int) -> list[Booked]:
        return await self._at_place(lambda place: place.after(number, upto))

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    async def _watch(self) -> None:
        """Has a task for each webhook that is active, as it stands, while it is this one's turn."""
        failed = False
        while True:
            try:
                hooks, self._committed = await self._read(self._hooks)
                if hooks and not await self._at_place(lambda place: place.is_turn()):
                    hooks = set()
                for gone in [hook for hook in self._tasks if hook not in hooks]:
                    self._tasks.pop(gone).cancel()
                for hook in hooks:
                    task = self._tasks.get(hook)
                    if task is None or task.done():
                        self._tasks[hook] = asyncio.get_running_loop().create_task(self._serve(hook))
                self._moved.set()
                self._moved = asyncio.Event()
                failed = False
            except Exception as error:
                if failed:  # once is nothing: at an instance's first start there are no tables yet
                    log.warning("webhooks: %s", error)
                failed = True
            await asyncio.sleep(POLL_SECONDS)

    def _hooks(self, connection: Connection) -> tuple[set[Webhook], int]:
        rows = connection.execute(select(webhooks).where(webhooks.c.status == "active")).mappings()
        hooks = {self.hook(row) for row in rows}
        return hooks, int(meta.read(connection, NUMBER_KEY) or 0) if hooks else 0

    def hook(self, row: Any) -> Webhook:
        """Of a row of `webhooks`."""
        key = key_of(_core.unseal(self._secret, SEAL_PURPOSE, row["secret"]).decode())
        return Webhook(row["id"], row["url"], frozenset(json.loads(row["events"])), key, row["number"])

    async def _serve(self, hook: Webhook) -> None:
        try:
            position = await self.outbox(Outbox.position, hook.id, hook.number)
            while True:
                records = await self._after(position.number, self._committed)
                if not records:
                    moved = self._moved
                    await moved.wait()
                    continue
                position = await self._send_all(hook, position, records)
        except (DBAPIError, PositionMoved) as error:
            log.warning("webhook %s waits: %s", hook.id, " ".join(str(getattr(error, "orig", None) or error).split()))
        except Exception:
            log.exception("webhook %s; it is begun anew", hook.id)

    async def _send_all(self, hook: Webhook, position: Position, records: list[Booked]) -> Position:
        for record in records:
            told = happening(record)
            if told is None or told.type not in hook.events:
                position = Position(record.number)
                continue
            wait = position.next_at - self._clock()
            if wait > 0:
                await asyncio.sleep(wait / 1000)
            delivery = await self._attempt(hook, told, position.attempts)
            if delivery.status == "failing":
                position = Position(record.number - 1, delivery.attempts, delivery.next_at)
                await self.outbox(Outbox.move, hook.id, hook.number, position, delivery)
                return position
            position = Position(record.number)
            await self.outbox(Outbox.move, hook.id, hook.number, position, delivery)
        await self.outbox(Outbox.move, hook.id, hook.number, position)
        return position

    async def _attempt(self, hook: Webhook, told: Happening, failed: int) -> Delivery:
        code, detail = await self._post(hook, told)
        attempts, now = failed + 1, self._clock()
        if 200 <= code < 300:
            return Delivery(told.number, told.type, "delivered", attempts, code, "", now)
        if attempts >= MAX_ATTEMPTS:
            return Delivery(told.number, told.type, "dead", attempts, code, detail, now)
        later = now + pause(attempts, int.from_bytes(self._random(4)) / 2**32)
        return Delivery(told.number, told.type, "failing", attempts, code, detail, now, later)

    async def _post(self, hook: Webhook, told: Happening) -> tuple[int, str]:
        """The answer's status and the beginning of what it says; 0: there was none."""
        assert self._session is not None
        if not self.allow_private and (refusal := why_not(hook.url)):
            return 0, refusal
        body = told.body()
        headers = signed(hook.key, told.id, self._clock() // 1000, body)
        headers |= {"Content-Type": "application/json", "User-Agent": f"tuike/{__version__}"}
        try:
            async with self._session.post(hook.url, data=body, headers=headers, allow_redirects=False) as answer:
                said = await answer.content.read(MAX_DETAIL)
                return answer.status, said.decode(errors="replace")
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            return 0, (str(error) or type(error).__name__)[:MAX_DETAIL]

    async def replay(self, hook: Webhook, delivery: Delivery) -> Delivery:
        """Sends one again, at once, out of order; what fails stays what it was."""
        records = await self._after(delivery.number - 1, delivery.number)
        told = happening(records[0])
        assert told is not None
        again = await self._attempt(hook, told, 0)
        status = "delivered" if again.status == "delivered" else delivery.status
        kept = Delivery(
            *(delivery.number, delivery.type, status, delivery.attempts + 1, again.code, again.detail, again.at),
            delivery.next_at,
        )
        with contextlib.suppress(asyncio.CancelledError):
            await self.outbox(Outbox.put, hook.id, kept)
        return kept
