"""Fraud's tables: flags as they were raised and decided, and each open one holding its order."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from sqlalchemy import BigInteger, Connection, func, literal_column, select

from tuike.books.flags import OPEN, of_row
from tuike.books.records import Flag, Purchase
from tuike.faults import Found
from tuike.stores.bulk import stream
from tuike.stores.rollups import HOUR_S
from tuike.stores.schema import bad_touches, fraud_flags, promoter_hours, promoter_purchases, rollups


class Effect(Protocol):
    """What of a record's effect is about fraud."""

    @property
    def flags(self) -> tuple[Flag, ...]: ...
    @property
    def purchases(self) -> tuple[Purchase, ...]: ...
    @property
    def bad_touches(self) -> tuple[tuple[str, int], ...]: ...


@dataclass(slots=True)
class Flagged:
    """What all records leave behind of it: flags by their numbers as hashes, the orders of the open ones."""

    flags: dict[int, int] = field(default_factory=dict)
    holding: dict[int, int] = field(default_factory=dict)
    purchases: dict[tuple[str, str, str], int] = field(default_factory=dict)
    bad_touches: dict[str, int] = field(default_factory=dict)

    def take(self, effect: Effect) -> None:
        for flag in effect.flags:
            self.flags[flag.number] = _hash(flag)
            self.holding.pop(flag.number, None)
            if flag.status == OPEN:
                self.holding[flag.number] = flag.conversion
        for made in effect.purchases:
            self.purchases.setdefault((made.merchant, made.buyer, made.promoter), made.conversion)
        for touch, conversion in effect.bad_touches:
            self.bad_touches.setdefault(touch, conversion)


def check(connection: Connection, left: Flagged, flagged: set[int]) -> str:
    """`flagged` are the numbers of the orders that are held by flags."""
    seen = 0
    for row in connection.execute(select(fraud_flags).order_by(fraud_flags.c.number)).mappings():
        seen += 1
        if left.flags.get(row["number"]) != _hash(of_row(row)):
            raise Found(f"flag {row['id']}", "it is not what was booked last")
    if seen != len(left.flags):
        raise Found("table fraud_flags", f"there are {seen} rows, {len(left.flags)} flags were raised")
    holding = set(left.holding.values())
    for number in sorted(holding ^ flagged):
        detail = "an open flag does not hold it" if number in holding else "it is held, and has no open flag"
        raise Found(f"conversion of number {number}", detail)
    _same(
        "promoter_purchases",
        ((tuple(row[:3]), row[3]) for row in _rows(connection, promoter_purchases)),
        left.purchases,
    )
    _same("bad_touches", ((row[0], row[1]) for row in _rows(connection, bad_touches)), left.bad_touches)
    return f"{seen} flags, {len(left.holding)} of them open, {len(flagged)} orders held"


def check_hours(connection: Connection) -> str:
    """A promoter's clicks by hour are those of the reports."""
    # as text: PostgreSQL takes two parameters of one value for two different ones
    hour = rollups.c.bucket - rollups.c.bucket % literal_column(str(HOUR_S), BigInteger())
    by = (rollups.c.promoter, rollups.c.merchant, hour)
    clicks = func.sum(rollups.c.clicks)
    of_all = select(*by, clicks).where(rollups.c.label_number == 0).group_by(*by).order_by(*by)
    sums = of_all.having(clicks > literal_column("0"))
    mine = promoter_hours.c
    keys = (mine.promoter, mine.merchant, mine.hour)
    kept = select(*keys, func.sum(mine.clicks)).group_by(*keys).order_by(*keys)
    rows = [tuple(row) for row in connection.execute(kept)]
    wanted = [tuple(row) for row in connection.execute(sums)]
    if rows != wanted:
        row = min(set(rows) ^ set(wanted))
        raise Found(f"clicks of {row[0]} at {row[1]} in hour {row[2]}", "they are not those of the reports")
    return f"{len(rows)} promoters' hours"


def _same(table: str, rows: Iterator[tuple[Any, int]], wanted: dict[Any, int]) -> None:
    kept = dict(rows)
    if kept != wanted:
        key = min(key for key in kept.keys() | wanted.keys() if kept.get(key) != wanted.get(key))
        raise Found(f"{table} {key}", f"it is {kept.get(key)}, and was booked as {wanted.get(key)}")


def _rows(connection: Connection, table: Any) -> Iterator[tuple[Any, ...]]:
    return stream(connection, select(table))


def _hash(flag: Flag) -> int:
    return hash(msgspec.json.encode(flag))
