"""Events that a command brings in: journaled, then applied, by the running processor or here.

The producer's journal is named by the caller; what an earlier run under the same name has written is
found again, so that running a command twice brings nothing in twice.
"""

import errno
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError, OperationalError

from tuike import _core
from tuike.books.backlog import Backlog
from tuike.books.bookkeeper import Bookkeeper
from tuike.books.touches import NoTouches
from tuike.clock import wall
from tuike.config import PAYOUT_MINIMUM
from tuike.data import Data, DataError, DataInUse
from tuike.process import Processor, collect_rarely
from tuike.stores import engine, moving, position, schema

POLL = 0.02
"""Seconds between looks at what the running processor has applied."""
LOOK = 3.0
"""Seconds between looks whether it still runs."""
ROOM = 16 << 20
"""Bytes on the disk under which a processor that gets nowhere is taken to lack room."""
SYNC_TIMEOUT = 60.0
LOOKUP = 500
"""Ids asked for with one query."""
KNOWN_CODES = 1 << 20
"""Codes whose existence is remembered."""

Event = dict[str, Any]


class Submission:
    """One run of one producer. Use it as a context: its journal is closed at the end."""

    def __init__(
        self, data: Data, producer: str, max_levels: int = 3, payout_minimum: Mapping[str, int] = PAYOUT_MINIMUM
    ) -> None:
        """`max_levels` and `payout_minimum` are for where no processor runs, and this one books."""
        self._data = data
        self._producer = producer
        self._settings: dict[str, Any] = {"max_levels": max_levels, "payout_minimum": payout_minimum}
        self._ids: dict[str, int] = {}
        self._writer: _core.Writer | None = None
        self._appended = 0
        self.lines: set[int] = set()
        self.closed = False
        self.total = 0
        for _, path in self._incarnations():
            for _, payload in _core.JournalReader(path):
                self._note(_core.decode_event(payload))
        # from the start: it makes the tables and the daily keys, where there are none yet
        self._processor = self._take_over()

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
        now = wall()
        if self._writer is None:
            self._writer = _core.Writer(str(self._data.journal), self._producer, secrets.randbits(63) or 1)
        self._appended = self._writer.append([_core.encode_event(event | {"received": now}) for event in events])
        self._writer.tick(now)  # else orders would wait for a sign of life
        for event in events:
            self._note(event)

    def close(self) -> None:
        """The closing mark: orders of an import are applied once it is read, sorted by their time."""
        self.append([{"kind": "close", "id": secrets.token_hex(16), "at": wall()}])

    def wait(self, applied: Callable[[int], None] = lambda count: None) -> None:
        """Ends the journal and returns when all of it is applied; calls back with how much more that is.

        Raises OSError (ENOSPC) where the running processor gets nowhere for want of room."""
        self._end()
        seen = 0
        for done in self._progress():
            applied(done - seen)
            seen = done
            if done == self.total:
                return

    def follow(self, reached: Callable[[Connection], bool]) -> None:
        """Goes on after `wait` until the books have come as far as is wanted: asks again and again."""
        books = engine.open_reader(self._data.database)
        try:
            for _ in self._progress():
                with books.connect() as connection:
                    if reached(connection):
                        return
        finally:
            books.dispose()

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.sync()
            if not self._writer.wait_synced(self._appended, SYNC_TIMEOUT):
                raise DataError(f"{self._data.journal}: could not be synced in {SYNC_TIMEOUT:.0f} s; look at the disk")
            self._writer.close(wall())
            self._writer = None

    def _progress(self) -> Iterator[int]:
        """How many of the events are applied, again and again; applies them itself where nobody else does."""
        books = engine.open_reader(self._data.database)
        looked, alone, applied, before = time.monotonic(), False, 0, -1
        try:
            while True:
                if self._processor is not None:
                    self._processor.step()
                else:
                    time.sleep(POLL)
                    if time.monotonic() - looked >= LOOK:
                        if applied == before:
                            self._check_room()
                        # alone at two looks: an instance that only starts again is given its time
                        looked, before, was_alone, alone = time.monotonic(), applied, alone, self._is_alone()
                        self._processor = self._take_over() if alone and was_alone else None
                applied = self._applied(books)
                yield applied
        finally:
            books.dispose()

    def _check_room(self) -> None:
        """A processor on a full disk tries again for good, and says it in its own log only."""
        if shutil.disk_usage(self._data.root).free < ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._data.root))

    def _is_alone(self) -> bool:
        """Whether neither an instance nor a processor by itself runs on the data directory."""
        try:
            for name in ("lock", "processor.lock"):
                self._data.lock(name).close()
        except DataInUse:
            return False
        return True

    def _take_over(self) -> Processor | None:
        """The processor's part, where nobody else has it, nor an instance that would start its own again."""
        if not self._is_alone():
            return None
        collect_rarely()
        try:
            return Processor(self._data, **self._settings)
        except DataInUse:
            return None

    def _applied(self, books: Engine) -> int:
        try:
            with books.connect() as connection:
                folds = [position.read(connection, "hits").upto, position.read(connection, "books").upto]
        except DBAPIError as error:  # a processor that has only begun is still making the tables
            if isinstance(error, OperationalError) or engine.lacks_tables(error):
                return 0
            raise
        return sum(min(fold.get(incarnation, 0) for fold in folds) for incarnation, _ in self._incarnations())

    def refused(self) -> list[tuple[int, str]]:
        """Lines that the books set aside, with the reason; call it after `wait`."""
        books = engine.open_reader(self._data.database)
        try:
            with books.connect() as connection:
                return _set_aside(connection, self._ids)
        finally:
            books.dispose()

    def rehearse(self, events: Sequence[Event]) -> list[tuple[int, str]]:
        """Lines that the books would set aside as they stand now. Nothing is journaled or applied."""
        backlog = Backlog()
        received = wall()
        whole = [*events, {"kind": "close", "id": secrets.token_hex(16)}]
        backlog.add((0, seq, self._producer, event | {"received": received}) for seq, event in enumerate(whole, 1))
        with TemporaryDirectory(dir=self._data.run) as directory:
            books = moving.copy(self._data.database, Path(directory) / "books.sqlite")
            try:
                with books.begin() as connection:
                    keeper = Bookkeeper(connection, NoTouches(), lambda booked: None, **self._settings)
                    while len(backlog):
                        registry, orders = backlog.take_registry(LOOKUP), backlog.take_orders(received + 1, LOOKUP)
                        keeper.apply(connection, registry, orders)
                        backlog.applied([*registry, *orders])
                    return _set_aside(connection, {event["id"]: event["line"] for event in events})
            finally:
                books.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # what has not been waited for stays as a killed run would leave it
        self._writer = None
        if self._processor is not None:
            self._processor.close()


