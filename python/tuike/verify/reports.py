"""`verify --reports`: the sums that reports are made of, made again from the journal's hits and the books' orders.

Each row of each table is held against what it should be; those of several partitions are one. On one machine of
several, hits of other machines are not here: there the quarter-hours of hits are taken as they stand, and the days and
cuts follow from them."""

from collections.abc import Iterator
from itertools import groupby, zip_longest
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Table, case, func, select

from tuike import _core
from tuike.books.totals import QUARTER_HOUR_MS
from tuike.books.touches import Attribution
from tuike.data import Data
from tuike.faults import Fault, Found, Report
from tuike.replay.compare import visitors_since
from tuike.replay.rebuild import fresh, rebuild_hits
from tuike.stores import engine, position, rollups
from tuike.stores.bulk import Row, stream
from tuike.stores.schema import (
    conversions,
    hit_cuts,
    hit_days,
    order_cuts,
    order_days,
    order_rollups,
    shares,
)
from tuike.stores.schema import rollups as quarter_hours

OF_HITS = (quarter_hours, hit_days, hit_cuts)
OF_ORDERS = (order_rollups, order_days, order_cuts)
ROWS_PER_PART = 5_000

Line = tuple[Row, Row]
"""A key, without the partition, and its figures; of a sketch, its estimate."""


def verify_reports(data: Data) -> Report:
    """Nothing is written but in a temporary directory; the instance may be running."""
    report = Report()
    if not engine.exists(data.database):
        report.proved.append("no books yet")
        return report
    books = engine.open_reader(data.database)
    try:
        with books.begin() as live, fresh(data) as (_, made):
            report.proved.append(_hits(live, made, data))
            report.proved.append(_orders(live, made))
            since = visitors_since(live)
            with made.begin() as again:
                for table in (*OF_HITS, *OF_ORDERS):
                    report.proved.append(f"{table.name}: {_compare(live, again, table, since)} rows")
    except Found as found:
        report.fault = Fault("reports", found.place, found.detail)
    finally:
        books.dispose()
    return report


def _hits(live: Connection, made: Engine, data: Data) -> str:
    positions = position.read_all(live)
    if not any(kept.partition for kept in positions):
        count = rebuild_hits(made, str(data.journal), position.read(live, "hits").upto)
        return f"hits: {count} events of the journal"
    count = 0
    rows = stream(live, select(quarter_hours).order_by(*quarter_hours.primary_key.columns))
    for part in _parts(rows):
        count += len(part)
        with made.begin() as connection:
            rollups.ROLLUPS.add(connection, part)
            rollups.add_coarser_hits(connection, part)
    return f"hits: {count} rows of several machines, as they stand"


def _orders(live: Connection, made: Engine) -> str:
    """What the reports must say of each credited order that is not rejected."""
    paid = func.sum(case((shares.c.promoter != "", shares.c.amount), else_=0)).label("paid")
    lines = select(shares.c.conversion, paid).group_by(shares.c.conversion).subquery()
    columns = conversions.c
    names = (columns.merchant, columns.product, columns.currency, columns.at, columns.evidence)
    net = func.coalesce(columns.amount, 0) - columns.refunded
    orders = (
        select(*names, net, lines.c.paid)
        .join(lines, lines.c.conversion == columns.number)
        .where(columns.status != "rejected")
        .order_by(columns.number)
    )
    count = 0
    for part in _parts(stream(live, orders)):
        count += len(part)
        with made.begin() as connection:
            rollups.add_orders(connection, [row for order in part for row in _rows(*order)])
    return f"orders: {count} of the books"


def _rows(
    merchant: str, product: str, currency: str, at: int, evidence: str, net: int, paid: int
) -> Iterator[tuple[Any, ...]]:
    """An order's rows: of all, and of each label that its main touch carried."""
    attribution = msgspec.json.decode(evidence, type=Attribution)
    assert attribution.top is not None
    bucket = at // QUARTER_HOUR_MS * QUARTER_HOUR_MS // 1000
    key = (bucket, merchant, product, attribution.top.promoter, attribution.channel)
    for number, label in enumerate(("", *attribution.labels)):
        if label or not number:
            yield (*key, number, label, currency, 1, int(net), int(paid))


def _parts(rows: Iterator[Row]) -> Iterator[list[Row]]:
    part: list[Row] = []
    for row in rows:
        part.append(tuple(row))
        if len(part) == ROWS_PER_PART:
            yield part
            part = []
    if part:
        yield part


def _compare(live: Connection, made: Connection, table: Table, since: int) -> int:
    """Raises Found at the first difference. How many rows are not empty. `since` (s): from then on visitors can be
    counted again."""
    rows = 0
    for here, there in zip_longest(_lines(live, table, since), _lines(made, table, since)):
        rows += 1
        if here == there:
            continue
        if here is None or (there is not None and there[0] < here[0]):
            raise Found(_place(table, there[0]), f"its row is missing: {_figures(table, there[1])}")
        if there is None or here[0] < there[0]:
            raise Found(_place(table, here[0]), f"nothing makes this row: {_figures(table, here[1])}")
        detail = f"the row has {_figures(table, here[1])}, what happened makes it {_figures(table, there[1])}"
        raise Found(_place(table, here[0]), detail)
    return rows


def _lines(connection: Connection, table: Table, since: int) -> Iterator[Line]:
    """By their keys; rows of an order that counts no more stand at 0, and are passed over."""
    keys = [column for column in table.primary_key.columns if column.name != "partition"]
    figures = [column for column in table.columns if not column.primary_key]
    width, bucket = len(keys), [key.name for key in keys].index("bucket")
    rows = stream(connection, select(*keys, *figures).order_by(*keys))
    for key, group in groupby((tuple(row) for row in rows), key=itemgetter(slice(0, width))):
        values = list(zip(*[row[width:] for row in group], strict=True))
        if "visitors" in table.columns:
            sketch = _core.merge_sketches([bytes(part) for part in values[-1]])
            visitors = _core.estimate_sketch(sketch) if key[bucket] >= since else 0
            summed = (*[sum(column) for column in values[:-1]], visitors)
        else:
            summed = tuple([sum(column) for column in values])
        if any(summed):
            yield key, summed


def _place(table: Table, key: Row) -> str:
    return f"{table.name} {' '.join(str(part) for part in key)}"


def _figures(table: Table, figures: Row) -> str:
    names = [column.name for column in table.columns if not column.primary_key]
    return ", ".join(f"{name} {figure}" for name, figure in zip(names, figures, strict=True))
