"""The shipper: a process beside the edge workers (or the admin API) that sends on what their journals have.

    python -m tuike.transport.shipper        its configuration as JSON in TUIKE_SHIPPER

It keeps nothing: journals are files, and how far folds have come stands in the database and in Redis. Wherever it
is not sure what has arrived (at its start, after an error, when its newest entry is gone, when a reader lacks
something) it begins again at the committed position; what arrives twice is passed over by who reads it. So Redis may
lose its last second, fail over or start empty. It never holds more than one read in memory.
"""

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from tuike import _core, control, logs, memory
from tuike.clock import LOOK_S as CLOCK_S
from tuike.clock import Clock
from tuike.data import DataError
from tuike.stores import engine, members, position
from tuike.transport.entries import ALL, ENDED, GONE, ORDERS, Ends, Entry, Packet, Reached, Records, Sending
from tuike.transport.redis_log import Failed, Known, RedisLog

VARIABLE = "TUIKE_SHIPPER"
READ_LIMIT = 40_000
AHEAD_BYTES = 32 << 20
"""How much of a partition may be ahead of its committed position."""
MARK_S = 0.1
"""Every partition hears so often what is not to come any more; those with news, with their news."""
STILL_S = 1.0
"""Between signs of life while nothing may be sent."""
SILENT_S = 30.0
"""An incarnation that has promised nothing for so long is not waited for."""
PART_OF_AGE, PAUSE_MOST_S = 0.01, 10.0
"""The longer the oldest packet waits for its reader, the longer is the pause before the next ones, and the fewer and
larger they are: otherwise what a reader does not fetch for hours would fill the memory, here and in Redis."""
LOOK_S = 1.0
"""Between looks at what is committed and whether it is all still there."""
REST_S, REST_MOST_S = 0.05, 0.2
"""Between two looks at the journal while there is something to send."""
BUSY = 40_000.0
"""Records a second. With more the rests grow: fewer and larger packets cost a busy edge less."""
RETRY_FIRST_S, RETRY_MOST_S = 0.1, 2.0
DRAIN_S = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database says: how far partitions have come, and which incarnations are wholly applied."""

    reached: Mapping[int, Reached] = field(default_factory=dict)
    closed: frozenset[int] = frozenset()


Positions = Callable[[], Stored]
"""Asks the database. Raises Away."""


class Taken(Protocol):
    """As `_core.Shipment`."""

    @property
    def heard(self) -> list[tuple[str, int, int, int]]: ...
    @property
    def count(self) -> int: ...
    @property
    def more(self) -> bool: ...
    @property
    def damage(self) -> list[tuple[str, int, int, int]]: ...
    @property
    def packed(self) -> Sequence[tuple[int, int, Records]]: ...


class Journal(Protocol):
    """Where a machine's events are read: `_core.Follower`, or a machine elsewhere."""

    def take(self, after: Mapping[int, int], limit: int, now: int) -> Taken: ...


class Streams(Protocol):
    """Where packets go: as `RedisLog` has it."""

    def reset(self) -> None: ...
    def check(self) -> None: ...
    def send(self, packets: Sequence[Sending]) -> list[bytes]: ...
    def look(
        self, machine: str, newest: Mapping[int, bytes | None]
    ) -> tuple[dict[int, Known], frozenset[int] | None]: ...


class Away(Exception):
    """The database cannot be reached."""


class _Waiting(NamedTuple):
    """A packet that is not committed: its place in the stream, its size, how far it comes, and when it went."""

    place: bytes
    size: int
    ends: Ends
    tick: float


