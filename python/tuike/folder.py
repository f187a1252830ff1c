"""A folder of hits, one of any number: `python -m tuike.folder`, its configuration as JSON in `TUIKE_FOLDER`.

It holds partitions by leases and reads what shippers send of them. Orders wait for touches, so these are committed as
they come; sums of all that has come since are committed every few seconds, when each row stands for many hits, and
written in portions between touches. Each of the two has its position, moved in the same transaction, in which the
leases' tokens and the positions' versions are compared. So two that both believe that they hold a partition apply
nothing twice: the second one's transaction ends without effect, and it looks again at what it has. Whatever fails is
forgotten and read again from the position of the sums; touches that are there already are passed over.
"""

import logging
import math
import os
import sys
import threading
import time
from collections.abc import Container, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError

from tuike import _core, control, logs
from tuike.data import Data, DataError
from tuike.process import collect_rarely
from tuike.stepping import begin, keep_stepping
from tuike.stores import engine, leases, members, migrations, position, rollups
from tuike.stores.position import Position, PositionMoved
from tuike.stores.touches import SqlTouches
from tuike.transport.entries import CLOSED_FOR_S, PARTITIONS, Applicable, Portion, Reached, Reading
from tuike.transport.http_log import HttpLog
from tuike.transport.redis_log import START, Failed, RedisLog, order_of

Log = RedisLog | HttpLog
VARIABLE = "TUIKE_FOLDER"
LEASE_MS = 4_000
RENEW_S = 1.0
"""Between looks at who holds what: a dead folder's partitions have moved after `LEASE_MS` and two of these."""
PRESENCE = "folder-"
"""Beside its partitions each folder holds a lease of its own, so that the others know how many share them."""
MARKS_S = 0.1
"""Positions that only marks have moved are committed so often, and sums where nothing comes."""
SUMS_S = 5.0
"""From one transaction of sums to the next, where there is always something."""
GATHER_S = 0.1
"""While sums are under way there are touches so often at most: hits gather, and the time between is for the sums."""
SUMS_SHARE = 0.1
"""Of the time that touches took, sums get so much at least."""
SLOW_S = 2.0
"""Sums are not left open over what takes longer than that, as a machine that does not answer: the server would end
their transaction (`engine.IDLE_S`)."""
FOLDED_BYTES, PORTION = 1 << 19, 64
"""Of records that are added up at a time, and rows of sums that are written at a time."""
UNSUMMED = 64 << 20
"""Bytes of records. With more than that, nothing is read until the next sums begin."""
PACKETS = 192
"""That are read at least, of all partitions that it holds. Small transactions cost more an event, twice as much at a
third of this; behind a backlog packets are large, and with more a transaction would outlast its leases."""
ASK_S = 0.5
"""Between two requests for the same gap."""
STILL_S = 2.0
"""A stream without news for so long may have begun anew, with lower ids."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Held:
    """A partition, from its lease's begin to its end or the next failure."""

    token: int
    summed: Position
    touched: Position
    reading: Reading
    unsummed: list[Applicable] = field(default_factory=list)
    """What has touches and no sums yet."""
    moved: bool = False
    """Whether the position of the sums is to follow."""
    cursor: bytes = START
    heard: float = 0.0
    asked: float = 0.0
    committed: float = 0.0

    @classmethod
    def of(cls, connection: Connection, partition: int, token: int, closed: Container[int], tick: float) -> "_Held":
        summed = position.read(connection, "hits", partition)
        touched = position.read(connection, "touches", partition)
        return cls(token, summed, touched, Reading.at(summed.upto, summed.marks, closed), heard=tick)

    def applied(self) -> Reached:
        """What need not be read again."""
        return Reached(dict(self.summed.upto), dict(self.summed.marks))

    def untouched(self) -> Iterator[Applicable]:
        """What was read and has no touches yet."""
        for producer, incarnation, after, data in self.reading.entries:
            yield producer, incarnation, max(after, self.touched.upto.get(incarnation, 0)), data

    def with_touches(self, closed: Container[int]) -> Position:
        """The position of the touches with all that was read; never before where it was. A closed incarnation stays as
        long as the reading has it."""

        def furthest(before: Mapping[int, int], read: Mapping[int, int]) -> dict[int, int]:
            kept = {number for number in before if number in self.reading.upto or number not in closed}
            return {number: max(before.get(number, 0), read.get(number, 0)) for number in kept | read.keys()}

        upto = furthest(self.touched.upto, self.reading.upto)
        return position.moved(self.touched, upto, furthest(self.touched.marks, self.reading.marks), self.token)


