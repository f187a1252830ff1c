"""Positions: how far each fold has come in each partition, committed in the transaction of its effects.

A position is a map from incarnation to sequence number under a version. Moving it is a compare-and-set
on that version: whoever worked from an older one changes no row, and its whole transaction rolls back.
So does whoever moves it under the token of a lease that another has held since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from tuike.stores.bulk import Bulk
from tuike.stores.schema import positions

Fold = Literal["hits", "touches", "books"]
"""`hits` are applied with all that is made of them. Where folds run on several machines `touches` is ahead of that:
the touches are there, their sums not yet. On one machine there is no such fold."""


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
    """Those of `hits` and `books` that were ever moved."""
    wanted = positions.c.fold.in_(("hits", "books"))
    return [_position(row) for row in connection.execute(select(positions).where(wanted))]


def read_marks(connection: Connection, *folds: Fold) -> list[tuple[Fold, int, dict[int, int]]]:
    """Of all positions of some folds: fold, partition and marks."""
    wanted = select(positions.c.fold, positions.c.partition, positions.c.marks).where(positions.c.fold.in_(folds))
    return [(row.fold, row.partition, _unpack(row.marks)) for row in connection.execute(wanted)]


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
    after = moved(seen, upto, marks or {}, token)
    if not (_begin(connection, after) if seen.version == 0 else _move(connection, after)):
        raise PositionMoved(
            f"position {seen.fold!r} of partition {seen.partition} is no longer at version {seen.version}"
        )
    return after


def advance_all(connection: Connection, moves: Sequence[tuple[Position, Position]]) -> None:
    """The same for several partitions at once, given each as it was seen and as it shall be (`moved`): all or none."""
    for seen, after in moves:
        if seen.version == 0 and not _begin(connection, after):
            raise PositionMoved(f"position {seen.fold!r} of partition {seen.partition} has begun")
    later = [after for seen, after in moves if seen.version]
    if later and _MOVE.run(connection, [_moving(after) for after in later]) != len(later):
        raise PositionMoved(f"a position of {later[0].fold!r} is no longer where it was seen")


def moved(seen: Position, upto: Mapping[int, int], marks: Mapping[int, int], token: int) -> Position:
    """What a position becomes."""
    return Position(seen.fold, seen.version + 1, dict(upto), seen.partition, token, dict(marks))


def _moving(after: Position) -> tuple[Any, ...]:
    place = (after.fold, after.partition, after.version - 1, after.token)
    return (*place, after.version, after.token, _pack(after.upto), _pack(after.marks))


_MOVE = Bulk(
    update(positions)
    .where(
        positions.c.fold == bindparam("in_fold"),
        positions.c.partition == bindparam("in_partition"),
        positions.c.version == bindparam("seen"),
        positions.c.token <= bindparam("under"),
    )
    .values(
        version=bindparam("to_version"),
        token=bindparam("to_token"),
        upto=bindparam("to_upto"),
        marks=bindparam("to_marks"),
    ),
    ("in_fold", "in_partition", "seen", "under", "to_version", "to_token", "to_upto", "to_marks"),
)


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
    return orjson.dumps({f"{incarnation:016x}": number for incarnation, number in sorted(numbers.items())})


def _unpack(packed: bytes) -> dict[int, int]:
    return {int(incarnation, 16): number for incarnation, number in orjson.loads(packed).items()}
