"""Reads the sums of a period in groups, from the fewest rows that have them (see `stores.cuts`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    Table,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)

from tuike.reports.figures import Sums, add_money
from tuike.reports.periods import Clock, Filters, Period, Piece, ReportError, group_name
from tuike.stores import cuts
from tuike.stores.schema import (
    hit_cuts,
    hit_days,
    merchants,
    order_cuts,
    order_days,
    order_rollups,
    products,
    rollups,
)

ROWS_PER_FETCH = 1_000
MAX_GROUPS = 10_000

DIMENSIONS = ("promoter", "product", "merchant", "channel")
LABELS = ("sub1", "sub2", "sub3", "sub4", "sub5")
HITS = ("impressions", "clicks", "bots", "prefetches")
MONEY = ("conversions", "sales", "commission")

# By the dimensions that are asked for.
CUTS: dict[frozenset[str], int] = {
    frozenset(): cuts.WHOLE,
    frozenset({"merchant"}): cuts.MERCHANT,
    frozenset({"product"}): cuts.PRODUCT,
    frozenset({"product", "merchant"}): cuts.PRODUCT,
    frozenset({"channel"}): cuts.CHANNEL,
    frozenset({"channel", "merchant"}): cuts.MERCHANT_CHANNEL,
}
NOTHING: ColumnElement[Any] = literal_column("''")
NO_BUCKET: ColumnElement[Any] = literal_column("0")

Group = tuple[str, str]
"""The dimension's or label's value, and the name of the clock's group; each empty where there is none."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows of one span are: a table with its conditions, and the column that groups are by."""

    table: Table
    where: tuple[ColumnElement[bool], ...]
    value: ColumnElement[Any]


Sources = Callable[[int], tuple[Source, Source]]
"""The rows of hits and of orders, by span."""


def read(
    connection: Connection, period: Period, filters: Filters, by: str = "", clock: Clock = "", *, visitors: bool = True
) -> dict[Group, Sums]:
    """Groups that have rows. `by` is a dimension or label; with a clock the period has both ends. Without `visitors`
    no sketch is read."""
    groups: dict[Group, Sums] = {}
    zone = period.zone

    @lru_cache(None)
    def name_of(bucket: int) -> str:
        return group_name(bucket, zone, clock) if clock else ""

    def group(value: str, name: str) -> Sums:
        key = value, name
        sums = groups.get(key)
        if sums is None:
            if len(groups) >= MAX_GROUPS:
                raise ReportError("too_many_groups", f"more than {MAX_GROUPS} groups; narrow the period or the filters")
            sums = groups[key] = Sums()
        return sums

    spans, sources = _sources(connection, filters, by)
    for piece in period.pieces(spans, clock):
        hits, orders = sources(piece.span)
        statement = _hits(hits, piece, clock, visitors=visitors).execution_options(yield_per=ROWS_PER_FETCH)
        last: tuple[str, str] | None = None
        # a server's cursor is closed whatever ends it
        with connection.execute(statement) as rows:
            for value, bucket, impressions, clicks, bots, prefetches, sketch in rows:
                # rows of a group come one after the other, mostly
                if (key := (value, name_of(bucket))) != last:
                    last, sums = key, group(*key)
                sums.count(impressions, clicks, bots, prefetches)
                if sketch:
                    sums.see(sketch)
        for value, bucket, currency, *figures in connection.execute(_orders(orders, piece, clock)):
            add_money(group(value, name_of(bucket)).money, currency, *figures)
    return groups


def by_promoter(
    period: Period, filters: Filters, counter: str = "", among: Sequence[str] | Select[Any] | None = None
) -> Subquery:
    """Rows of promoters, several for one: `promoter`, `currency` and the money's counters; with a counter of hits
    `promoter`, `currency` (empty) and that. `among`: of these promoters alone."""
    names = (counter,) if counter else MONEY
    parts = []
    for piece in period.pieces((cuts.DAY, cuts.QUARTER_HOUR)):
        if counter:
            table = hit_days if piece.span == cuts.DAY else rollups
        else:
            table = order_days if piece.span == cuts.DAY else order_rollups
        columns = table.c
        source = _rows(table, filters, "promoter", 0)
        currency = NOTHING.label("currency") if counter else columns.currency
        part = _where(source, piece, source.value, currency, *[columns[name] for name in names])
        parts.append(part if among is None else part.where(columns.promoter.in_(among)))
    return union_all(*parts).subquery()


