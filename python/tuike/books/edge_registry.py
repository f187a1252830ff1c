"""The registry log: what edges must know, told in a journal of its own.

Each start of the processor, and each UTC day, begins a new incarnation with all of it, ended by `ready`; changes
follow. So an edge reads one incarnation, and nothing that was said twice can disagree. Promoters and links are many:
they stand in a snapshot, a file in the incarnation's directory that all workers of a machine map. A thread writes it
while the processor goes on; what changes meanwhile is told once more behind it.
"""

import json
import shutil
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select

from tuike import _core
from tuike.books import entries
from tuike.data import Data
from tuike.stores import engine, schema
from tuike.stores.bulk import stream
from tuike.stores.schema import daily_keys

PRODUCER = "registry"
# what edges look for beside the log
SNAPSHOT = "snapshot"
DAY_MS = 86_400_000
KEY_BYTES = 32
NONCE_BYTES = 12
HASH_KEY_BYTES = 16
# keys of today and the days ahead, so that an edge cut off from the processor goes on for as long
DAYS_AHEAD = 2
ENTRIES_PER_WRITE = 1_000
ROWS_PER_CALL = 10_000
SEGMENT_BYTES = 4 << 20
# each worker keeps the changes in its own memory: with more than these, and this part of the rows, it starts anew
CHANGES_LEAST = 50_000
CHANGES_SHARE = 16

Random = Callable[[int], bytes]


@dataclass(slots=True)
class _Log:
    """An incarnation, and the work on its snapshot."""

    writer: _core.Writer
    incarnation: int
    snapshot: "Future[int]"
    """How many rows it has."""
    stopped: threading.Event
    missed: list[tuple[int, list[entries.Entry]]] = field(default_factory=list)
    """Changes since the snapshot was begun, with their numbers."""


class EdgeRegistry:
    """Writes the registry log. Belongs to the processor, which is in no transaction when it calls."""

    def __init__(self, books: Engine, data: Data, random: Random) -> None:
        """`books` is the writer's engine."""
        self._books = books
        self._reader = engine.reader(data.books)
        self._root = data.registry
        self._secret = data.secret
        self._random = random
        self._thread = ThreadPoolExecutor(1, "registry-snapshot")
        self._log: _Log | None = None
        self._next: _Log | None = None
        self._day = -1
        self._number = 0
        self._rows = 0
        self._changes = 0

    def is_due(self, now: int) -> bool:
        """Whether a new incarnation has to begin: it is another day, changes are many, or the log's disk failed and
        it goes on in an incarnation without a beginning."""
        log = self._log
        if self._next is not None or log is None:
            return False
        many = self._changes > CHANGES_LEAST + self._rows // CHANGES_SHARE
        return now // DAY_MS != self._day or many or log.writer.incarnation != log.incarnation

    def begin(self, number: int, now: int) -> None:
        """Begins an incarnation at the books' `number`; it takes the place of the one before once it is whole."""
        self._day, self._number = now // DAY_MS, number
        with self._books.begin() as connection:
            self._turn_keys(connection)
            few = list(entries.few(connection))
        incarnation = int.from_bytes(self._random(8))
        # nothing is lost with it: the next start says it all again
        writer = _core.Writer(str(self._root), PRODUCER, incarnation, durability="process", segment_bytes=SEGMENT_BYTES)
        _write(writer, few, number, now)
        stopped = threading.Event()
        path = self._root / PRODUCER / f"{incarnation:016x}" / SNAPSHOT
        snapshot = self._thread.submit(_write_snapshot, self._reader, path, self._random(HASH_KEY_BYTES), stopped)
        self._next = _Log(writer, incarnation, snapshot, stopped)

    def wait(self, now: int) -> None:
        """Waits for the incarnation that has begun to be whole."""
        assert self._next is not None
        wait([self._next.snapshot])
        self._turn(now)

    def append(self, changed: list[entries.Entry], number: int, now: int) -> None:
        """Tells edges what changed up to the books' `number`; the number alone where they need not hear of it, since
        whoever wrote waits for them to say it."""
        assert self._log is not None
        self._number = number
        self._changes += len(changed)
        _write(self._log.writer, changed or [entries.NUMBER], number, now)
        if self._next is not None:
            self._next.missed.append((number, changed))

    def tick(self, now: int) -> None:
        """A new incarnation that is whole takes its place."""
        if self._next is not None and self._next.snapshot.done():
            self._turn(now)
        if self._log is not None:
            self._log.writer.tick(now)

    def close(self, now: int) -> None:
        if self._next is not None:
            self._next.stopped.set()
        self._thread.shutdown()
        for log in (self._next, self._log):
            if log is not None:
                log.writer.close(now)
        self._reader.dispose()

    def _turn(self, now: int) -> None:
        """Makes the next incarnation whole, and drops the older ones."""
        log, before = self._next, self._log
        assert log is not None
        self._rows = log.snapshot.result()
        _write(log.writer, [entries.SNAPSHOT], self._number, now)
        for number, changed in log.missed:
            _write(log.writer, changed, number, now)
        _write(log.writer, [entries.READY], self._number, now)
        self._changes = sum(len(changed) for _, changed in log.missed)
        log.missed = []
        self._log, self._next = log, None
        if before is not None:
            before.writer.close(now)
        for old in (self._root / PRODUCER).iterdir():
            if old.name != f"{log.incarnation:016x}":
                # all of it goes out of sight at once
                shutil.rmtree(old.rename(old.with_name(f".{old.name}")))

    def _turn_keys(self, connection: Connection) -> None:
        """Keeps yesterday's key, makes those up to `DAYS_AHEAD`, destroys the older ones."""
        connection.execute(delete(daily_keys).where(daily_keys.c.day < self._day - 1))
        there = set(connection.scalars(select(daily_keys.c.day)))
        for day in range(self._day, self._day + DAYS_AHEAD + 1):
            if day not in there:
                key = _core.seal(self._secret, "day", self._random(KEY_BYTES), self._random(NONCE_BYTES))
                connection.execute(insert(daily_keys).values(day=day, key=key))


def _write(writer: _core.Writer, told: Iterable[dict[str, Any]], number: int, now: int) -> None:
    payloads = []
    for entry in told:
        body = json.dumps(entry, ensure_ascii=False).encode()
        payloads.append(
            _core.encode_event({"kind": "registry", "at": now, "received": now, "registry": number, "body": body})
        )
        if len(payloads) == ENTRIES_PER_WRITE:
            writer.append(payloads)
            payloads = []
    if payloads:
        writer.append(payloads)


def _write_snapshot(books: Engine, path: Path, hash_key: bytes, stopped: threading.Event) -> int:
    """Writes all promoters and links as they are at some instant after the call; how many there are."""
    with books.begin() as connection:
        tables = (schema.promoters, schema.links)
        promoters, links = (connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables)
        builder = _core.SnapshotBuilder(str(path), hash_key, promoters, links)
        for add, query in (
            (builder.add_promoters, entries.rows(schema.promoters, entries.PROMOTER)),
            (builder.add_links, entries.rows(schema.links, entries.LINK)),
        ):
            rows = stream(connection, query)
            while some := [row for (row,) in islice(rows, ROWS_PER_CALL)]:
                if stopped.is_set():
                    return 0
                add(some)
    builder.finish()
    return promoters + links
