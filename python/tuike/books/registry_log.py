"""The registry log: what the edges of a machine must know, told in a journal of its own.

Each start of its writer, and each UTC day, begins a new incarnation with all of it, ended by `ready`; changes
follow. So an edge reads one incarnation, and nothing that was said twice can disagree. Promoters and links are many:
they stand in a snapshot, a file in the incarnation's directory that all workers of a machine map. A thread writes it
while the writer goes on; what changes meanwhile is told once more behind it. The writer is the processor, or on a
machine without one the mirror.
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

from sqlalchemy import Engine, func, select

from tuike import _core
from tuike.books import entries
from tuike.stores import schema
from tuike.stores.bulk import stream

PRODUCER = "registry"
# what edges look for beside the log
SNAPSHOT = "snapshot"
DAY_MS = 86_400_000
HASH_KEY_BYTES = 16
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


class RegistryLog:
    """Writes the log of one machine. Belongs to one process, which is in no transaction when it calls."""

    def __init__(self, books: Engine, root: Path, random: Random) -> None:
        """`books` is a reader's engine, which stays the caller's; `root` is the log's directory."""
        self._books = books
        self._root = root
        self._random = random
        self._thread = ThreadPoolExecutor(1, "registry-snapshot")
        self._log: _Log | None = None
        self._next: _Log | None = None
        self._day = -1
        self._rows = 0
        self._changes = 0
        self.number = 0
        """Of the books: what the log has come to."""

    @property
    def is_beginning(self) -> bool:
        """Whether an incarnation has begun that is not whole."""
        return self._next is not None

    def is_due(self, now: int) -> bool:
        """Whether a new incarnation has to begin: it is another day, changes are many, or the log's disk failed and
        it goes on in an incarnation without a beginning."""
        log = self._log
        if self._next is not None or log is None:
            return False
        many = self._changes > CHANGES_LEAST + self._rows // CHANGES_SHARE
        return now // DAY_MS != self._day or many or log.writer.incarnation != log.incarnation

    def begin(self, few: Iterable[entries.Entry], number: int, now: int) -> None:
        """Begins an incarnation with the `few` entries as of the books' `number`; it takes the place of the one before
        once it is whole."""
        self.abandon(now)
        self._day, self.number = now // DAY_MS, number
        incarnation = int.from_bytes(self._random(8))
        # nothing is lost with it: the next start says it all again
        writer = _core.Writer(str(self._root), PRODUCER, incarnation, durability="process", segment_bytes=SEGMENT_BYTES)
        _write(writer, few, number, now)
        stopped = threading.Event()
        path = self._root / PRODUCER / f"{incarnation:016x}" / SNAPSHOT
        snapshot = self._thread.submit(_write_snapshot, self._books, path, self._random(HASH_KEY_BYTES), stopped)
        self._next = _Log(writer, incarnation, snapshot, stopped)

    def abandon(self, now: int) -> None:
        """Lets go of an incarnation that is not whole, where there is one."""
        log, self._next = self._next, None
        if log is None:
            return
        log.stopped.set()
        wait([log.snapshot])
        log.writer.close(now)
        _remove(self._root / PRODUCER / f"{log.incarnation:016x}")

    def wait(self, now: int) -> None:
        """Waits for the incarnation that has begun to be whole."""
        assert self._next is not None
        wait([self._next.snapshot])
        self._turn(now)

    def append(self, changed: list[entries.Entry], number: int, now: int) -> None:
        """Tells edges what changed up to the books' `number`; the number alone where they need not hear of it, since
        whoever wrote waits for them to say it."""
        self.number = number
        self._changes += len(changed)
        if self._log is not None:
            _write(self._log.writer, changed or [entries.NUMBER], number, now)
        if self._next is not None:
            self._next.missed.append((number, changed))

    def tick(self, now: int) -> None:
        """A new incarnation that is whole takes its place; one whose snapshot failed is let go of, and raises why."""
        if self._next is not None and self._next.snapshot.done():
            failed = self._next.snapshot.exception()
            if failed is not None:
                self.abandon(now)
                raise failed
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

    def _turn(self, now: int) -> None:
        """Makes the next incarnation whole, and drops the older ones."""
        log, before = self._next, self._log
        assert log is not None
        self._rows = log.snapshot.result()
        _write(log.writer, [entries.SNAPSHOT], self.number, now)
        for number, changed in log.missed:
            _write(log.writer, changed, number, now)
        _write(log.writer, [entries.READY], self.number, now)
        self._changes = sum(len(changed) for _, changed in log.missed)
        log.missed = []
        self._log, self._next = log, None
        if before is not None:
            before.writer.close(now)
        for old in (self._root / PRODUCER).iterdir():
            if old.name != f"{log.incarnation:016x}":
                _remove(old)


def _remove(incarnation: Path) -> None:
    """All of it goes out of sight at once."""
    shutil.rmtree(incarnation.rename(incarnation.with_name(f".{incarnation.name}")))


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
