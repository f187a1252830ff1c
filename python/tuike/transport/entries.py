"""What goes from an edge's journal to the folds on other machines, whatever carries it.

Hits are in 64 partitions, each visitor's in one; everything else is in one more, `ORDERS`. An entry holds all that an
incarnation has for its partition in (after, upto], perhaps nothing: then it is a mark. Whoever reads trusts positions
alone: what is at or below its own is passed over, and what begins above it is a gap and is asked for again.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from tuike import _core

PARTITIONS = _core.Shipment.PARTITIONS
ORDERS = PARTITIONS
"""The partition of all that is no hit."""
ALL = range(PARTITIONS + 1)
ENDED = _core.Shipment.ENDED
"""The mark of an incarnation of which nothing more is to come."""
CLOSED_FOR_S = 30.0
"""Positions keep an incarnation for so long after it is closed, until its shipper certainly knows that."""
GONE = _core.Shipment.GONE
"""The position of an incarnation of which nothing is to be read any more."""

Ends = tuple[tuple[int, int, int], ...]
"""How far entries come: incarnation, sequence number, mark."""
Damage = tuple[str, int, int, int]
"""Producer, incarnation, offset and length in bytes: as `_core.Batch.damage`."""


PACKET_BYTES = 200
"""What a packet takes besides its records, about."""
Records = bytes | memoryview
"""Packed ones (`_core.Shipment.packed`)."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """`data` are packed records. `mark`: nothing that was received before it comes after
    `upto` (ms; 0: no word of that; ENDED: nothing at all)."""

    incarnation: int
    producer: str
    after: int
    upto: int
    mark: int = 0
    data: bytes = b""


class Packet(msgspec.Struct, frozen=True, array_like=True):
    """Entries of one machine for one partition. `live` are all its incarnations that are to be waited for:
    with them even one of which no entry has been seen yet. `named`: what the machine received before this instant (ms)
    is of an incarnation that it has named by now; 0: no word of that; ENDED: it is of an older version, which says
    nothing of it. `live`, `damage` and `named` are told in `ORDERS` alone."""

    machine: str
    partition: int
    entries: tuple[Entry, ...]
    live: tuple[int, ...] = ()
    damage: tuple[Damage, ...] = ()
    named: int = ENDED

    @property
    def size(self) -> int:
        """Bytes of its records."""
        return sum(len(entry.data) for entry in self.entries)

    @property
    def ends(self) -> Ends:
        return tuple((entry.incarnation, entry.upto, entry.mark) for entry in self.entries)


class Sending(NamedTuple):
    """A packet before it goes: records lie beside its entries, for each of them, and nobody copies them into it."""

    packet: Packet
    records: tuple[Records, ...]

    @property
    def size(self) -> int:
        """Bytes, about."""
        return PACKET_BYTES + sum(map(len, self.records))

    def whole(self) -> Packet:
        """With copies of the records."""
        entries = zip(self.packet.entries, self.records, strict=True)
        return replace(self.packet, entries=tuple(replace(entry, data=bytes(data)) for entry, data in entries))


class Reached(msgspec.Struct, array_like=True):
    """How far a partition has come: incarnation to sequence number, and to mark (ms)."""

    upto: dict[int, int] = {}
    marks: dict[int, int] = {}

    def covers(self, ends: Ends, closed: Container[int] = frozenset()) -> bool:
        """Whether entries that come so far bring nothing more; those of closed incarnations never do."""
        return all(
            number in closed or (self.upto.get(number, 0) >= upto and self.marks.get(number, 0) >= mark)
            for number, upto, mark in ends
        )


class Portion:
    """How many packets of a partition to read at a time: more, as long as there are more and what is read is applied
    well within a lease. With a fixed number, many machines that each send a few small ones would be read more slowly
    than they write."""

    LEAST, MOST = 16, 1_024
    LONG_S = 1.0

    def __init__(self, least: int = LEAST) -> None:
        self._least = self.packets = least

    def took(self, most: int, seconds: float) -> None:
        """Of one partition so many packets came at most, and they and the others took so long."""
        if seconds > self.LONG_S:
            self.packets = max(self._least, self.packets // 2)
        elif most >= self.packets:
            self.packets = min(self.MOST, self.packets * 2)


Applicable = tuple[str, int, int, bytes]
"""As `_core.Batch.of_entries` takes it."""


@dataclass(slots=True)
class Reading:
    """One partition as its reader has it: what was read, whether or not it is committed yet."""

    upto: dict[int, int]
    marks: dict[int, int]
    entries: list[Applicable] = field(default_factory=list)
    """What was read and is to be applied."""
    gaps: set[str] = field(default_factory=set)
    """Machines whose entries begin above what was read of them."""
    moved: bool = False
    """Whether anything is to be committed."""
    closed: Container[int] = frozenset()
    """Incarnations that are wholly applied, of which a position need say nothing any more."""

    @classmethod
    def at(cls, upto: Mapping[int, int], marks: Mapping[int, int], closed: Container[int] = frozenset()) -> "Reading":
        return cls(dict(upto), dict(marks), closed=closed)

    def take(self, packet: Packet) -> None:
        for entry in packet.entries:
            if entry.incarnation in self.closed and entry.incarnation not in self.upto:
                continue
            reached = self.upto.get(entry.incarnation, 0)
            if entry.after > reached:
                self.gaps.add(packet.machine)
                continue
            if entry.upto > reached:
                if entry.data:
                    self.entries.append((entry.producer, entry.incarnation, reached, entry.data))
                self.upto[entry.incarnation] = entry.upto
                self.moved = True
            elif entry.upto < reached:
                continue  # its mark says nothing of what lies between
            if entry.mark > self.marks.get(entry.incarnation, 0):
                self.marks[entry.incarnation] = entry.mark
                self.moved = True

    def reached(self) -> Reached:
        return Reached(dict(self.upto), dict(self.marks))

    def forget(self, incarnations: Iterable[int]) -> None:
        """Some of the closed ones. Call it with nothing to be applied."""
        for incarnation in incarnations:
            if self.upto.pop(incarnation, None) is not None:
                self.marks.pop(incarnation, None)
                self.moved = True

    def committed(self) -> None:
        """What was read is applied."""
        self.entries = []
        self.moved = False
