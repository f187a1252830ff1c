"""The bookkeeper where there is more than one machine: `python -m tuike.bookkeeping`, its configuration as JSON in
`TUIKE_BOOKKEEPING`.

Of any number of candidates the one that holds the lease `books` keeps the books; the others wait for its end. It
reads what is no hit from the stream `ORDERS`, waits with orders for the promises of all partitions, and commits
decisions, what they were decided on (`booked`), what edges must hear and its position in one transaction, in which
the lease's token is compared. A successor needs nothing of its disk or memory: what was not committed is read again.
"""

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row
from sqlalchemy.exc import DBAPIError

from tuike import _core, control, erasing, logs, retention
from tuike.books.backlog import Backlog, Item
from tuike.books.bookkeeper import Bookkeeper
from tuike.books.daily_keys import Random
from tuike.books.edge_registry import EdgeNews
from tuike.books.records import Booked
from tuike.config import PAYOUT_MINIMUM
from tuike.data import Data, DataError
from tuike.folder import LEASE_MS, STILL_S, Log, open_log
from tuike.process import BOOK_LIMIT, collect_rarely, touches_kept
from tuike.promises import Promises, of_hits
from tuike.stepping import begin, keep_stepping
from tuike.stores import engine, leases, members, migrations, position, rollups
from tuike.stores.bulk import inserting
from tuike.stores.position import PositionMoved
from tuike.stores.schema import booked as booked_table
from tuike.stores.touches import DAY_MS, SqlTouches
from tuike.transport.entries import CLOSED_FOR_S, ORDERS, Damage, Ends, Packet, Portion, Reached, Reading
from tuike.transport.redis_log import START, order_of

VARIABLE = "TUIKE_BOOKKEEPING"
LEASE = members.BOOKS
STANDBY_S = 1.0
"""Between two attempts of a candidate to get the lease: a dead one's books have moved after `LEASE_MS` and this."""
KEEP_S = 1.0
"""Between commits where nothing is to be booked: they keep the lease and say how far it has come."""
SAY_S = 0.25
"""Between two words to the shippers of how far it has come."""
LOOK_S = 0.05
"""Between looks at the promises of the partitions while orders wait."""
UNCOMMITTED_BYTES = 16 << 20
"""With more than this read and not booked (an import before its closing mark), shippers go on after what was read;
whoever takes over has it sent again from its position."""
ASK_S = 0.5