@dataclass(slots=True)
class _Sent:
    """What of one partition is on its way. All of it may be gone: then it starts over."""

    reached: Reached = field(default_factory=Reached)
    waiting: deque[_Waiting] = field(default_factory=deque)
    size: int = 0

    def start_over(self, committed: Reached) -> None:
        self.reached = Reached(dict(committed.upto), dict(committed.marks))
        self.waiting.clear()
        self.size = 0

    def took(self, sending: Sending, id: bytes, tick: float) -> None:
        for entry in sending.packet.entries:
            self.reached.upto[entry.incarnation] = entry.upto
            if entry.mark:
                self.reached.marks[entry.incarnation] = entry.mark
        self.waiting.append(_Waiting(id, sending.size, sending.packet.ends, tick))
        self.size += sending.size

    def let_go(self, committed: Reached, closed: Container[int]) -> None:
        """Of what is committed."""
        while self.waiting and committed.covers(self.waiting[0].ends, closed):
            self.size -= self.waiting.popleft().size

    @property
    def newest(self) -> bytes | None:
        return self.waiting[-1].place if self.waiting else None


class _Silence:
    """Who still says anything, or has ended in order."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int, float]] = {}

    def live(self, heard: Iterable[tuple[str, int, int, int]], tick: float) -> tuple[int, ...]:
        """Those that have ended, or whose position or mark has moved in the last `SILENT_S` of looks at it."""
        last = {}
        for _, incarnation, upto, mark in heard:
            before = self._last.get(incarnation)
            same = before is not None and before[:2] == (upto, mark) and mark != ENDED
            last[incarnation] = (upto, mark, before[2] if before is not None and same else tick)
        self._last = last
        return tuple(incarnation for incarnation, (*_, since) in last.items() if tick - since < SILENT_S)

    def forget(self) -> None:
        self._last = {}


class Shipper:
    """Sends the journals under a root to the folds. Belongs to one thread."""

    def __init__(
        self, journal: Journal, machine: str, log: Streams, positions: Positions, partitions: Sequence[int] = ALL
    ) -> None:
        """`machine` names this machine among all; two with one name would answer each other's gaps."""
        self._machine = machine
        self._log = log
        self._positions = positions
        self._follower = journal
        self._partitions = partitions
        self._sent = {partition: _Sent() for partition in partitions}
        self._committed: dict[int, Reached] = {}
        self._front: dict[int, int] = {}
        self._closed: frozenset[int] = frozenset()
        self._gone: set[int] = set()
        """Incarnations that have ended and are wholly committed."""
        self._sure = False
        """Whether what was sent has arrived, as far as is known."""
        self._next_look = 0.0
        self._next_marks = 0.0
        self._taken = float("-inf")
        self._live: tuple[int, ...] = ()
        self._named = 0
        self._silence = _Silence()
        self.shipped = 0
        """Records, those that were sent again included."""
        self.more = False

    def step(self, now: int, tick: float, *, last: bool = False) -> bool:
        """Sends what is new. Whether there was anything; `now` (ms) was the time there when the journal was not looked
        at yet, `tick` a monotonic clock's seconds. `last`: whoever reads, it makes no pause. Raises one of `Failed`, or
        Away: then the next step begins at the committed positions."""
        try:
            if not self._sure:
                self._begin()
            elif tick >= self._next_look:
                self._look()
            if tick >= self._next_look:
                self._next_look = tick + LOOK_S
            if any(sent.size >= AHEAD_BYTES for sent in self._sent.values()):
                self.more = False
                self._silence.forget()
                self._next_look = min(self._next_look, tick + REST_S)
                self._stand_still(tick)
                return last  # there is something left, which readers may make room for
            if not (self.more or last) and tick - self._taken < self._pause(tick):
                self._stand_still(tick)
                return False
            self._taken = tick
            return self._ship(now, tick)
        except Exception:
            self._sure = False
            raise

    @property
    def uncommitted(self) -> int:
        """Bytes that are on their way, about."""
        return sum(sent.size for sent in self._sent.values())

    @property
    def waiting(self) -> bool:
        """Whether anything that was sent is not committed. A packet without entries, which only says who is alive, has
        nothing to be."""
        return any(packet.ends for sent in self._sent.values() for packet in sent.waiting)

    def _begin(self) -> None:
        """Takes up what folds have committed."""
        self._log.reset()
        self._log.check()
        known, closed = self._log.look(self._machine, dict.fromkeys(self._partitions))
        unknown = [partition for partition, told in known.items() if told.committed is None]
        lacks = closed is None or any(partition not in self._committed for partition in unknown)
        stored = self._positions() if lacks else Stored()
        self._closed |= (closed or frozenset()) | stored.closed
        for partition, told in known.items():
            committed = told.committed or self._committed.get(partition) or stored.reached.get(partition) or Reached()
            self._committed[partition] = committed
            self._sent[partition].start_over(committed)
        self._front, self._gone = {}, set()
        self._go_back(self._partitions)
        self._let_go()
        self._sure = True

    def _look(self) -> None:
        """Lets go of what is committed; begins again where something is gone or lacking."""
        known, closed = self._log.look(self._machine, {place: sent.newest for place, sent in self._sent.items()})
        self._closed |= closed or frozenset()
        again = []
        for partition, told in known.items():
            sent = self._sent[partition]
            if told.committed is not None:
                self._committed[partition] = told.committed
            sent.let_go(self._committed[partition], self._closed)
            if told.asked or not (told.newest_there or not sent.waiting):
                _log.info("partition %d goes back to what is committed", partition)
                sent.start_over(self._committed[partition])
                again.append(partition)
        if again:
            self._gone = set()
            self._go_back(again)
        self._let_go()

    def _let_go(self) -> None:
        """Of incarnations that every partition has to their ends."""
        marks = [committed.marks for committed in self._committed.values()]
        ended = [incarnation for incarnation, mark in marks[0].items() if mark == ENDED]
        for incarnation in ended:
            if incarnation not in self._gone and all(place.get(incarnation) == ENDED for place in marks):
                self._gone.add(incarnation)
        self._gone |= self._closed
        self._front |= dict.fromkeys(self._gone, GONE)

    def _go_back(self, partitions: Iterable[int]) -> None:
        """Reads again, of each incarnation, from where the first of the partitions wants it."""
        wanted = [self._sent[partition].reached.upto for partition in partitions]
        for incarnation in {incarnation for upto in [self._front, *wanted] for incarnation in upto} if wanted else ():
            least = min(upto.get(incarnation, 0) for upto in wanted)
            self._front[incarnation] = min(self._front.get(incarnation, least), least)

    def _ship(self, now: int, tick: float) -> bool:
        shipment = self._follower.take(self._front, READ_LIMIT, now)
        packed: dict[int, dict[int, Records]] = {}
        for incarnation, partition, data in shipment.packed:
            packed.setdefault(partition, {})[incarnation] = data
        heard = shipment.heard
        self._live = self._silence.live(heard, tick)
        self._named = now
        known = self._sent[self._partitions[0]].reached.marks
        marks = tick >= self._next_marks or any(m == ENDED and known.get(i) != ENDED for _, i, _, m in heard)
        packets = []
        for partition in self._partitions if marks else [place for place in packed if place in self._sent]:
            entries = self._entries(partition, heard, packed.get(partition, {}))
            told = tuple(entry for entry, _ in entries)
            records = tuple(data for _, data in entries)
            if partition == ORDERS:
                damage = tuple(shipment.damage)
                packet = Packet(self._machine, partition, told, self._live, damage, self._named)
                packets.append(Sending(packet, records))
            elif entries:
                packets.append(Sending(Packet(self._machine, partition, told), records))
        if marks:
            self._next_marks = tick + MARK_S
        self._send(packets, tick)
        self._front = dict.fromkeys(self._gone, GONE) | {incarnation: upto for _, incarnation, upto, _ in heard}
        self.shipped += shipment.count
        self.more = shipment.more
        return shipment.count > 0

    def _send(self, packets: Sequence[Sending], tick: float) -> None:
        if packets:
            for sending, id in zip(packets, self._log.send(packets), strict=True):
                self._sent[sending.packet.partition].took(sending, id, tick)

    def _stand_still(self, tick: float) -> None:
        """Much is on its way: nothing is read, and the bookkeeper hears who is alive all the same."""
        if tick >= self._next_marks + STILL_S and ORDERS in self._sent:
            self._next_marks = tick
            self._send([Sending(Packet(self._machine, ORDERS, (), self._live, (), self._named), ())], tick)

    def _pause(self, tick: float) -> float:
        """Between two looks at the journal, in seconds."""
        oldest = min((sent.waiting[0].tick for sent in self._sent.values() if sent.waiting), default=tick)
        return min(PART_OF_AGE * (tick - oldest), PAUSE_MOST_S)

    def _entries(
        self, partition: int, heard: list[tuple[str, int, int, int]], data: Mapping[int, Records]
    ) -> list[tuple[Entry, Records]]:
        """What one partition has not had yet: of each incarnation its records, or a mark that is news."""
        reached = self._sent[partition].reached
        entries = []
        for producer, incarnation, upto, mark in heard:
            after = reached.upto.get(incarnation, 0)
            if upto < after and mark != ENDED:
                continue  # read again for other partitions
            # an end before what was sent: the machine lost power, and its disk has less than the folds
            records = data.get(incarnation, b"") if upto > after else b""
            if records or mark > reached.marks.get(incarnation, 0) or incarnation not in reached.upto:
                entries.append((Entry(incarnation, producer, after, max(upto, after), mark), records))
        return entries