def _set_aside(connection: Connection, lines: Mapping[str, int]) -> list[tuple[int, str]]:
    """Of the events whose lines are given by their ids, those that the books set aside, with the reason."""
    found = []
    ids = list(lines)
    outcomes = schema.outcomes.c
    query = select(outcomes.event_id, outcomes.code, outcomes.result).where(outcomes.status == "set_aside")
    for start in range(0, len(ids), LOOKUP):
        for row in connection.execute(query.where(outcomes.event_id.in_(ids[start : start + LOOKUP]))):
            detail = json.loads(row.result).get("detail", "")
            found.append((lines[row.event_id], f"{row.code}: {detail}" if detail else row.code))
    return found


class Codes:
    """What an importer must know of the registry, read from the books."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._engine = engine.open_reader(data.database)
        self.merchant = lru_cache(KNOWN_CODES)(self._merchant)
        self.binds = lru_cache(KNOWN_CODES)(self._binds)
        self.promoter = lru_cache(KNOWN_CODES)(self._promoter)
        self.currency = lru_cache(KNOWN_CODES)(self._currency)
        self.day_key = lru_cache(1)(self._day_key)

    def _one(self, column: Any, *where: Any) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(select(column).where(*where)).scalar_one_or_none()

    def _merchant(self, product: str) -> str | None:
        found: str | None = self._one(schema.products.c.merchant, schema.products.c.id == product)
        return found

    def _binds(self, product: str) -> bool:
        settings = self._one(schema.products.c.attribution, schema.products.c.id == product)
        return bool(json.loads(settings)["binding"] != "none")

    def _promoter(self, promoter: str) -> bool:
        return self._one(schema.promoters.c.id, schema.promoters.c.id == promoter) is not None

    def _currency(self, merchant: str) -> str:
        found: str = self._one(schema.merchants.c.currency, schema.merchants.c.id == merchant)
        return found

    def _day_key(self, now: int) -> bytes:
        day = now // 86_400_000
        sealed = self._one(schema.daily_keys.c.key, schema.daily_keys.c.day == day)
        return _core.unseal(self._data.secret, "day", sealed)
