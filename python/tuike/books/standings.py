"""Orders as they stand in the books, read for who is to decide about them."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, func, select

from tuike.books.records import Conversion, Share, Standing
from tuike.stores.schema import conversions, releases, shares

ROWS_PER_SELECT = 10_000


def orders_of(connection: Connection, ids: Iterable[str]) -> dict[str, Standing]:
    """The orders with these ids that there are, by id."""
    wanted = sorted(ids)
    found: dict[str, Standing] = {}
    for start in range(0, len(wanted), ROWS_PER_SELECT):
        chunk = wanted[start : start + ROWS_PER_SELECT]
        for standing in _read(connection, conversions.c.id.in_(chunk)):
            found[standing.conversion.id] = standing
    return found


def orders_numbered(connection: Connection, numbers: Sequence[int]) -> dict[int, Standing]:
    """The orders with these numbers, by number."""
    found: dict[int, Standing] = {}
    for start in range(0, len(numbers), ROWS_PER_SELECT):
        chunk = numbers[start : start + ROWS_PER_SELECT]
        for standing in _read(connection, conversions.c.number.in_(chunk)):
            found[standing.conversion.number] = standing
    return found


def _read(connection: Connection, which: ColumnElement[bool]) -> list[Standing]:
    found = (
        select(conversions, func.coalesce(releases.c.number, 0).label("released"))
        .outerjoin(releases, releases.c.conversion == conversions.c.number)
        .where(which)
    )
    rows = connection.execute(found).all()
    lines: dict[int, list[Share]] = {}
    numbers = [row.number for row in rows]
    theirs = select(shares).where(shares.c.conversion.in_(numbers)).order_by(shares.c.conversion, shares.c.position)
    for number, _, *line in connection.execute(theirs):
        lines.setdefault(number, []).append(Share(*line))
    return [_standing(row, tuple(lines.get(row.number, ()))) for row in rows]


def _standing(row: Any, lines: tuple[Share, ...]) -> Standing:
    columns = {**row._mapping, "evidence": msgspec.json.decode(row.evidence)}
    return Standing(Conversion(**columns), lines)