class Folder:
    """One folder. Belongs to one thread; after an exception of SQL's or Redis' it goes on with the next step."""

    def __init__(self, books: Engine, log: Log, holder: str, partitions: int = PARTITIONS) -> None:
        """`holder` is this process's alone, for ever."""
        self._engine = books
        self._log = log
        self._holder = holder
        self._partitions = partitions
        self._touches = SqlTouches(books)
        self._held: dict[int, _Held] = {}
        self._next_leases = 0.0
        self._portion = Portion(1)
        self._sums: Generator[None] | None = None
        """A transaction of sums under way."""
        self._next_sums = 0.0
        self._crowded = False
        """Whether there are partitions to be given back, as soon as the sums under way are committed."""
        # in SQLite a transaction that stays open keeps all others out
        self._at_once = books.dialect.name == "sqlite"
        self._closed: dict[int, float] = {}
        """Incarnations that are wholly applied, and when that was heard."""
        self._next_closed = 0.0
        self.folded = 0
        """Records."""

    def prepare(self) -> None:
        """Makes the tables where there are none. Raises DataError where database or Redis will never do."""
        migrations.upgrade(self._engine)
        self._log.check()

    @property
    def partitions(self) -> list[int]:
        return sorted(self._held)

    def step(self, tick: float) -> bool:
        """Reads and commits once. Whether there was anything; `tick` is a monotonic clock's seconds. PositionMoved is
        no failure: another has it, and what is still held is taken up anew."""
        try:
            if tick >= self._next_leases:
                self._share(tick)
                self._next_leases = tick + RENEW_S
            began = time.monotonic()
            busy = False
            if sum(len(data) for held in self._held.values() for *_, data in held.unsummed) < UNSUMMED:
                most = self._read(tick)
                busy = self._commit_touches(tick)
                self._portion.took(most, time.monotonic() - began)
            now = time.monotonic()
            until = max(began + GATHER_S, now + (now - began) * SUMS_SHARE)
            return self._add_up(tick, busy, until if now - began < SLOW_S else math.inf) or busy
        except PositionMoved as moved:
            _log.info("%s", moved)
            self._lose()
            return True
        except BaseException:
            self._lose()
            raise

    def close(self) -> None:
        """Gives back what it holds, so that others need not wait."""
        with suppress(DBAPIError, PositionMoved, *Failed):
            while self._sums is not None or any(held.moved for held in self._held.values()):
                self._crowded = False  # all are given back below
                self._add_up(math.inf, False, until=math.inf)
        with suppress(DBAPIError), self._engine.begin() as connection:
            leases.release(connection, PRESENCE + self._holder, self._presence(connection))
            for partition, held in self._held.items():
                leases.release(connection, _lease(partition), held.token)
        self._lose()
        self._log.close()
        self._engine.dispose()

    def _lose(self) -> None:
        """Forgets all that is not in the database: nobody knows how the last transaction ended."""
        self._held = {}
        if self._sums is not None:
            with suppress(DBAPIError):
                self._sums.close()
        self._sums = None
        self._touches.forget()
        self._log.reset()
        self._next_leases = 0.0

    # --- leases ------------------------------------------------------------------------------------

    def _presence(self, connection: Connection) -> int:
        token = leases.claim(connection, PRESENCE + self._holder, self._holder, members.now(connection), LEASE_MS)
        assert token is not None
        return token

    def _share(self, tick: float) -> None:
        """Renews its leases, gives back what is more than its share, takes what nobody has up to its share."""
        with self._engine.begin() as connection:
            leases.end_stalled(connection)
            now = members.now(connection)
            self._presence(connection)
            holders = leases.holders(connection, now)
            folders = sorted(name for name in holders if name.startswith(PRESENCE))
            share = math.ceil(self._partitions / len(folders))
            tokens = {_lease(partition): held.token for partition, held in self._held.items()}
            renewed = leases.renew_all(connection, tokens, now, LEASE_MS)
            mine = [partition for partition in self.partitions if _lease(partition) in renewed]
            self._crowded = len(mine) > share and self._sums is not None
            if self._sums is None:  # else its transaction has some of these
                for partition in mine[share:]:
                    leases.release(connection, _lease(partition), self._held[partition].token)
                mine = mine[:share]
            held = {partition: self._held[partition] for partition in mine}
            first = folders.index(PRESENCE + self._holder) * self._partitions // len(folders)
            for partition in [(first + step) % self._partitions for step in range(self._partitions)]:
                if len(held) >= share:
                    break
                if partition not in held and holders.get(_lease(partition), self._holder) == self._holder:
                    token = leases.claim(connection, _lease(partition), self._holder, now, LEASE_MS, wait=False)
                    if token is not None:
                        held[partition] = _Held.of(connection, partition, token, self._closed, tick)
            new = {partition: kept for partition, kept in held.items() if partition not in self._held}
            # after the positions: whoever has taken an incarnation out of one knew that it is closed
            if new or tick >= self._next_closed:
                self._next_closed = tick + CLOSED_FOR_S / 3
                self._closed |= {i: self._closed.get(i, tick) for i in members.closed(connection)}
        self._held = held
        old = [incarnation for incarnation, heard in self._closed.items() if tick - heard >= CLOSED_FOR_S]
        for kept in held.values():
            kept.reading.forget(old)
        self._log.commit({partition: (kept.applied(), START) for partition, kept in new.items()})

    # --- reading and committing --------------------------------------------------------------------

    def _read(self, tick: float) -> int:
        """The most packets that came of one partition."""
        if not self._held:
            return 0
        limit = max(self._portion.packets, PACKETS // len(self._held))
        found = self._log.read({p: held.cursor for p, held in self._held.items()}, limit)
        for partition, packets in found.items():
            held = self._held[partition]
            held.heard = tick
            for id, packet in packets:
                held.reading.take(packet)
                held.cursor = id
            if held.reading.gaps:
                self._ask(partition, held, tick)
        still = [p for p, held in self._held.items() if tick - held.heard >= STILL_S and held.cursor != START]
        for partition, last in self._log.last_ids(still).items() if still else ():
            held = self._held[partition]
            held.heard = tick
            if order_of(last) < order_of(held.cursor):
                held.cursor = START
        return max(map(len, found.values()), default=0)

    def _ask(self, partition: int, held: _Held, tick: float) -> None:
        """Has a gap sent again from the position in the database, which Redis may have forgotten."""
        gaps, held.reading.gaps = held.reading.gaps, set()
        if tick - held.asked >= ASK_S:
            held.asked = tick
            _log.info("partition %d lacks something of %s", partition, ", ".join(sorted(gaps)))
            self._log.commit({partition: (held.applied(), START)})
            self._log.ask(partition, gaps)

    def _commit_touches(self, tick: float) -> bool:
        """Commits the touches of what was read. Whether there were any records."""
        due = {
            partition: held
            for partition, held in sorted(self._held.items())
            if held.reading.entries or (held.reading.moved and tick - held.committed >= MARKS_S)
        }
        if not due:
            return False
        batch = _core.Batch.of_entries([entry for held in due.values() for entry in held.untouched()])
        touches = batch.touch_rows()
        self._touches.prepare(touches)
        moves = {partition: (held.touched, held.with_touches(self._closed)) for partition, held in due.items()}
        with self._engine.begin() as connection:
            leases.hold_all(connection, {_lease(partition): held.token for partition, held in due.items()})
            position.advance_all(connection, list(moves.values()))
            self._touches.put(connection, touches)
        for partition, held in due.items():
            held.touched = moves[partition][1]
            held.unsummed += held.reading.entries
            held.moved = True
            held.reading.committed()
            held.committed = tick
        self.folded += batch.count
        return batch.count > 0

    def _add_up(self, tick: float, busy: bool, until: float) -> bool:
        """Goes on with a transaction of sums, or begins one where it is time. Whether it did."""
        if self._sums is None:
            due = self._next_sums if busy else self._next_sums - SUMS_S + MARKS_S
            if tick < due or self._crowded or not any(held.moved for held in self._held.values()):
                return False
            self._next_sums = tick + SUMS_S
            self._sums = self._commit_sums()
        for _ in self._sums:
            if time.monotonic() >= until and not self._at_once:
                return True
        self._sums = None
        return True

    def _commit_sums(self) -> Generator[None]:
        """Commits the sums of all that has touches, in portions. The leases are looked at last: until then the others
        may take their turn."""
        due = {partition: held for partition, held in sorted(self._held.items()) if held.moved}
        entries = [entry for held in due.values() for entry in held.unsummed]
        cursors = {partition: held.cursor for partition, held in due.items()}
        moves = {
            partition: (held.summed, position.moved(held.summed, held.reading.upto, held.reading.marks, held.token))
            for partition, held in due.items()
        }
        for held in due.values():
            held.unsummed, held.moved = [], False
        # sums may stand under any partition that nobody else writes: under one, they are the fewest rows
        own = min(self._held)
        held_by = {_lease(partition): self._held[partition].token for partition in {own, *due}}
        sums = _core.Sums()
        for some in _portions(entries):
            sums.add(_core.Batch.of_entries(some))
            yield
        counts, rows = sums.take()
        with self._engine.begin() as connection:
            yield from rollups.adding_rollups(connection, rows, own, PORTION)
            rollups.add_hit_counts(connection, counts, own)
            leases.hold_all(connection, held_by)
            position.advance_all(connection, list(moves.values()))
        for partition, held in due.items():
            held.summed = moves[partition][1]
        self._log.commit({partition: (held.applied(), cursors[partition]) for partition, held in due.items()})


def _portions(entries: Iterable[Applicable]) -> Iterator[list[Applicable]]:
    some: list[Applicable] = []
    size = 0
    for entry in entries:
        some.append(entry)
        size += len(entry[-1])
        if size >= FOLDED_BYTES:
            yield some
            some, size = [], 0
    yield some


def _lease(partition: int) -> str:
    return f"partition-{partition:02}"


@dataclass(frozen=True)
class Config:
    """What a folder is started with. Without `redis` it fetches from the machines, under the secret of `data`."""

    database: str
    redis: str
    data: str = ""


def open_log(redis: str, data: str, database: URL, reader: str) -> Log:
    """The streams of a Redis, or with none the machines themselves."""
    return RedisLog(redis) if redis else HttpLog(database, Data.open(Path(data)).secret, reader)


def main() -> None:
    logs.configure()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = msgspec.json.decode(os.environ[VARIABLE], type=Config)
    stop = threading.Event()
    control.watch(stop)
    collect_rarely()
    name, database = leases.new_holder(), engine.parse(config.database)
    folder = Folder(engine.open_writer(database), open_log(config.redis, config.data, database, name), name)
    try:
        begin(folder.prepare, stop)
        control.say_ready()
        keep_stepping(folder.step, stop)
    except DataError as error:
        sys.exit(f"tuike: {error}")
    folder.close()


if __name__ == "__main__":
    main()