def bounds(connection: Connection, period: Period) -> Period:
    """The period with both ends: the first and the last day that has anything, where it says none."""
    if period.since is not None and period.until is not None:
        return period
    ends: list[tuple[int, int]] = []
    for columns in (hit_cuts.c, order_cuts.c):
        key = (columns.cut, columns.span, columns.merchant, columns.value)
        whole = [column == value for column, value in zip(key, (cuts.WHOLE, cuts.QUARTER_HOUR, "", ""), strict=True)]
        # one at a time, each is found at an end of the key's range
        first, last = (connection.scalar(select(end(columns.bucket)).where(*whole)) for end in (func.min, func.max))
        if first is not None and last is not None:
            ends.append((first, last))
    if not ends:
        start = period.since if period.since is not None else period.until or 0
        return period.within(start, start - cuts.QUARTER_HOUR)
    return period.within(min(first for first, _ in ends), max(last for _, last in ends))


def _hits(source: Source, piece: Piece, clock: Clock, *, visitors: bool) -> Select[Any]:
    """Row by row: sketches are merged here."""
    columns = source.table.c
    bucket = columns.bucket if clock else NO_BUCKET
    if visitors:
        return _where(source, piece, source.value, bucket, *[columns[name] for name in HITS], columns.visitors)
    keys = (source.value, bucket)
    sums = [func.sum(columns[name]) for name in HITS]
    return _grouped(_where(source, piece, *keys, *sums, NOTHING), keys)


def _orders(source: Source, piece: Piece, clock: Clock) -> Select[Any]:
    columns = source.table.c
    keys = (source.value, columns.bucket if clock else NO_BUCKET, columns.currency)
    return _grouped(_where(source, piece, *keys, *[func.sum(columns[name]) for name in MONEY]), keys)


def _grouped(statement: Select[Any], keys: Sequence[ColumnElement[Any]]) -> Select[Any]:
    return statement.group_by(*[key for key in keys if key is not NOTHING and key is not NO_BUCKET])


def _where(source: Source, piece: Piece, *columns: ColumnElement[Any]) -> Select[Any]:
    statement = select(*columns).select_from(source.table).where(*source.where)
    if piece.since is not None:
        statement = statement.where(source.table.c.bucket >= piece.since)
    if piece.until is not None:
        statement = statement.where(source.table.c.bucket < piece.until)
    if piece.without:
        statement = statement.where(source.table.c.bucket.not_in(piece.without))
    if piece.only:
        statement = statement.where(source.table.c.bucket.in_(piece.only))
    return statement


def _sources(connection: Connection, filters: Filters, by: str) -> tuple[tuple[int, ...], Sources]:
    """Which spans there are of what is asked for, and where."""
    asked = {name for name in DIMENSIONS if getattr(filters, name)}
    cut = CUTS.get(frozenset(asked | {by} if by else asked)) if by not in LABELS else None
    if cut is None:
        number = LABELS.index(by) + 1 if by in LABELS else 0
        spans = (cuts.QUARTER_HOUR,) if number else (cuts.DAY, cuts.QUARTER_HOUR)
        return spans, lambda span: (
            _rows(hit_days if span == cuts.DAY else rollups, filters, by, number),
            _rows(order_days if span == cuts.DAY else order_rollups, filters, by, number),
        )
    merchant = filters.merchant
    if filters.product:
        known = connection.scalar(select(products.c.merchant).where(products.c.id == filters.product))
        # of another merchant's product there is nothing
        merchant = known if known is not None and merchant in ("", known) else "-"
    return cuts.SPANS, lambda span: (
        _cut(hit_cuts, cut, span, merchant, filters, by),
        _cut(order_cuts, cut, span, merchant, filters, by),
    )


def _rows(table: Table, filters: Filters, by: str, label_number: int) -> Source:
    columns = table.c
    where = [columns[name] == value for name in DIMENSIONS if (value := getattr(filters, name))]
    if "label_number" in columns:
        where.append(columns.label_number == label_number)
    value = columns.label if label_number else columns[by] if by else NOTHING
    return Source(table, tuple(where), value)


def _cut(table: Table, cut: int, span: int, merchant: str, filters: Filters, by: str) -> Source:
    """By each dimension of its key a cut is looked up; which values there are, the registry says."""
    columns = table.c
    where = [columns.cut == cut, columns.span == span]
    value: ColumnElement[Any] = NOTHING
    if by == "merchant" and not merchant:
        where.append(columns.merchant.in_(select(merchants.c.id)))
    elif by == "product" and not filters.product:
        theirs = select(products.c.merchant, products.c.id)
        if merchant:
            theirs = theirs.where(products.c.merchant == merchant)
        where.append(tuple_(columns.merchant, columns.value).in_(theirs))
    else:
        where.append(columns.merchant == merchant)
    if filters.product or filters.channel:
        where.append(columns.value == (filters.product or filters.channel))
    elif cut in (cuts.WHOLE, cuts.MERCHANT):
        where.append(columns.value == "")
    if by:
        value = columns.merchant if by == "merchant" else columns.value
    return Source(table, tuple(where), value)
