"""Writes what batches of hits and orders add up to: rollups, days, cuts, hit counts, damaged stretches."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, case, func, literal_column

from tuike import _core
from tuike.stores import cuts
from tuike.stores.bulk import Row, Standing, adding, changing, missing
from tuike.stores.schema import (
    damage,
    hit_counts,
    hit_cuts,
    hit_days,
    order_cuts,
    order_days,
    order_rollups,
    promoter_hours,
    rollups,
)

HOUR_S = 3_600

COUNTERS = ("impressions", "clicks", "bots", "prefetches")
ORDER_COUNTERS = ("conversions", "sales", "commission")
# Of a row of `_core.Batch.rollups`, and of one of `order_rollups`: its dimensions before the labels, then the number.
LABEL_NUMBER = 5


class Sketched:
    """A table of hits' counters with a sketch of their visitors, which is its last column."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._width = len(table.primary_key.columns)
        self._rows = changing(table, self._changes, self._together)
        self._standing = Standing(table, table.c.visitors)

    def add(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Adds rows of different keys to what stands there; sketches are merged."""
        width = self._width
        standing = self._standing.find(connection, [row[:width] for row in rows if row[-1]])
        self._rows.run(connection, [(*row[:-1], _merged(standing.get(row[:width]), row[-1])) for row in rows])

    def _changes(self, new: Any) -> dict[str, Any]:
        columns = self._table.c
        sums = {name: columns[name] + new[name] for name in COUNTERS}
        kept = case((func.length(new.visitors) == literal_column("0"), columns.visitors), else_=new.visitors)
        return sums | {"visitors": kept}

    def _together(self, before: Row, after: Row) -> Row:
        """Two rows of a batch, whose sketches are merged with what stands in the table already."""
        width = self._width
        sums = [a + b for a, b in zip(before[width:-1], after[width:-1], strict=True)]
        return (*before[:width], *sums, _merged(before[-1], after[-1]))


ROLLUPS, HIT_DAYS, HIT_CUTS = Sketched(rollups), Sketched(hit_days), Sketched(hit_cuts)
ORDERS, ORDER_DAYS, ORDER_CUTS = (adding(table, *ORDER_COUNTERS) for table in (order_rollups, order_days, order_cuts))
HOURS = adding(promoter_hours, "clicks")
COUNTS = adding(hit_counts, "hits")
DAMAGE = missing(damage)


def add_rollups(connection: Connection, sums: Iterable[Row], partition: int = 0) -> None:
    """Adds sums as `_core.Batch.rollups` gives them, to the days and cuts as well; sketches of visitors are merged with
    what stands there."""
    for _ in adding_rollups(connection, sums, partition, sys.maxsize):
        pass


def adding_rollups(connection: Connection, sums: Iterable[Row], partition: int, portion: int) -> Iterator[None]:
    """The same in portions of so many rows, between which the caller can do other things."""
    width = len(rollups.primary_key.columns) - 1
    rows = [(*row[:width], partition, *row[width:]) for row in sums]
    for table, some in chain([(ROLLUPS, rows)], _coarser_hits(rows)):
        for start in range(0, len(some), portion):
            table.add(connection, some[start : start + portion])
            yield
    _add_hours(connection, rows)


def add_coarser_hits(connection: Connection, rows: Iterable[Row]) -> None:
    """Adds rows of `rollups` to the days and cuts."""
    for table, coarser in _coarser_hits(rows):
        table.add(connection, coarser)


def _coarser_hits(rows: Iterable[Row]) -> Iterator[tuple[Sketched, list[Row]]]:
    """Rows of `rollups` by day and by cut, and the tables these are for."""
    whole: cuts.Sums = {}
    for row in rows:
        if row[LABEL_NUMBER] == 0:
            partition, *counters, sketch = row[LABEL_NUMBER + 2 :]
            cuts.add(whole, (*row[:LABEL_NUMBER], partition), counters, [sketch] if sketch else [])
    yield HIT_DAYS, flat(cuts.by_day(whole))
    yield HIT_CUTS, flat(cuts.by_cut(whole))


def flat(sums: cuts.Sums) -> list[Row]:
    """Rows of a table of hits, with one sketch each."""
    return [(*key, *counters, _union(sketches)) for key, (counters, sketches) in sums.items()]


def add_orders(connection: Connection, rows: Sequence[Row]) -> None:
    """Adds rows of `order_rollups`, to the days and cuts as well."""
    ORDERS.run(connection, rows)
    add_coarser_orders(connection, rows)


def add_coarser_orders(connection: Connection, rows: Iterable[Row]) -> None:
    """Adds rows of `order_rollups` to the days and cuts."""
    whole: cuts.Sums = {}
    for row in rows:
        if row[LABEL_NUMBER] == 0:
            currency, *counters = row[LABEL_NUMBER + 2 :]
            cuts.add(whole, (*row[:LABEL_NUMBER], currency), counters)
    for table, sums in ((ORDER_DAYS, cuts.by_day(whole)), (ORDER_CUTS, cuts.by_cut(whole))):
        table.run(connection, [(*key, *counters) for key, (counters, _) in sums.items()])


def _union(sketches: list[bytes]) -> bytes:
    return _core.merge_sketches(sketches) if len(sketches) > 1 else sketches[0] if sketches else b""


def _add_hours(connection: Connection, rows: Iterable[Row]) -> None:
    """Adds a promoter's clicks by hour, which fraud rules ask for: of the rows, those of all hits."""
    hours: dict[Row, int] = {}
    for bucket, merchant, _, promoter, _, label, _, partition, _, clicks, *_ in rows:
        if clicks and not label:
            key = promoter, merchant, bucket // HOUR_S * HOUR_S, partition
            hours[key] = hours.get(key, 0) + clicks
    HOURS.run(connection, [(*key, clicks) for key, clicks in hours.items()])


def _merged(standing: bytes | None, sketch: bytes) -> bytes:
    return _core.merge_sketches([standing, sketch]) if standing and sketch else sketch or standing or b""


def add_hit_counts(connection: Connection, counts: Mapping[int, Mapping[str, int]], partition: int = 0) -> None:
    """Adds the number of hits by incarnation and outcome."""
    rows = [
        (f"{incarnation:016x}", outcome, partition, hits)
        for incarnation, outcomes in counts.items()
        for outcome, hits in outcomes.items()
    ]
    COUNTS.run(connection, rows)


def add_damage(connection: Connection, stretches: Iterable[tuple[str, int, int, int]], found: int) -> None:
    """Notes damaged stretches (producer, incarnation, offset, length in bytes), each once."""
    rows = [
        (f"{incarnation:016x}", offset, producer, length, found) for producer, incarnation, offset, length in stretches
    ]
    DAMAGE.run(connection, rows)
