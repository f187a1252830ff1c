"""Where what was booked is written: in the books' own journal on one machine, in the table `booked` on several.

On several a registry write's record has its message, so that the table alone makes the books again."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection, select

from tuike import _core
from tuike.clock import wall
from tuike.faults import Found
from tuike.process import ALL, PRODUCER
from tuike.stores import erasures
from tuike.stores.bulk import stream
from tuike.stores.schema import booked

SOME = 500
"""Records that are read at once by who follows them."""


class Record(Protocol):
    """What tells one booked record from the others."""

    @property
    def number(self) -> int: ...


T = TypeVar("T", bound=Record)


class Numbered(msgspec.Struct, frozen=True):
    """The least that is read of a booked record."""

    number: int
    event: str
    kind: str


class BookedLog(Protocol):
    def after(self, number: int, upto: int, kind: type[T]) -> list[T]:
        """Some of the records behind `number` and up to `upto`, from the first of them on; none: there are none."""
        ...

    def records(self, upto: int, kind: type[T]) -> Iterator[T]:
        """The booked records 1 to `upto`, each once and in order, read as `kind`. Raises Found where one is missing."""
        ...


class JournalLog:
    """In the journals under a directory, read as erasures under way will rewrite them."""

    def __init__(self, root: str, forgotten: _core.Erasure | None = None) -> None:
        self._root = root
        self._forgotten = forgotten
        self._follower = _core.Follower(root)
        self._firsts: dict[int, int] = {}

    def records(self, upto: int, kind: type[T]) -> Iterator[T]:
        return _in_order(self._read(upto, kind), upto, "the journal does not have it")

    def after(self, number: int, upto: int, kind: type[T]) -> list[T]:
        for path, last in _incarnations(self._root):
            if last <= number:
                continue
            incarnation = int(Path(path).name, 16)
            first = self._first(incarnation)
            # an incarnation's records have its sequence numbers, one after the other
            known = {incarnation: max(0, number + 1 - first)}
            batch = self._follower.read(known, SOME, wall(), {incarnation: ALL})
            records = [msgspec.json.decode(self._body(fields), type=kind) for _, _, _, fields in batch.events()]
            if records and records[0].number != number + 1:
                raise Found(f"number {number + 1} of the books", "the journal does not have it")
            found = [record for record in records if record.number <= min(last, upto)]
            if found:
                return found
        return []

    def _first(self, incarnation: int) -> int:
        """The number of its first record."""
        if incarnation not in self._firsts:
            batch = self._follower.read({}, 1, wall(), {incarnation: ALL})
            _, _, _, fields = batch.events()[0]
            self._firsts[incarnation] = msgspec.json.decode(fields["body"], type=Numbered).number
        return self._firsts[incarnation]

    def _read(self, upto: int, kind: type[T]) -> Iterator[T]:
        for path, last in _incarnations(self._root):
            for _, payload in _core.JournalReader(path):
                fields = _core.decode_event(payload)
                if fields["kind"] != "booked":
                    continue
                record = msgspec.json.decode(self._body(fields), type=kind)
                if record.number > min(last, upto):
                    break
                yield record

    def _body(self, fields: dict[str, Any]) -> bytes | str:
        body: bytes = fields["body"]
        return (self._forgotten and self._forgotten.rewrite_booked(body.decode())) or body


class TableLog:
    """In SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def records(self, upto: int, kind: type[T]) -> Iterator[T]:
        return _in_order(self._read(upto, kind), upto, "table booked does not have it")

    def after(self, number: int, upto: int, kind: type[T]) -> list[T]:
        some = select(booked.c.record).where(booked.c.number > number, booked.c.number <= upto)
        rows = self._connection.scalars(some.order_by(booked.c.number).limit(SOME))
        return [msgspec.json.decode(record, type=kind) for record in rows]

    def _read(self, upto: int, kind: type[T]) -> Iterator[T]:
        rows = select(booked.c.record).where(booked.c.number <= upto).order_by(booked.c.number)
        for (record,) in stream(self._connection, rows):
            yield msgspec.json.decode(record, type=kind)


def log_of(connection: Connection, root: str) -> BookedLog:
    """The one that these books are written in."""
    several = connection.execute(select(booked.c.number).limit(1)).first() is not None
    return TableLog(connection) if several else JournalLog(root, erasures.under_way(connection))


def _in_order(records: Iterable[T], upto: int, missing: str) -> Iterator[T]:
    number = 0
    for record in records:
        number += 1
        if record.number != number:
            raise Found(f"number {number} of the books", missing)
        yield record
    if number < upto:
        raise Found(f"number {number + 1} of the books", missing)


def _incarnations(root: str) -> list[tuple[str, int]]:
    """The bookkeeper's journals in the order in which they were written, each with the last number that counts in it:
    what one had not synced when it was killed may have been decided anew by the next."""
    found: list[tuple[int, int, str]] = []
    for producer, _, path in _core.incarnations(root):
        if producer == PRODUCER:
            for _, payload in _core.JournalReader(path):
                fields = _core.decode_event(payload)
                number = msgspec.json.decode(fields["body"], type=Numbered).number
                found.append((fields["received"], number, path))
                break
    found.sort()
    answer: list[tuple[str, int]] = []
    last = ALL
    for _, first, path in reversed(found):
        answer.append((path, last))
        last = min(last, first - 1)
    return answer[::-1]
