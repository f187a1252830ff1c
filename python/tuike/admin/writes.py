"""Writes: an event into the journal, then its outcome out of the books.

A write is answered when its event is synced, the bookkeeper has committed its outcome and, for a change of
the registry, every live edge works with it. One poller waits for all of them together.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from tuike import _core
from tuike.admin.problems import Problem
from tuike.stores.schema import outcomes

TICK_SECONDS = 0.05
POLL_SECONDS = 0.01
OUTCOME_SECONDS = 5.0
EDGES_SECONDS = 2.0
IDS_PER_SELECT = 500
ID_RANDOM_BYTES = 10
WAITING = "waiting"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the bookkeeper made of an event. `number` is its place in the books and the registry's version."""

    number: int
    http: int
    code: str
    result: dict[str, Any]


class Writes:
    """The admin's own journal and the waiters on it. Belongs to one event loop; owns the writer."""

    def __init__(
        self,
        writer: _core.Writer,
        engine: Engine,
        reached: Callable[[], int | None],
        *,
        clock: Callable[[], int],
        random: Callable[[int], bytes],
    ) -> None:
        """`reached` says which registry version all live edges work with; None: there are no edges."""
        self._writer = writer
        self._engine = engine
        self._reached = reached
        self._clock = clock
        self._random = random
        self._now = 0
        self._syncs: dict[int, list[asyncio.Future[None]]] = {}
        self._outcomes: dict[str, asyncio.Future[Outcome]] = {}
        self._edges: list[tuple[int, asyncio.Future[None]]] = []
        self._wanted = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outcomes")
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def problem(self) -> str | None:
        return self._writer.problem

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._writer.fd, self._on_sync)
        self._tasks = [loop.create_task(self._tick()), loop.create_task(self._poll())]

    async def close(self) -> None:
        """Ends the journal's incarnation. Writes still waiting are answered before, by their time limits."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        asyncio.get_running_loop().remove_reader(self._writer.fd)
        self._thread.shutdown()
        await asyncio.to_thread(self._writer.close, self._time())

    async def submit(self, kind: str, request: dict[str, Any], fields: Mapping[str, Any]) -> tuple[str, Outcome | None]:
        """Journals a `registry` or `decision` event, with what else the event says; its id, and its outcome unless the
        books are late."""
        now = self._time()
        event_id = (now.to_bytes(6) + self._random(ID_RANDOM_BYTES)).hex()
        body = msgspec.json.encode(request)
        event = {"kind": kind, "id": event_id, "at": now, "received": now, "source": "admin", "body": body, **fields}
        deadline = asyncio.get_running_loop().time() + OUTCOME_SECONDS
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        await self._record(_core.encode_event(event), deadline)
        self._outcomes[event_id] = outcome
        self._wanted.set()
        try:
            async with asyncio.timeout_at(deadline):
                settled = await outcome
        except TimeoutError:
            return event_id, None
        finally:
            del self._outcomes[event_id]
        if kind == "registry" and settled.http < 400:
            await self._edges_have(settled.number)
        return event_id, settled

    def _time(self) -> int:
        """Never falls: a tick is a promise about everything to come."""
        self._now = max(self._now, self._clock())
        return self._now

    async def _record(self, payload: bytes, deadline: float) -> None:
        """Returns when the event is on the disk."""
        try:
            seq = self._writer.append([payload])
        except _core.JournalFull as error:
            raise Problem("not_recorded", f"the journal cannot take it: {error}") from error
        synced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._syncs.setdefault(seq, []).append(synced)
        self._writer.sync()
        try:
            async with asyncio.timeout_at(deadline):
                await synced
        except TimeoutError as error:
            raise Problem("not_recorded", "the disk does not confirm the write; repeat it with its key") from error

    def _on_sync(self) -> None:
        self._writer.drain()
        durable = self._writer.synced
        for seq in [seq for seq in self._syncs if seq <= durable]:
            for waiter in self._syncs.pop(seq):
                _settle(waiter, None)

    async def _edges_have(self, version: int) -> None:
        """Waits until all live edges work with this registry version; a slow edge holds nobody up for long."""
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (version, seen)
        self._edges.append(entry)
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EDGES_SECONDS):
                await seen
        self._edges.remove(entry)

    async def _tick(self) -> None:
        while True:
            self._writer.tick(self._time())
            await asyncio.sleep(TICK_SECONDS)

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            try:
                if self._outcomes:
                    found = await loop.run_in_executor(self._thread, self._find, list(self._outcomes))
                    for event_id, outcome in found.items():
                        _settle(self._outcomes.get(event_id), outcome)
                if self._edges:
                    reached = await loop.run_in_executor(self._thread, self._reached)
                    for version, seen in self._edges:
                        if reached is None or reached >= version:
                            _settle(seen, None)
            except (DBAPIError, OSError) as error:
                log.warning("waiting for outcomes: %s", error)
            if not self._outcomes and not self._edges:
                self._wanted.clear()
            await asyncio.sleep(POLL_SECONDS)

    def _find(self, event_ids: list[str]) -> dict[str, Outcome]:
        """The outcomes there are; what waits (a settlement that still runs) has none yet."""
        found = {}
        settled = select(outcomes).where(outcomes.c.status != WAITING)
        with self._engine.connect() as connection:
            for some in _chunks(event_ids):
                for row in connection.execute(settled.where(outcomes.c.event_id.in_(some))):
                    found[row.event_id] = Outcome(row.number, row.http, row.code, msgspec.json.decode(row.result))
        return found


def _chunks(ids: list[str]) -> Iterable[list[str]]:
    return (ids[start : start + IDS_PER_SELECT] for start in range(0, len(ids), IDS_PER_SELECT))


def _settle(waiter: "asyncio.Future[Any] | None", value: Any) -> None:
    """A waiter that gave up is left alone."""
    if waiter is not None and not waiter.done():
        waiter.set_result(value)
