"""Positions: how far each fold has come, committed in the transaction of its effects.

A position is a map from incarnation to sequence number under a version. Moving it is a compare-and-set
on that version: whoever worked from an older one changes no row, and its whole transaction rolls back.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, Insert, Update, select, update
from sqlalchemy.dialects.sqlite import insert

from tuike.stores.schema import positions

Fold = Literal["hits", "books"]


class PositionMoved(Exception):
    """Someone else has moved this position: this process is not the processor any more."""


@dataclass(frozen=True, slots=True)
class Position:
    fold: Fold
    version: int
    upto: Mapping[int, int]


def read(connection: Connection, fold: Fold) -> Position:
    """The position of a fold; before it was ever moved, version 0 at nothing."""
    kept = select(positions.c.version, positions.c.upto).where(positions.c.fold == fold)
    row = connection.execute(kept).one_or_none()
    if row is None:
        return Position(fold, 0, {})
    return Position(fold, row.version, _unpack(row.upto))


def advance(connection: Connection, seen: Position, upto: Mapping[int, int]) -> Position:
    """Moves the position that was `seen` to `upto`. Raises PositionMoved, and the caller's transaction ends."""
    row = {"version": seen.version + 1, "upto": _pack(upto)}
    if seen.version == 0:
        statement: Insert | Update = insert(positions).values(fold=seen.fold, **row).on_conflict_do_nothing()
    else:
        where = (positions.c.fold == seen.fold, positions.c.version == seen.version)
        statement = update(positions).where(*where).values(row)
    if connection.execute(statement).rowcount != 1:
        raise PositionMoved(f"position {seen.fold!r} is no longer at version {seen.version}")
    return Position(seen.fold, seen.version + 1, dict(upto))


def _pack(upto: Mapping[int, int]) -> bytes:
    return json.dumps({f"{incarnation:016x}": seq for incarnation, seq in sorted(upto.items())}).encode()


def _unpack(packed: bytes) -> dict[int, int]:
    return {int(incarnation, 16): seq for incarnation, seq in json.loads(packed).items()}
