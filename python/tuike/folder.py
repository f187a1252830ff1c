"""A folder of hits, one of any number: `python -m tuike.folder`, its configuration as JSON in `TUIKE_FOLDER`.

It holds partitions by leases, reads what shippers send of them, and commits sums, touches and positions of all of
them in one transaction, in which the leases' tokens and the positions' versions are compared. So two that both
believe that they hold a partition apply nothing twice: the second one's transaction ends without effect, and it looks
again at what it has. Whatever fails is forgotten and read again from the position.
"""

import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError

from tuike import _core, control, logs
from tuike.data import Data, DataError
from tuike.process import collect_rarely
from tuike.stores import engine, leases, members, migrations, position, rollups
from tuike.stores.position import Position, PositionMoved
from tuike.stores.touches import SqlTouches
from tuike.transport.entries import CLOSED_FOR_S, PARTITIONS, Portion, Reached, Reading
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
"""Positions that only marks have moved are committed so often."""
REST_S = 0.02
ASK_S = 0.5
"""Between two requests for the same gap."""
STILL_S = 2.0
"""A stream without news for so long may have begun anew, with lower ids."""
RETRY_FIRST_S, RETRY_MOST_S = 0.1, 2.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Held:
    """A partition, from its lease's begin to its end or the next failure."""

    token: int
    seen: Position
    reading: Reading
    cursor: bytes = START
    heard: float = 0.0
    asked: float = 0.0
    committed: float = 0.0

    @classmethod
    def of(cls, token: int, seen: Position, closed: Container[int], tick: float) -> "_Held":
        return cls(token, seen, Reading.at(seen.upto, seen.marks, closed), heard=tick)


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
        self._portion = Portion()
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
            most = self._read(tick)
            busy = self._commit(tick)
            self._portion.took(most, time.monotonic() - began)
            return busy
        except PositionMoved as moved:
            _log.info("%s", moved)
            self._lose()
            return True
        except BaseException:
            self._lose()
            raise

    def close(self) -> None:
        """Gives back what it holds, so that others need not wait."""
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
            now = members.now(connection)
            self._presence(connection)
            holders = leases.holders(connection, now)
            folders = sorted(name for name in holders if name.startswith(PRESENCE))
            share = math.ceil(self._partitions / len(folders))
            mine = [partition for partition in self.partitions if self._renewed(connection, partition, now)]
            for partition in mine[share:]:
                leases.release(connection, _lease(partition), self._held[partition].token)
            held = {partition: self._held[partition] for partition in mine[:share]}
            first = folders.index(PRESENCE + self._holder) * self._partitions // len(folders)
            for partition in [(first + step) % self._partitions for step in range(self._partitions)]:
                if len(held) >= share:
                    break
                if partition not in held and holders.get(_lease(partition), self._holder) == self._holder:
                    token = leases.claim(connection, _lease(partition), self._holder, now, LEASE_MS)
                    if token is not None:
                        held[partition] = _Held.of(
                            token, position.read(connection, "hits", partition), self._closed, tick
                        )
            new = {partition: kept for partition, kept in held.items() if partition not in self._held}
            # after the positions: whoever has taken an incarnation out of one knew that it is closed
            if new or tick >= self._next_closed:
                self._next_closed = tick + CLOSED_FOR_S / 3
                self._closed |= {i: self._closed.get(i, tick) for i in members.closed(connection)}
        self._held = held
        old = [incarnation for incarnation, heard in self._closed.items() if tick - heard >= CLOSED_FOR_S]
        for kept in held.values():
            kept.reading.forget(old)
        self._log.commit({partition: (kept.reading.reached(), START) for partition, kept in new.items()})

    def _renewed(self, connection: Connection, partition: int, now: int) -> bool:
        return leases.renew(connection, _lease(partition), self._held[partition].token, now, LEASE_MS)

    # --- reading and committing --------------------------------------------------------------------

    def _read(self, tick: float) -> int:
        """The most packets that came of one partition."""
        if not self._held:
            return 0
        found = self._log.read({p: held.cursor for p, held in self._held.items()}, self._portion.packets)
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
            self._log.commit({partition: (Reached(dict(held.seen.upto), dict(held.seen.marks)), START)})
            self._log.ask(partition, gaps)

    def _commit(self, tick: float) -> bool:
        """Applies what was read. Whether there were any records."""
        due = {
            partition: held
            for partition, held in sorted(self._held.items())
            if held.reading.entries or (held.reading.moved and tick - held.committed >= MARKS_S)
        }
        if not due:
            return False
        batch = _core.Batch.of_entries([entry for held in due.values() for entry in held.reading.entries])
        touches = batch.touch_rows()
        self._touches.prepare(touches)
        moves = {
            partition: (held.seen, position.moved(held.seen, held.reading.upto, held.reading.marks, held.token))
            for partition, held in due.items()
        }
        # sums may stand under any partition that nobody else writes: under one, they are the fewest rows
        own = min(self._held)
        with self._engine.begin() as connection:
            leases.hold_all(connection, {_lease(partition): self._held[partition].token for partition in {own, *due}})
            position.advance_all(connection, list(moves.values()))
            rollups.add_rollups(connection, batch.rollups(), own)
            rollups.add_hit_counts(connection, batch.hit_counts(), own)
            self._touches.put(connection, touches)
        for partition, held in due.items():
            held.seen = moves[partition][1]
            held.reading.committed()
            held.committed = tick
        self.folded += batch.count
        self._log.commit({partition: (held.reading.reached(), held.cursor) for partition, held in due.items()})
        return batch.count > 0


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


def begin(prepare: Callable[[], None], stop: threading.Event) -> None:
    """Prepares, as soon as database and Redis are there; raises DataError where one of them will never do."""

    def once(_tick: float) -> bool:
        try:
            prepare()
        except DBAPIError as error:
            if engine.is_hopeless(error):
                raise DataError(f"the database: {engine.said(error)}") from error
            raise
        prepared.set()
        return True

    prepared = threading.Event()
    keep_stepping(once, stop, until=prepared)


def keep_stepping(step: Callable[[float], bool], stop: threading.Event, until: threading.Event | None = None) -> None:
    """Calls it until `stop` (or `until`) is set, with a rest where there was nothing to do; with database or Redis
    away, again and again."""
    pause, said = RETRY_FIRST_S, ""
    while not stop.is_set() and not (until is not None and until.is_set()):
        try:
            busy = step(time.monotonic())
            pause, said = RETRY_FIRST_S, ""
            stop.wait(0 if busy else REST_S)
        except (*Failed, DBAPIError) as error:
            # a day's table may have been dropped between two looks
            if isinstance(error, DBAPIError) and not (engine.is_away(error) or engine.lacks_tables(error)):
                raise
            if (text := " ".join(str(getattr(error, "orig", None) or error).split())) != said:
                said = text
                _log.warning("waiting: %s", said)
            stop.wait(pause)
            pause = min(2 * pause, RETRY_MOST_S)


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