@dataclass(frozen=True)
class Config:
    """What a shipper is started with. `database` (a URL) is asked for positions where Redis has none."""

    journal: str
    machine: str
    redis: str
    database: str = ""
    clock: str = ""
    """The file of the books' clock; empty: the machine's own counts."""


def stored_positions(database: URL | None) -> Positions:
    """Positions as the database has them; without one, none."""
    if database is None:
        return Stored

    def read() -> Stored:
        books = engine.open_reader(database)
        try:
            with books.connect() as connection:
                kept = position.read_all(connection)
                closed = frozenset(members.closed(connection))
        except DBAPIError as error:
            if engine.lacks_tables(error):
                return Stored()
            if engine.is_away(error) and not engine.is_hopeless(error):
                raise Away(str(error.orig)) from error
            raise DataError(f"{engine.shown(database)}: {error.orig}") from error
        finally:
            books.dispose()
        return Stored({one.partition: Reached(dict(one.upto), dict(one.marks)) for one in kept}, closed)

    return read


def rest_after(records: int) -> float:
    """Seconds until the next look at the journal, after one that brought so many."""
    return min(max(REST_S, records / BUSY), REST_MOST_S)


def run(shipper: Shipper, stop: threading.Event, clock: Clock) -> None:
    """Steps until `stop` is set, then until all is shipped, for `DRAIN_S` at most, whatever fails meanwhile."""
    pause = RETRY_FIRST_S
    until = None
    looked = float("-inf")
    while True:
        tick = time.monotonic()
        if stop.is_set():
            until = until or tick + DRAIN_S
        if tick - looked >= CLOCK_S:
            looked = tick
            clock.look()
        try:
            before = shipper.shipped
            busy = shipper.step(clock(), tick, last=until is not None)
            pause = RETRY_FIRST_S
            rest = 0.0 if shipper.more else rest_after(shipper.shipped - before)
        except (*Failed, Away) as error:
            _log.warning("waiting: %s", error)
            busy, rest = True, pause  # nobody knows what is left
            pause = min(2 * pause, RETRY_MOST_S)
        if until is None:
            stop.wait(rest)
        elif busy and (left := until - time.monotonic()) > 0:
            time.sleep(min(rest, left))
        else:
            return


def main() -> None:
    logs.configure()
    memory.keep()
    config = msgspec.json.decode(os.environ[VARIABLE], type=Config)
    stop = threading.Event()
    control.watch(stop)
    log = RedisLog(config.redis)
    clock = Clock(Path(config.clock or os.devnull))
    try:
        with suppress(*Failed):  # an edge goes on without it
            log.check()
        control.say_ready()
        database = engine.parse(config.database) if config.database else None
        shipper = Shipper(_core.Follower(config.journal), config.machine, log, stored_positions(database))
        run(shipper, stop, clock)
    except DataError as error:
        sys.exit(f"tuike: {error}")


if __name__ == "__main__":
    main()