_INSERT = inserting(booked_table)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What books are kept by."""

    secret: str
    secret_sum: str
    max_levels: int = 3
    payout_minimum: Mapping[str, int] = msgspec.field(default_factory=lambda: PAYOUT_MINIMUM)
    retention_days: int = 0


class Books:
    """The books, while this process holds the lease. Belongs to one thread; after any exception there is no more to it:
    what it has in memory may be ahead of the database."""

    def __init__(self, books: Engine, log: Log, token: int, settings: Settings, random: Random, tick: float) -> None:
        self._engine = books
        self._log = log
        self.token = token
        self._settings = settings
        self._touches = SqlTouches(books)
        self._backlog = Backlog()
        self._news = EdgeNews(settings.secret, random)
        self._forgetting = erasing.Tables(random)
        self._damage: list[Damage] = []
        with books.begin() as connection:
            self.now = members.now(connection)
            leases.hold(connection, LEASE, token, self.now, LEASE_MS)
            members.claim(connection, settings.secret_sum)
            self._seen = position.read(connection, "books", ORDERS)
            self._connection = connection
            self._touches.begin(connection)
            self._keeper = Bookkeeper(
                connection,
                self._touches,
                self._write_booked,
                settings.max_levels,
                settings.payout_minimum,
                settings.secret,
            )
            self._promises = Promises(connection, tick)
        self._reading = Reading.at(self._seen.upto, self._seen.marks, self._promises.closed)
        self._portion = Portion()
        self._cursor = START
        self._trimmed = START
        self._unbooked: deque[tuple[bytes, int, Ends]] = deque()
        self._size = 0
        self._heard = tick
        self._said_closed = False
        self._said_all = tick
        self._asked = self._kept = self._said = self._looked = float("-inf")
        self.applied = 0
        """Messages."""
        self._say(tick)
        # what a predecessor had read and not booked (an import's rows) may be nowhere but in journals
        self._log.ask(ORDERS, self._promises.unfinished)

    @property
    def watermark(self) -> int:
        """Everything received before this instant is in the books, but for sums of hits."""
        return self._promises.watermark

    @property
    def waiting(self) -> int:
        """Messages that were read and are not applied yet."""
        return len(self._backlog)

    def step(self, tick: float) -> bool:
        """Reads and books once. Whether there was anything to do; `tick` is a monotonic clock's seconds."""
        began = time.monotonic()
        most = self._read(tick)
        busy = self._book(tick)
        self._portion.took(most, time.monotonic() - began)
        if tick - self._said >= SAY_S:
            self._say(tick)
        return busy

    # --- reading -----------------------------------------------------------------------------------

    def _read(self, tick: float) -> int:
        """How many packets came."""
        packets = self._log.read({ORDERS: self._cursor}, self._portion.packets).get(ORDERS, [])
        for id, packet in packets:
            self._cursor = id
            self._take(id, packet, tick)
        if packets:
            self._heard = tick
            batch = _core.Batch.of_entries(self._reading.entries)
            self._backlog.add(batch.events())
            self._reading.entries = []
        elif tick - self._heard >= STILL_S and self._cursor != START:
            self._heard = tick
            if order_of(self._log.last_ids([ORDERS])[ORDERS]) < order_of(self._cursor):
                self._cursor = START
        if self._reading.gaps and tick - self._asked >= ASK_S:
            gaps, self._reading.gaps, self._asked = self._reading.gaps, set(), tick
            _log.info("orders lack something of %s", ", ".join(sorted(gaps)))
            self._log.commit({ORDERS: (self._reading.reached(), START)})
            self._log.ask(ORDERS, gaps)
        return len(packets)

    def _take(self, id: bytes, packet: Packet, tick: float) -> None:
        self._reading.take(packet)
        self._damage += packet.damage
        names = {entry.incarnation: entry.producer for entry in packet.entries}
        self._promises.hear(packet.machine, packet.live, names, self.now, tick, packet.named)
        self._unbooked.append((id, packet.size, packet.ends))
        self._size += packet.size

    # --- booking -----------------------------------------------------------------------------------

    def _book(self, tick: float) -> bool:
        registry = self._backlog.take_registry(BOOK_LIMIT)
        steps = self._keeper.has_steps(self.now)
        orders_wait = len(self._backlog) > len(registry)
        look = tick - self._looked >= LOOK_S and (orders_wait or tick - self._kept >= KEEP_S)
        if not (registry or look or steps or self._damage or tick - self._kept >= KEEP_S):
            return False
        with self._engine.begin() as connection:
            self._connection = connection
            self.now = members.now(connection)
            leases.hold(connection, LEASE, self.token, self.now, LEASE_MS)
            if look:
                self._looked = tick
                self._look(connection, tick)
            if registry:
                self._apply_registry(connection, registry)
            # some fraud rules ask for clicks by hour, which are sums
            upto, late = self._promises.due(in_sums=self._keeper.registry.asks_hours)
            orders = self._backlog.take_orders(upto, BOOK_LIMIT, late) if look else []
            idle = not (registry or orders or steps or self._damage or self._promises.changed)
            if idle and tick - self._kept < KEEP_S:
                return False
            news = self._promises.changed
            self._keep(connection, registry, orders, steps)
            if look and len(orders) < BOOK_LIMIT and self._forgetting.is_due(self.now):
                self._forget(connection)
        self._promises.written()
        self._said_closed = self._said_closed and not news
        self._damage = []
        self._kept = tick
        self._let_go()
        if registry:
            self._log.publish(self._keeper.number)
        self.applied += len(registry) + len(orders)
        if len(orders) == BOOK_LIMIT:
            self._looked = float("-inf")
        return bool(registry or orders or steps)

    def _look(self, connection: Connection, tick: float) -> None:
        self._promises.take_lost(connection)
        self._promises.expect(members.machines(connection), self.now, tick)
        old = [i for i, since in self._promises.closed.items() if tick - since >= CLOSED_FOR_S]
        self._reading.forget(old)
        waiting, (touched, summed) = self._backlog.unapplied, of_hits(connection)
        reading = self._reading
        self._promises.look(touched, summed, reading.marks, reading.upto, waiting, self.now, tick)

    def _apply_registry(self, connection: Connection, registry: list[Item]) -> None:
        self._begin_news(connection)
        self._touches.begin(connection)
        changed = self._keeper.apply(connection, registry, [], self.now)
        self._news.tell(connection, changed, self._keeper.number, self.now)

    def _begin_news(self, connection: Connection) -> None:
        if self._news.is_due(self.now):
            self._news.begin(connection, self.now)

    def _keep(self, connection: Connection, registry: list[Item], orders: list[Item], steps: bool) -> None:
        now = self.now
        self._begin_news(connection)
        if orders or steps:
            self._touches.begin(connection)
            self._keeper.apply(connection, [], orders, now)
            if steps:
                self._keeper.step(connection, now)
        self._backlog.applied([*registry, *orders])
        rollups.add_damage(connection, self._damage, now)
        self._promises.write(connection)
        upto = self._backlog.upto(self._reading.upto)
        marks = self._backlog.marks(self._reading.marks)
        self._seen = position.advance(connection, self._seen, upto, marks=marks, token=self.token)

    def _forget(self, connection: Connection) -> None:
        """What erasures ask of the books' tables and the touches; each machine's mirror sees to its journal."""
        number, merchants = self._keeper.number, list(self._keeper.registry.merchants)

        def touches(held: Connection, row: Row[Any], erasure: _core.Erasure) -> int:
            self._backlog.rewrite(lambda message: erasing.rewritten(erasure, message))
            return self._touches.erase(held, row, erasure, merchants)

        # a hit that is written again may be another partition's, so it has to be in the sums; and who is away has still
        # what it received before the request
        if self._forgetting.step(connection, self._promises.whole, number, self.now, touches):
            self._keeper.reload(connection)

    def keep_no_longer(self) -> int:
        """Drops the days of touches that nothing can ask for any more, in transactions of its own, and says which hits
        are past their keeping: each machine's mirror sees to its journal."""
        kept = touches_kept(self._keeper.registry)
        with self._engine.begin() as connection:
            leases.hold(connection, LEASE, self.token, self.now, LEASE_MS)
            retention.note(connection, self._settings.retention_days, kept, self.now)
        return self._touches.drop_before(self.now - kept)

    def _write_booked(self, records: Sequence[Booked]) -> None:
        _INSERT.run(self._connection, [(record.number, msgspec.json.encode(record)) for record in records])

    # --- what shippers hear ------------------------------------------------------------------------

    def _let_go(self) -> None:
        """Of packets that are wholly booked."""
        reached = Reached(dict(self._seen.upto), dict(self._seen.marks))
        while self._unbooked and reached.covers(self._unbooked[0][2]):
            self._trimmed, size, _ = self._unbooked.popleft()
            self._size -= size

    def _say(self, tick: float) -> None:
        self._said = tick
        if self._size > UNCOMMITTED_BYTES:
            self._log.commit({ORDERS: (self._reading.reached(), self._cursor)})
        else:
            reached = Reached(dict(self._seen.upto), dict(self._seen.marks))
            self._log.commit({ORDERS: (reached, self._trimmed)})
        if not self._said_closed or tick - self._said_all >= CLOSED_FOR_S / 3:
            self._log.say_closed(self._promises.closed)
            self._said_closed, self._said_all = True, tick


