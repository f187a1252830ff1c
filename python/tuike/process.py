"""The processor: follows the journals, folds hits, keeps the books. One process, one thread.

Each step reads what is new, folds its hits into touches and rollups, then gives registry writes and,
behind the watermark, orders to the bookkeeper. Each fold commits its position with its effects, so a
step that is killed anywhere is done once, by whoever starts next. Whatever cannot be done (a full disk)
ends the process: nothing in memory outlives a transaction that failed. A server that is away ends the processor, not
the process: it begins anew from what was committed, again and again until the server is back.
"""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Row
from sqlalchemy.exc import DBAPIError

from tuike import _core, control, erasing, memory, retention
from tuike.books.backlog import Backlog
from tuike.books.bookkeeper import Bookkeeper
from tuike.books.daily_keys import Random
from tuike.books.edge_registry import EdgeRegistry
from tuike.books.records import Booked
from tuike.books.settings import DAY_MS
from tuike.books.state import Registry
from tuike.clock import wall
from tuike.config import PAYOUT_MINIMUM
from tuike.data import Data
from tuike.stores import engine, migrations, position, rollups
from tuike.stores.breaker import Breaker
from tuike.stores.position import Position
from tuike.tenure import Tenure
from tuike.touch_server import TouchServer

PRODUCER = "books"
ALL = 2**63 - 1
"""Of an incarnation, for a read up to a number: whatever there is."""
# of one step: behind, a row of sums stands for more hits, and the touches are enough for a table of their own
READ_LIMIT = 100_000
# orders of a commit, where so many wait: each page is written once however many of them touch it
BOOK_LIMIT = 4_000
# booked records that are journalled with one sync, bytes: orders with long paths add up
JOURNAL_BYTES = 4 << 20
SYNC_TIMEOUT_S = 30.0
# between steps: gathers hits into fewer transactions, and leaves the cores to the edge
REST_AFTER_WORK_S = 0.010
REST_IDLE_MIN_S = 0.005
REST_IDLE_MAX_S = 0.020
DRAIN_S = 2.0
# between two times that what bursts took is given back
GIVE_BACK_S = 60.0
GC_THRESHOLDS = (100_000, 20, 100)
# touches are kept this long beyond the longest attribution window
KEPT_BEYOND_WINDOW_DAYS = 30
WINDOW_MIN_DAYS = 30

Clock = Callable[[], int]


