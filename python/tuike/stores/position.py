"""Positions: how far each fold has come in each partition, committed in the transaction of its effects.

A position is a map from incarnation to sequence number under a version. Moving it is a compare-and-set
on that version: whoever worked from an older one changes no row, and its whole transaction rolls back.
So does whoever moves it under the token of a lease that another has held since.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from tuike.stores.schema import positions

Fold = Literal["hits", "books"]


class PositionMoved(Exception):
    """Someone else has moved this position: this process is not the processor any more."""


@dataclass(frozen=True, slots=True)
class Position:
    """`marks`: per incarnation, the instant (ms) before which nothing that it received is to come in this partition."""

    fold: Fold
    version: int
    upto: Mapping[int, int]
    partition: int = 0
    token: int = 0
    marks: Mapping[int, int] = field(default_factory=dict)


def read(connection: Connection, fold: Fold, partition: int = 0) -> Position:
    """The position of a fold; before it was ever moved, version 0 at nothing."""
    kept = select(positions).where(positions.c.fold == fold, positions.c.partition == partition)
    row = connection.execute(kept).one_or_none()
    return Position(fold, 0, {}, partition) if row is None else _position(row)


def read_all(connection: Connection) -> list[Position]:
    """Those that were ever moved."""
    return [_position(row) for row in connection.execute(select(positions))]


def advance(
    connection: Connection,
    seen: Position,
    upto: Mapping[int, int],
    *,
    marks: Mapping[int, int] | None = None,
    token: int = 0,
) -> Position:
    """Moves the position that was `seen` to `upto`, under the token of a lease. Raises PositionMoved, and the caller's
    transaction ends."""
    moved = Position(seen.fold, seen.version + 1, dict(upto), seen.partition, token, dict(marks or {}))
    if not (_begin(connection, moved) if seen.version == 0 else _move(connection, moved)):
        raise PositionMoved(
            f"position {seen.fold!r} of partition {seen.partition} is no longer at version {seen.version}"
        )
    return moved


def _begin(connection: Connection, first: Position) -> bool:
    try:
        connection.execute(insert(positions).values(fold=first.fold, partition=first.partition, **_row(first)))
    except IntegrityError:
        return False
    return True


def _move(connection: Connection, moved: Position) -> bool:
    seen = (
        positions.c.fold == moved.fold,
        positions.c.partition == moved.partition,
        positions.c.version == moved.version - 1,
        positions.c.token <= moved.token,
    )
    return connection.execute(update(positions).where(*seen).values(_row(moved))).rowcount == 1


def _row(moved: Position) -> dict[str, Any]:
    return {
        "version": moved.version,
        "token": moved.token,
        "upto": _pack(moved.upto),
        "marks": _pack(moved.marks),
    }


def _position(row: Row[Any]) -> Position:
    return Position(row.fold, row.version, _unpack(row.upto), row.partition, row.token, _unpack(row.marks))


def _pack(numbers: Mapping[int, int]) -> bytes:
    return json.dumps({f"{incarnation:016x}": number for incarnation, number in sorted(numbers.items())}).encode()


def _unpack(packed: bytes) -> dict[int, int]:
    return {int(incarnation, 16): number for incarnation, number in json.loads(packed).items()}