class Candidate:
    """One that would keep the books: it does while it has the lease."""

    def __init__(self, books: Engine, log: Log, name: str, settings: Settings, random: Random = os.urandom) -> None:
        """`name` is this process's alone, for ever."""
        self._engine = books
        self._log = log
        self._name = name
        self._settings = settings
        self._random = random
        self._next = 0.0
        self._day = -1
        self.books: Books | None = None

    def prepare(self) -> None:
        """Makes the tables where there are none. Raises DataError where database or Redis will never do."""
        migrations.upgrade(self._engine)
        self._log.check()

    def step(self, tick: float) -> bool:
        """Whether there was anything to do. After an exception of SQL's or Redis' it goes on with the next step."""
        try:
            if self.books is None:
                return self._claim(tick)
            busy = self.books.step(tick)
            self._turn_day()
            return busy
        except PositionMoved as moved:
            _log.info("%s", moved)
            self._lose()
            return False
        except BaseException:
            self._lose()
            raise

    def close(self) -> None:
        """Gives the lease back, so that another need not wait."""
        if self.books is not None:
            with suppress(DBAPIError), self._engine.begin() as connection:
                leases.release(connection, LEASE, self.books.token)
        self._lose()
        self._log.close()
        self._engine.dispose()

    def _claim(self, tick: float) -> bool:
        if tick < self._next:
            return False
        self._next = tick + STANDBY_S
        with self._engine.begin() as connection:
            leases.end_stalled(connection)
            token = leases.claim(connection, LEASE, self._name, members.now(connection), LEASE_MS, wait=False)
        if token is None:
            return False
        self.books = Books(self._engine, self._log, token, self._settings, self._random, tick)
        _log.info("keeps the books, under token %d", token)
        return True

    def _turn_day(self) -> None:
        assert self.books is not None
        day = self.books.now // DAY_MS
        if day != self._day and self.books.now:
            self._day = day
            self.books.keep_no_longer()

    def _lose(self) -> None:
        """Forgets all that is not in the database. The lease stays its own until it ends."""
        self.books = None
        self._log.reset()


@dataclass(frozen=True)
class Config:
    """What a candidate is started with; `payout_minimum` in minor units. Without `redis` it fetches from machines."""

    data: str
    database: str
    redis: str
    max_levels: int
    payout_minimum: dict[str, int]
    retention_days: int = 0


def main() -> None:
    logs.configure()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = msgspec.json.decode(os.environ[VARIABLE], type=Config)
    data = Data.open(Path(config.data))
    stop = threading.Event()
    control.watch(stop)
    collect_rarely()
    name, database = leases.new_holder(), engine.parse(config.database)
    log = open_log(config.redis, config.data, database, name)
    settings = Settings(data.secret, data.secret_sum, config.max_levels, config.payout_minimum, config.retention_days)
    candidate = Candidate(engine.open_writer(database), log, name, settings)
    try:
        begin(candidate.prepare, stop)
        control.say_ready()
        keep_stepping(candidate.step, stop)
    except members.OtherSecret:
        sys.exit(f"tuike: {data.root}: the books were made under another secret; set TUIKE_SECRET to theirs")
    except DataError as error:
        sys.exit(f"tuike: {error}")
    candidate.close()


if __name__ == "__main__":
    main()