class Processor:
    """The one processor of a data directory; it holds `processor.lock`."""

    def __init__(
        self,
        data: Data,
        *,
        max_levels: int = 3,
        payout_minimum: Mapping[str, int] = PAYOUT_MINIMUM,
        retention_days: int = 0,
        now: Clock = wall,
        random: Random = os.urandom,
    ) -> None:
        self._now = now
        self._journal = str(data.journal)
        self._backlog = Backlog()
        self._day = now() // DAY_MS
        with ExitStack() as opened:
            opened.enter_context(data.lock("processor.lock"))
            self._engine = engine.open_writer(data.database)
            opened.callback(self._engine.dispose)
            migrations.upgrade(self._engine)
            self._tenure = Tenure.of_books(self._engine, data, now())
            self.touches = opened.enter_context(closing(_core.TouchStore(str(data.touches))))
            self._edges = EdgeRegistry(self._engine, data, random)
            opened.callback(lambda: self._edges.close(now()))
            self._begin(max_levels, payout_minimum, data.secret)
            self._forgetting = erasing.Tables(random)
            self._machine = data.machine
            self._stale = True  # the database's log has keys or people that have to be forgotten
            self._journals = erasing.Journals(self._engine, data, self._machine)
            opened.callback(self._journals.close)
            self._retention_days = retention_days
            self._retention = retention.Retention(data)
            opened.callback(self._retention.close)
            self._opened = opened.pop_all()
        # opened when there is something to write: a processor that fails and starts over leaves no segments behind
        self._booked: _core.Writer | None = None
        self._unsynced = 0  # what was written last and may not be on the disk yet; 0: it is
        self._incarnation = int.from_bytes(random(8))
        self._said: dict[int, int] = {}  # what booked records say was folded
        self._follower = _core.Follower(self._journal)
        self._keep_no_longer(now())
        self._promised = 0
        self.more = False
        self.watermark = 0
        """Everything received before this instant is in the books."""

    def _begin(self, max_levels: int, payout_minimum: Mapping[str, int], secret: str) -> None:
        """Takes up what is committed, and tells edges."""
        with self._engine.begin() as connection:
            self._tenure.hold(connection, self._now())
            self._hits = position.read(connection, "hits")
            self._books = position.read(connection, "books")
            self._read = dict(self._hits.upto)
            self._bookkeeper = Bookkeeper(
                connection, self.touches, self._journal_booked, max_levels, payout_minimum, secret
            )
            self._bookkeeper.recover(connection, self._catch_up(), self._backlog, self._now())
        self._edges.begin(self._bookkeeper.number, self._now())
        self._edges.wait(self._now())

    @property
    def forest(self) -> _core.Forest:
        """Who invited whom, as the books have it now."""
        return self._bookkeeper.registry.forest

    def run(self, stop: threading.Event) -> None:
        """Steps until `stop` is set, then until what was read is applied, for `DRAIN_S` at most."""
        rest = REST_IDLE_MIN_S
        worked, gave_back = False, time.monotonic()
        while not stop.is_set():
            if self.step():
                rest, worked = REST_IDLE_MIN_S, True
                stop.wait(0 if self.more else REST_AFTER_WORK_S)
            else:
                if worked and time.monotonic() - gave_back >= GIVE_BACK_S:
                    memory.give_back()
                    worked, gave_back = False, time.monotonic()
                stop.wait(rest)
                rest = min(2 * rest, REST_IDLE_MAX_S)
        until = time.monotonic() + DRAIN_S
        while (self.step() or self.waiting) and time.monotonic() < until:
            time.sleep(0 if self.more else REST_IDLE_MIN_S)

    @property
    def waiting(self) -> int:
        """Messages that were read and are not applied yet."""
        return len(self._backlog)

    def step(self) -> bool:
        """One batch. Whether there was anything to do."""
        now = self._now()
        if now // DAY_MS != self._day:
            self._begin_day(now)
        if self._edges.is_due(now):
            self._edges.begin(self._bookkeeper.number, now)
            self._stale = True
        if self._booked is not None:
            self._booked.tick(now)
        self._edges.tick(now)
        self._tenure.keep(self._engine, now)
        batch = self._follower.read(self._read, self._room(), now)
        self._backlog.add(batch.events())
        self._read.update(batch.upto)
        self._promised = batch.watermark
        folded = self._fold(batch, now)
        booked = self._book(batch.watermark, now)
        self.more = batch.more or booked == BOOK_LIMIT
        if not self.more:
            self.watermark = batch.watermark
        self._forget(now)
        return folded or booked > 0

    def close(self) -> None:
        if self._booked is not None:
            self._booked.close(self._now())
        self._opened.close()

    def _room(self) -> int:
        """How many events may be read: what may be booked goes first, lest more and more of it wait in memory."""
        wait = len(self._backlog) if self._backlog.is_due(self._promised) else 0
        return max(0, READ_LIMIT - wait)

    def _fold(self, batch: _core.Batch, now: int) -> bool:
        """Folds a batch's hits, and moves the position, in one transaction."""
        counts = batch.hit_counts()
        damage = batch.damage
        if not counts and not damage:
            return False
        self.touches.put(batch)
        self.touches.persist(True)
        with self._engine.begin() as connection:
            self._tenure.hold(connection, now)
            rollups.add_rollups(connection, batch.rollups())
            rollups.add_hit_counts(connection, counts)
            rollups.add_damage(connection, damage, now)
            hits = self._advance(connection, self._hits, self._read)
            # with nothing waiting the books have come as far, and a start need not read it all again
            books = self._books if len(self._backlog) else self._advance(connection, self._books, self._read)
        self._hits, self._books = hits, books
        return True

    def _book(self, watermark: int, now: int) -> int:
        """Gives the bookkeeper what is due; how many messages that was."""
        registry = self._backlog.take_registry(BOOK_LIMIT)
        orders = self._backlog.take_orders(watermark, BOOK_LIMIT)
        steps = self._bookkeeper.has_steps(now)
        if not registry and not orders and not steps:
            return 0
        with self._engine.begin() as connection:
            self._tenure.hold(connection, now)
            changed = self._bookkeeper.apply(connection, registry, orders, now)
            if steps:
                self._bookkeeper.step(connection, now)
            self._backlog.applied([*registry, *orders])
            books = self._advance(connection, self._books, self._backlog.upto(self._read))
            hits = self._advance(connection, self._hits, self._read)
            self._wait_journalled()
        self._books, self._hits = books, hits
        if registry:
            self._edges.append(changed, self._bookkeeper.number, now)
        return max(len(registry), len(orders), steps)

    def _advance(self, connection: Connection, seen: Position, upto: Mapping[int, int]) -> Position:
        return position.advance(connection, seen, upto, token=self._tenure.token)

    def _forget(self, now: int) -> None:
        """What erasures ask for, when it is time."""
        ended = self._journals.ended
        self._journals.step(now, lambda held: self._tenure.hold(held, now), lambda _: [self._machine])
        self._stale |= self._journals.ended > ended
        if not self._forgetting.is_due(now):
            return
        with self._engine.begin() as connection:
            self._tenure.hold(connection, now)
            number = self._bookkeeper.number
            if self._forgetting.step(connection, self.watermark, number, now, self._forget_touches):
                self._bookkeeper.reload(connection)
                self._stale = True
        self._stale = self._stale and not engine.forget(self._engine)

    def _forget_touches(self, _connection: Connection, _row: Row[Any], erasure: _core.Erasure) -> int:
        self._backlog.rewrite(lambda message: erasing.rewritten(erasure, message))
        return self.touches.erase(erasure, list(self._bookkeeper.registry.merchants))

    def _journal_booked(self, booked: Sequence[Booked]) -> None:
        now = self._now()
        payloads: list[bytes] = []
        size = 0
        for record in self._having_seen([record.journalled for record in booked]):
            body = msgspec.json.encode(record)
            payloads.append(_core.encode_event({"kind": "booked", "at": record.at, "received": now, "body": body}))
            size += len(body)
            if size >= JOURNAL_BYTES:
                self._write_booked(payloads)
                payloads, size = [], 0
        if payloads:
            self._write_booked(payloads)

    def _having_seen(self, booked: Sequence[Booked]) -> Sequence[Booked]:
        """With the first of them saying what was folded since the records before."""
        news = {f"{number:016x}": seq for number, seq in self._read.items() if self._said.get(number) != seq}
        self._said = dict(self._read)
        return [msgspec.structs.replace(booked[0], seen=news), *booked[1:]]

    def _write_booked(self, payloads: Sequence[bytes]) -> None:
        """Writes them; they are synced beside what is done next, and at the latest before more is written."""
        if self._booked is None:
            self._booked = _core.Writer(self._journal, PRODUCER, self._incarnation)
        self._wait_journalled()
        self._unsynced = self._booked.append(payloads)
        self._booked.sync()

    def _wait_journalled(self) -> None:
        """Nothing is committed that is not in the journal, on the disk."""
        if self._booked is None or not self._unsynced:
            return
        if not self._booked.wait_synced(self._unsynced, SYNC_TIMEOUT_S):
            raise TimeoutError(f"the books' journal was not synced in {SYNC_TIMEOUT_S:.0f} s")
        self._unsynced = 0

    def _catch_up(self) -> list[Booked]:
        """What was booked and is not posted; reads into the backlog what it was booked of, and what else the books have
        not got and the hits' position is past.

        What lies beyond that position comes once more with its hits, and the backlog passes it over.
        """
        _sync_booked(self._journal)
        own = {number: ALL for producer, number, _ in _core.incarnations(self._journal) if producer == PRODUCER}
        booked = [
            msgspec.json.decode(fields["body"], type=Booked)
            for batch in self._beyond_books(own)
            for _, _, _, fields in batch.events()
            if fields["kind"] == "booked"
        ]
        upto = dict(self._hits.upto)
        for record in booked:
            for name, seq in record.seen.items():
                number = int(name, 16)
                upto[number] = max(upto.get(number, 0), seq)
        for batch in self._beyond_books({number: seq for number, seq in upto.items() if number not in own}):
            self._backlog.add(batch.events())
        return booked

    def _beyond_books(self, upto: Mapping[int, int]) -> Iterator[_core.Batch]:
        """What the books have not got, up to these numbers."""
        follower = _core.Follower(self._journal)
        read = dict(self._books.upto)
        more = True
        while more:
            batch = follower.read(read, READ_LIMIT, self._now(), upto)
            read.update(batch.upto)
            more = batch.more
            yield batch

    def _begin_day(self, now: int) -> None:
        self._day = now // DAY_MS
        self.touches.drop_before(now - touches_kept(self._bookkeeper.registry))
        self._keep_no_longer(now)

    def _keep_no_longer(self, now: int) -> None:
        """Begins to take people out of hits that are past their keeping, and folded."""
        touches = touches_kept(self._bookkeeper.registry)
        with self._engine.begin() as connection:
            self._tenure.hold(connection, now)
            before = retention.note(connection, self._retention_days, touches, now)
            folded = retention.folded(connection)
        self._retention.begin(before, folded)


