"""Events that a command brings in: journaled, then applied, by the running processor or here.

The producer's journal is named by the caller; what an earlier run under the same name has written is
found again, so that running a command twice brings nothing in twice.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Engine, select
from sqlalchemy.exc import OperationalError

from tuike import _core
from tuike.data import Data, DataError, DataInUse
from tuike.process import Processor
from tuike.stores import engine, position, schema

POLL = 0.02
"""Seconds between looks at what the running processor has applied."""
SYNC_TIMEOUT = 60.0
LOOKUP = 500
"""Ids asked for with one query."""
KNOWN_CODES = 1 << 20
"""Codes whose existence is remembered."""

Event = dict[str, Any]


def catch_up(data: Data) -> None:
    """Where no processor runs, runs one until nothing waits: then there are tables, today's key and all that was
    journaled. Where one runs, it sees to that."""
    try:
        processor = Processor(data)
    except DataInUse:
        return
    try:
        while processor.step() or processor.waiting:
            pass
    finally:
        processor.close()


class Submission:
    """One run of one producer. Use it as a context: its journal is closed at the end."""

    def __init__(self, data: Data, producer: str) -> None:
        self._data = data
        self._producer = producer
        self._ids: dict[str, int] = {}
        self._writer: _core.Writer | None = None
        self._appended = 0
        self.lines: set[int] = set()
        self.closed = False
        self.total = 0
        for _, path in self._incarnations():
            for _, payload in _core.JournalReader(path):
                self._note(_core.decode_event(payload))

    def _incarnations(self) -> list[tuple[int, str]]:
        found = _core.incarnations(str(self._data.journal))
        return [(number, path) for producer, number, path in found if producer == self._producer]

    def _note(self, event: Event) -> None:
        self.total += 1
        self.closed |= event["kind"] == "close"
        self.lines.add(event.get("line", 0))
        if event["kind"] not in ("click", "view", "close"):
            self._ids[event["id"]] = event.get("line", 0)

    def append(self, events: Sequence[Event]) -> None:
        """Journals events, given by their fields; they are received now."""
        if not events:
            return
        now = time.time_ns() // 1_000_000
        if self._writer is None:
            self._writer = _core.Writer(str(self._data.journal), self._producer, secrets.randbits(63) or 1)
        self._appended = self._writer.append([_core.encode_event(event | {"received": now}) for event in events])
        self._writer.tick(now)  # else orders would wait for a sign of life
        for event in events:
            self._note(event)

    def close(self) -> None:
        """The closing mark: orders of an import are applied once it is read, sorted by their time."""
        self.append([{"kind": "close", "id": secrets.token_hex(16), "at": time.time_ns() // 1_000_000}])

    def wait(self, applied: Callable[[int], None] = lambda count: None) -> None:
        """Ends the journal and returns when all of it is applied; calls back with how much more that is."""
        self._end()
        seen = 0
        for done in self._progress():
            applied(done - seen)
            seen = done
            if done == self.total:
                return

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.sync()
            if not self._writer.wait_synced(self._appended, SYNC_TIMEOUT):
                raise DataError(f"{self._data.journal}: could not be synced in {SYNC_TIMEOUT:.0f} s; look at the disk")
            self._writer.close(time.time_ns() // 1_000_000)
            self._writer = None

    def _progress(self) -> Iterator[int]:
        """How many of the events are applied, again and again; applies them itself where nobody else does."""
        try:
            processor = Processor(self._data)
        except DataInUse:  # the instance runs, and its processor applies them
            processor = None
        books = engine.reader(self._data.books)
        try:
            while True:
                if processor is not None:
                    processor.step()
                else:
                    time.sleep(POLL)
                yield self._applied(books)
        finally:
            books.dispose()
            if processor is not None:
                processor.close()

    def _applied(self, books: Engine) -> int:
        try:
            with books.connect() as connection:
                folds = [position.read(connection, "hits").upto, position.read(connection, "books").upto]
        except OperationalError:  # a processor that has only begun is still making the tables
            return 0
        return sum(min(fold.get(incarnation, 0) for fold in folds) for incarnation, _ in self._incarnations())

    def refused(self) -> list[tuple[int, str]]:
        """Lines that the books set aside, with the code; call it after `wait`."""
        found = []
        ids = list(self._ids)
        outcomes = schema.outcomes.c
        with engine.reader(self._data.books).connect() as connection:
            for start in range(0, len(ids), LOOKUP):
                chunk = ids[start : start + LOOKUP]
                query = select(outcomes.event_id, outcomes.code, outcomes.result)
                for row in connection.execute(
                    query.where(outcomes.event_id.in_(chunk), outcomes.status == "set_aside")
                ):
                    detail = json.loads(row.result).get("detail", "")
                    found.append((self._ids[row.event_id], f"{row.code}: {detail}" if detail else row.code))
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()


class Codes:
    """What an importer must know of the registry, read from the books."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._engine = engine.reader(data.books)
        self.merchant = lru_cache(KNOWN_CODES)(self._merchant)
        self.promoter = lru_cache(KNOWN_CODES)(self._promoter)
        self.currency = lru_cache(KNOWN_CODES)(self._currency)
        self.day_key = lru_cache(1)(self._day_key)

    def _one(self, column: Any, *where: Any) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(select(column).where(*where)).scalar_one_or_none()

    def _merchant(self, product: str) -> str | None:
        found: str | None = self._one(schema.products.c.merchant, schema.products.c.id == product)
        return found

    def _promoter(self, promoter: str) -> bool:
        return self._one(schema.promoters.c.id, schema.promoters.c.id == promoter) is not None

    def _currency(self, merchant: str) -> str:
        found: str = self._one(schema.merchants.c.currency, schema.merchants.c.id == merchant)
        return found

    def _day_key(self, now: int) -> bytes:
        day = now // 86_400_000
        sealed = self._one(schema.daily_keys.c.key, schema.daily_keys.c.day == day)
        return _core.unseal(self._data.secret, "day", sealed)
