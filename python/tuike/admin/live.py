"""GET /v1/live: what happens now, once a second, as server-sent events.

All listeners share one watch: a look at the edges' counters (files that they map; the edge does nothing for it) and one
query of the books a second, and none while nobody listens. Each message is the whole state, so that a listener who
misses one misses nothing.
"""

import asyncio
import contextlib
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import msgspec
from aiohttp import web
from sqlalchemy import Connection, RowMapping, func, literal, select

from tuike import _core, views
from tuike.admin import auth
from tuike.admin.problems import Problem
from tuike.admin.routes import Body, Call, Route, Service
from tuike.stores.schema import conversions, shares

SECONDS_SHOWN = 60
CONVERSIONS_SHOWN = 20
MAX_LISTENERS = 64
STREAM_SECONDS = 900.0
"""After that the browser asks again, and its token is looked at again."""
PERIOD_SECONDS = 1.0
HIT = re.compile(r'^affiliate_hits_total\{kind="(\w+)",outcome="(\w+)"\} (\d+)$', re.MULTILINE)
COUNTED = "counted"

log = logging.getLogger(__name__)


class Live:
    """The watch, and who listens to it. Belongs to one event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._next: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._listeners = 0
        self._closed = False
        self._hits: deque[tuple[int, dict[str, int]]] = deque(maxlen=SECONDS_SHOWN + 1)
        self._booked: deque[tuple[int, int]] = deque(maxlen=SECONDS_SHOWN)
        self._newest: deque[Body] = deque(maxlen=CONVERSIONS_SHOWN)
        self._seen = -1

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Keeps the watch going. Problem `too_many_listeners` above `MAX_LISTENERS`."""
        if self._listeners >= MAX_LISTENERS or self._closed:
            raise Problem("too_many_listeners", f"at most {MAX_LISTENERS} watch at a time")
        self._listeners += 1
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._end()

    async def message(self) -> bytes:
        """The next one; empty when the watch has ended."""
        return b"" if self._closed else await asyncio.shield(self._next)

    def close(self) -> None:
        self._closed = True
        self._end()

    def _end(self) -> None:
        """Stops the watch and lets its listeners go."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._tell(b"")

    def _tell(self, message: bytes) -> None:
        told, self._next = self._next, asyncio.get_running_loop().create_future()
        told.set_result(message)

    async def _watch(self) -> None:
        """What was counted while nobody listened is not of the last minute."""
        self._hits.clear()
        self._booked.clear()
        self._newest.clear()
        self._seen = -1
        try:
            while True:
                self._tell(b"data: " + msgspec.json.encode(await self._look()) + b"\n\n")
                await asyncio.sleep(PERIOD_SECONDS)
        except Exception:
            log.exception("the live view has ended")  # its listeners come back and begin anew
            self._end()

    async def _look(self) -> Body:
        service = self._service
        now = service.clock()
        directory = str(service.metrics)
        text = await asyncio.get_running_loop().run_in_executor(service.readers, _core.render_metrics, directory)
        counts = {f"{kind}.{outcome}": int(hits) for kind, outcome, hits in HIT.findall(text)}
        self._hits.append((now, counts))
        problem = ""
        try:
            count, rows = await service.read(_booked_since, self._seen)
        except Problem as refusal:
            problem, count, rows = refusal.code, 0, []
        if self._seen >= 0:
            self._booked.append((now, count))
        if rows:
            self._newest.extendleft(reversed([_view(row) for row in rows]))
            self._seen = rows[0]["number"]
        elif not problem:
            self._seen = max(self._seen, 0)
        watermark = await service.watermark()
        return {
            "at": views.instant(now),
            "lag": max(0, now - watermark) / 1000 if watermark else None,
            "problem": problem,
            "minute": self._minute(now),
            "seconds": self._by_second(),
            "conversions": list(self._newest),
        }

    def _minute(self, now: int) -> Body:
        """Sums of the time watched, a minute at most: `seconds` says how long that is."""
        since, first = self._hits[0]
        _, last = self._hits[-1]
        hits = {kind: last[kind] - first.get(kind, 0) for kind in last if last[kind] > first.get(kind, 0)}
        return {
            "seconds": (now - since) // 1000,
            "hits": sum(hits.values()),
            "by_kind": hits,
            "conversions": sum(count for _, count in self._booked),
        }

    def _by_second(self) -> list[Body]:
        """Of each second watched, the oldest first."""
        booked = dict(self._booked)
        return [
            {
                "at": views.instant(at),
                "hits": max(0, sum(after.values()) - sum(before.values())),
                "counted": max(0, _counted(after) - _counted(before)),
                "conversions": booked.get(at, 0),
            }
            for (_, before), (at, after) in pairwise(self._hits)
        ]


def _counted(counts: dict[str, int]) -> int:
    return sum(hits for name, hits in counts.items() if name.endswith(f".{COUNTED}"))


def _booked_since(connection: Connection, seen: int) -> tuple[int, Sequence[RowMapping]]:
    """How many orders were booked after number `seen`, and the newest of them."""
    paid = select(func.sum(shares.c.amount)).where(shares.c.conversion == conversions.c.number, shares.c.promoter != "")
    columns = [conversions.c[name] for name in ("number", "id", "order_id", "product", "amount", "currency", "status")]
    columns += [conversions.c.reason, conversions.c.created]
    count = func.count().over() if seen >= 0 else literal(0)
    newest = (
        select(*columns, paid.scalar_subquery().label("commission"), count.label("count"))
        .where(conversions.c.number > seen)
        .order_by(conversions.c.number.desc())
        .limit(CONVERSIONS_SHOWN)
    )
    rows = connection.execute(newest).mappings().all()
    return (rows[0]["count"] if rows else 0), rows


def _view(row: RowMapping) -> Body:
    currency = row["currency"]
    return {
        "id": row["id"],
        "order_id": row["order_id"],
        "product": row["product"],
        "amount": None if row["amount"] is None else _core.format_amount(row["amount"], currency),
        "currency": currency,
        "commission": _core.format_amount(int(row["commission"] or 0), currency),
        "status": row["status"],
        "reason": row["reason"],
        "created": views.instant(row["created"]),
    }


LIVE = web.AppKey("live", Live)


async def close(app: web.Application) -> None:
    if LIVE in app:
        app[LIVE].close()


async def live(call: Call) -> web.StreamResponse:
    watch = call.request.app[LIVE]
    async with watch.listening():
        answer = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        await answer.prepare(call.request)
        if call.request.method == "HEAD":
            return answer
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            async with asyncio.timeout(STREAM_SECONDS):
                while message := await watch.message():
                    await answer.write(message)
        return answer


ROUTES = (
    Route(
        "GET",
        "/v1/live",
        live,
        "Hits, conversions and lag once a second, as server-sent events",
        auth.READERS,  # no answer's type: openapi.json has no words for a stream without an end
    ),
)