def _sync_booked(journal: str) -> None:
    """What a killed processor booked may not be on the disk yet: nothing of it is posted before it is."""
    for producer, _, path in _core.incarnations(journal):
        if producer == PRODUCER:
            for index in _core.journal_segments(path):
                with (Path(path) / f"{index:06}.seg").open("rb") as segment:
                    os.fsync(segment.fileno())


def touches_kept(registry: Registry) -> int:
    """How long touches are kept, ms: as long as any product's window reaches, and some days more."""
    windows = [product.attribution.window for product in registry.products.values()]
    return max([WINDOW_MIN_DAYS * DAY_MS, *windows]) + KEPT_BEYOND_WINDOW_DAYS * DAY_MS


def collect_rarely() -> None:
    """For a process that keeps books: what a batch allocates goes with it, by its counts of references. Looking for
    cycles among so many objects as often as Python does by itself costs a fifth of the time, and finds none."""
    gc.set_threshold(*GC_THRESHOLDS)


def run_processor(data: Data, *, max_levels: int, payout_minimum: Mapping[str, int], retention_days: int = 0) -> None:
    """Runs the processor until it is told to stop: see `control`. Without its server it tries again."""
    collect_rarely()
    stop = threading.Event()
    control.watch(stop)
    breaker = Breaker(data.database, data.books_away)
    with data.needing_room("make room, and what waits is processed"):
        while not stop.is_set():
            try:
                with (
                    closing(
                        Processor(
                            data, max_levels=max_levels, payout_minimum=payout_minimum, retention_days=retention_days
                        )
                    ) as processor,
                    TouchServer(
                        data.processor_socket, processor.touches, lambda: processor.watermark, lambda: processor.forest
                    ),
                ):
                    breaker.close()
                    control.say_ready()
                    processor.run(stop)
            except DBAPIError as error:
                pause = breaker.open(error)
                control.say_ready()  # the edge needs no database
                stop.wait(pause)
