"""The watermark over all partitions and machines: when an order's clicks are certain to have their touches.

Each incarnation promises, in each partition, what is not to come any more; an order waits until the promises of all
have passed its receipt, in all partitions. An incarnation that has only just begun has promised nothing, and nobody
knows of it: so each machine promises too that all it received before an instant is of incarnations that it has named,
and an edge says in SQL that it starts before it answers anybody.

An incarnation that its machine does not name any more, or whose machine says nothing, is away after `LATE_AFTER_S`:
nobody waits for it until its promises have caught up. What it brings then is folded all the same; a click that comes
after its order changes nothing. Its own orders, which are as late as its clicks, wait until it and all others that
were away and are heard again have come as far, or are silent once more. An edge that starts while it reaches neither
SQL nor Redis is as one that is away.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import Connection, select

from tuike.books.backlog import NOBODY_IS_LATE, Late
from tuike.stores import members, position
from tuike.stores.bulk import replacing
from tuike.stores.schema import producers
from tuike.transport.entries import PARTITIONS

LATE_AFTER_S = 30.0
SEEN_MS = 20_000
"""A machine that was seen in SQL within this is expected to say something. It is less than `LATE_AFTER_S`, so that one
that comes back after that long is as one that is new."""
CAUGHT_UP_MS = 2_000
"""One that was away has caught up when it is no further than this behind the watermark. What it promises is some tenths
of a second older than what others do, and an instant later the watermark is where they are."""
FAR = 1 << 62
"""Later than all promises; the mark of an incarnation of which nothing more is to come."""
TOUCHED = FAR - 1
"""The same of one whose touches are all there and whose sums are not: nobody waits for it, and it is not closed."""

State = Literal["live", "away", "closed", "lost"]
Marks = Mapping[int, int]
_ROWS = replacing(producers, keep=("first_seen",))


@dataclass(frozen=True, slots=True)
class Known:
    """An incarnation; its row in `producers`."""

    producer: str
    machine: str
    first_seen: int
    state: State
    seq: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Heard:
    """A machine's last word: what of it lives, and before which instant (ms) all that it received is of what it has
    named (FAR: it does not say that)."""

    tick: float
    live: frozenset[int] = frozenset()
    named: int = FAR


class Promises:
    """Who is waited for. Belongs to the one bookkeeper."""

    def __init__(self, connection: Connection, tick: float) -> None:
        self._known: dict[int, Known] = {}
        self._changed: set[int] = set()
        self._heard: dict[str, _Heard] = {}
        self._silent_since: dict[int, float] = {}
        self._expected: dict[str, float] = {}
        self._stopped: frozenset[str] = frozenset()
        self._began = tick
        self.closed: dict[int, float] = {}
        """Incarnations that are wholly applied, by the tick since when that is so."""
        for row in connection.execute(select(producers)):
            self._known[int(row.incarnation, 16)] = Known(
                row.producer, row.machine, row.first_seen, row.state, row.seq, row.note
            )
            if row.state == "closed":
                self.closed[int(row.incarnation, 16)] = tick
        self.watermark = 0
        """Everything received before this instant has its touches, but for what was late."""
        self.summed = 0
        """Everything received before this instant, which is no later than `watermark`, is in the sums too."""
        self.whole = 0
        """Everything received before this instant is in the sums, what is late and nobody waits for included, as far as
        it is of incarnations that are known and not lost. It goes back when one is known that has promised nothing."""
        self._late = self._late_in_sums = NOBODY_IS_LATE

    def hear(
        self, machine: str, live: Iterable[int], names: Mapping[int, str], now: int, tick: float, named: int = FAR
    ) -> None:
        """A machine's sign of life: which incarnations may have more to come; `names` are the producers of those that
        it brings something of, and `named` (ms) is its promise that it has none that began to receive before."""
        there = frozenset(live)
        self._heard[machine] = _Heard(tick, there, named)
        for incarnation in there | set(names):
            known = self._known.get(incarnation)
            name = names.get(incarnation, "")
            if known is None:
                self._set(incarnation, Known(name, machine, now, "live"))
            elif name and not known.producer:
                self._set(incarnation, replace(known, producer=name))

    def expect(self, machines: Iterable[members.Machine], now: int, tick: float) -> None:
        """The machines as SQL has them. One that serves or starts is waited for before it was ever heard, for
        `LATE_AFTER_S` at most; one that stopped in order is not."""
        found = list(machines)
        serving = [one.name for one in found if one.state in ("starting", "serving") and now - one.seen < SEEN_MS]
        self._expected = {name: self._expected.get(name, tick) for name in serving}
        self._stopped = frozenset(one.name for one in found if one.state in ("stopped", "retired"))

    def take_lost(self, connection: Connection) -> None:
        """Incarnations that somebody has declared lost."""
        for lost in connection.scalars(select(producers.c.incarnation).where(producers.c.state == "lost")):
            incarnation = int(lost, 16)
            if incarnation in self._known:
                self._known[incarnation] = replace(self._known[incarnation], state="lost")

    def look(
        self,
        touched: Iterable[Marks],
        summed: Iterable[Marks],
        orders: Marks,
        upto: Mapping[int, int],
        waiting: Container[int],
        now: int,
        tick: float,
    ) -> int:
        """The watermark by the promises of each partition of hits (`of_hits`), and those of the partition of orders.
        Incarnations in `waiting` have messages that were read and are not applied: they are not closed, come what
        may."""
        alive = [incarnation for incarnation, known in self._known.items() if known.state in ("live", "away")]
        least = _least([*touched, orders], alive)
        sums = _least([*summed, orders], alive)
        heard = {one for one in alive if orders.get(one, 0) >= FAR or not self._is_silent(one, tick)}
        for incarnation, mark in least.items():
            if mark < FAR or incarnation not in waiting:
                self._judge(incarnation, mark, incarnation in heard, upto.get(incarnation, 0), tick)
        machines = (self._expected.keys() | self._heard.keys()) - self._stopped
        live = [incarnation for incarnation in least if self._known[incarnation].state == "live"]
        waited = [least[incarnation] for incarnation in live]
        waited += [self._named(name, tick) for name in machines]
        promised = min([mark for mark in waited if mark < TOUCHED], default=now)
        self.watermark = max(self.watermark, promised)
        self.summed = max(self.summed, min([promised, *(sums[incarnation] for incarnation in live)]))
        self.whole = min([self.summed, *sums.values()])
        speaks = {one for one in heard if self._speaks(self._known[one].machine, tick)}
        self._late, self._late_in_sums = _behind(least, speaks, self.watermark), _behind(sums, speaks, self.summed)
        return promised

    @property
    def unfinished(self) -> set[str]:
        """The machines that may have more to come."""
        return {known.machine for known in self._known.values() if known.state in ("live", "away")}

    def due(self, in_sums: bool) -> tuple[int, Late]:
        """Up to where orders may be decided, and whose wait for longer; `in_sums`: they need sums of hits too."""
        return (self.summed, self._late_in_sums) if in_sums else (self.watermark, self._late)

    def _named(self, machine: str, tick: float) -> int:
        """What a machine promises of incarnations that are not known; FAR: nobody waits for that."""
        heard = self._heard.get(machine, _Heard(self._expected.get(machine, tick), named=0))
        since = max(heard.tick, self._expected.get(machine, heard.tick))
        return heard.named if tick - since < LATE_AFTER_S else FAR

    def _judge(self, incarnation: int, mark: int, heard: bool, seq: int, tick: float) -> None:
        known = self._known[incarnation]
        if mark >= FAR:
            self._set(incarnation, replace(known, state="closed", seq=seq))
            self.closed[incarnation] = tick
        elif not heard:
            if known.state == "live":
                self._set(incarnation, replace(known, state="away", seq=seq))
        elif known.state == "away" and mark >= self.watermark - CAUGHT_UP_MS:
            self._set(incarnation, replace(known, state="live", seq=seq))

    def _speaks(self, machine: str, tick: float) -> bool:
        return tick - self._heard.get(machine, _Heard(self._began)).tick < LATE_AFTER_S

    def _is_silent(self, incarnation: int, tick: float) -> bool:
        machine = self._known[incarnation].machine
        heard = self._heard.get(machine, _Heard(self._began))
        if incarnation in heard.live:
            self._silent_since.pop(incarnation, None)
            return not self._speaks(machine, tick)
        since = self._silent_since.setdefault(incarnation, heard.tick if machine not in self._heard else tick)
        # a machine that does not name it any more has waited itself; one that was not heard yet gets its time
        return machine in self._heard or tick - since >= LATE_AFTER_S

    def _set(self, incarnation: int, known: Known) -> None:
        if self._known.get(incarnation) != known:
            self._known[incarnation] = known
            self._changed.add(incarnation)

    @property
    def changed(self) -> bool:
        return bool(self._changed)

    def write(self, connection: Connection) -> None:
        """Puts into the database what has changed, under the lease of the books; call `written` after the commit."""
        if self._changed:
            self.take_lost(connection)
        rows = [(f"{incarnation:016x}", *_row(self._known[incarnation])) for incarnation in sorted(self._changed)]
        _ROWS.run(connection, rows)

    def written(self) -> None:
        self._changed = set()


def _least(places: Sequence[Marks], incarnations: Iterable[int]) -> dict[int, int]:
    return {incarnation: min([place.get(incarnation, 0) for place in places]) for incarnation in incarnations}


def _behind(promised: Marks, speaks: Container[int], watermark: int) -> Late:
    behind = {one: mark for one, mark in promised.items() if mark < watermark and one in speaks}
    return Late(frozenset(behind), min(behind.values())) if behind else NOBODY_IS_LATE


def _row(known: Known) -> tuple[str, str, int, str, int, str]:
    return known.producer, known.machine, known.first_seen, known.state, known.seq, known.note


def of_hits(connection: Connection) -> tuple[Sequence[Marks], Sequence[Marks]]:
    """What is promised in each partition of hits: as far as touches are there, and as far as sums are there too."""
    touched: list[dict[int, int]] = [{} for _ in range(PARTITIONS)]
    summed: list[Marks] = [{} for _ in range(PARTITIONS)]
    for fold, partition, promised in position.read_marks(connection, "hits", "touches"):
        if fold == "hits":
            summed[partition] = promised
        known = touched[partition]
        for incarnation, mark in promised.items():
            mark = mark if fold == "hits" else min(mark, TOUCHED)
            known[incarnation] = max(mark, known.get(incarnation, 0))
    return touched, summed


def committed(connection: Connection) -> int:
    """The watermark by what is committed (ms), sums included; 0 where one that lives has not promised anything yet."""
    alive = select(producers.c.incarnation).where(producers.c.state == "live")
    live = [int(incarnation, 16) for incarnation in connection.scalars(alive)]
    reached = position.read_all(connection)
    return min((place.marks.get(incarnation, 0) for place in reached for incarnation in live), default=0)
