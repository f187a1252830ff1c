"""What stands in a line of each export. Columns that people have typed are guarded in CSV: see `tables.free_text`."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, func, select

from tuike import _core, views
from tuike.admin import auth, queries, tables
from tuike.admin.routes import Call
from tuike.stores import schema

Row = Sequence[Any]
Line = list[Any]

DAY_MS = 86_400_000

encoder = msgspec.json.Encoder()
money = _core.format_amount


@dataclass(frozen=True, slots=True)
class Table:
    """`select` answers with the key's columns, then what `line` takes, which is also told whose token it is where that
    is a promoter's. `texts` are the columns that people have typed."""

    columns: tuple[str, ...]
    texts: tuple[str, ...]
    key: tuple[ColumnElement[Any], ...]
    select: Callable[[Call], Select[Any]]
    line: Callable[[Row, Call], Line]

    def head(self) -> bytes:
        return _csv([self.columns])

    def csv(self, rows: Sequence[Row], call: Call) -> bytes:
        places = [self.columns.index(name) for name in self.texts]
        lines = [self.line(row, call) for row in rows]
        for line in lines:
            for place in places:
                line[place] = tables.free_text(line[place] or "")
        return _csv(lines)

    def ndjson(self, rows: Sequence[Row], call: Call) -> bytes:
        columns = self.columns
        return encoder.encode_lines([dict(zip(columns, self.line(row, call), strict=True)) for row in rows])


def _csv(lines: Sequence[Row]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    return out.getvalue().encode()


# --- orders ----------------------------------------------------------------------------------------

conversions, shares = schema.conversions.c, schema.shares.c


def _period(statement: Select[Any], query: queries.ExportOrders, merchant: str) -> Select[Any]:
    for column, value in (
        (conversions.merchant, merchant),
        (conversions.product, query.product),
        (conversions.status, query.status),
    ):
        if value:
            statement = statement.where(column == value)
    if query.since is not None:
        statement = statement.where(conversions.created >= _first_ms(query.since))
    if query.until is not None:
        statement = statement.where(conversions.created < _first_ms(query.until) + DAY_MS)
    return statement


def _first_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def _scope(call: Call) -> tuple[str, str]:
    """The merchant and the promoter that are asked for, within what the token sees."""
    query: queries.ExportOrders = call.query
    merchant = auth.narrow(call.actor.merchant_only(), query.merchant, "merchant")
    return merchant, auth.narrow(call.actor.promoter_only(), query.promoter, "promoter")


def _conversions(call: Call) -> Select[Any]:
    """`commission` is what promoters' lines stand at; a promoter sees the sum of the own ones."""
    merchant, promoter = _scope(call)
    lines = select(func.sum(shares.amount)).where(shares.conversion == conversions.number)
    only = call.actor.promoter_only()
    commission = lines.where(shares.promoter == only if only else shares.promoter != "")
    statement = select(
        *(conversions.number, conversions.id, conversions.order_id, conversions.merchant, conversions.product),
        *(conversions.amount, conversions.currency, conversions.status, conversions.refunded),
        commission.correlate(schema.conversions).scalar_subquery(),
        *(conversions.model, conversions.reason, conversions.at, conversions.created),
    )
    if promoter:
        own = select(shares.position).where(shares.conversion == conversions.number, shares.promoter == promoter)
        statement = statement.where(own.correlate(schema.conversions).exists())
    return _period(statement, call.query, merchant)


def _conversion(row: Row, call: Call) -> Line:
    id, order_id, merchant, product, amount, currency, status, refunded, commission, model, reason, at, created = row
    return [
        *(id, order_id, merchant, product, None if amount is None else money(amount, currency), currency, status),
        *(money(refunded, currency), money(int(commission or 0), currency), model, reason),
        *(views.instant(at), views.instant(created)),
    ]


CONVERSIONS = Table(
    (
        *("id", "order_id", "merchant", "product", "amount", "currency", "status", "refunded", "commission"),
        *("model", "reason", "time", "created"),
    ),
    ("order_id",),
    (conversions.number,),
    _conversions,
    _conversion,
)


def _credits(call: Call) -> Select[Any]:
    merchant, promoter = _scope(call)
    statement = select(
        *(shares.conversion, shares.position, conversions.id, conversions.order_id, conversions.merchant),
        *(conversions.product, shares.promoter, shares.level, shares.via, shares.weight, shares.original),
        *(shares.amount, conversions.currency, conversions.status, conversions.created),
    ).join_from(schema.shares, schema.conversions, conversions.number == shares.conversion)
    statement = statement.where(shares.promoter == promoter if promoter else shares.promoter != "")
    return _period(statement, call.query, merchant)


def _credit(row: Row, call: Call) -> Line:
    """A promoter is told of no other one: `via` is empty where it names one."""
    *order, promoter, level, via, weight, original, amount, currency, status, created = row
    if call.actor.promoter_only() and via != promoter:
        via = ""
    return [
        *(*order, promoter, level, via, weight / views.WEIGHT_UNIT, money(original, currency)),
        *(money(amount, currency), currency, status, views.instant(created)),
    ]


CREDITS = Table(
    (
        *("conversion", "order_id", "merchant", "product", "promoter", "level", "via", "weight", "original"),
        *("amount", "currency", "status", "created"),
    ),
    ("order_id",),
    (shares.conversion, shares.position),
    _credits,
    _credit,
)


# --- the ledger and payouts ------------------------------------------------------------------------

entries, transfers, payouts = schema.entries.c, schema.transfers.c, schema.payouts.c


def _entries(call: Call) -> Select[Any]:
    return (
        select(
            *(entries.transfer, entries.position, entries.transfer, conversions.id, transfers.step, transfers.kind),
            *(schema.accounts.c.name, entries.amount, transfers.currency, transfers.at),
        )
        .join_from(schema.entries, schema.transfers, transfers.number == entries.transfer)
        .join(schema.accounts, schema.accounts.c.id == entries.account)
        .outerjoin(schema.conversions, conversions.number == transfers.conversion)
    )


def _entry(row: Row, call: Call) -> Line:
    number, conversion, step, kind, account, amount, currency, at = row
    return [number, conversion, step, kind, account, money(amount, currency), currency, views.instant(at)]


ENTRIES = Table(
    ("transfer", "conversion", "step", "kind", "account", "amount", "currency", "time"),
    (),
    (entries.transfer, entries.position),
    _entries,
    _entry,
)


def _payouts(call: Call) -> Select[Any]:
    statement = select(
        *(payouts.number, payouts.id, payouts.promoter, payouts.person, payouts.currency, payouts.amount, payouts.tax),
        *(payouts.net, payouts.status, payouts.day, payouts.scheme, payouts.note, payouts.created),
    )
    only = call.actor.promoter_only()
    return statement.where(payouts.promoter == only) if only else statement


def _payout(row: Row, call: Call) -> Line:
    id, promoter, person, currency, amount, tax, net, status, day, scheme, note, created = row
    return [
        *(id, promoter, person, currency, money(amount, currency), money(tax, currency), money(net, currency)),
        *(status, views.day(day), scheme, note, views.instant(created)),
    ]


PAYOUTS = Table(
    (
        *("id", "promoter", "person", "currency", "amount", "tax", "net", "status", "date", "scheme", "note"),
        "created",
    ),
    ("person", "note"),
    (payouts.number,),
    _payouts,
    _payout,
)


# --- the registry ----------------------------------------------------------------------------------

promoters, links = schema.promoters.c, schema.links.c


def _promoters(call: Call) -> Select[Any]:
    statement = select(
        *(promoters.id, promoters.id, promoters.name, promoters.parent, promoters.kind, promoters.tax),
        *(promoters.status, promoters.created),
    )
    only = call.actor.promoter_only()
    return statement.where(promoters.id == only) if only else statement


def _promoter(row: Row, call: Call) -> Line:
    id, name, parent, kind, tax, status, created = row
    return [id, name, parent, kind, json.loads(tax)["scheme"], status, views.instant(created)]


PROMOTERS = Table(
    ("id", "name", "parent", "kind", "scheme", "status", "created"), ("name",), (promoters.id,), _promoters, _promoter
)
LABELS = tuple(f"sub{n}" for n in range(1, 6))


def _links(call: Call) -> Select[Any]:
    statement = select(
        *(links.code, links.code, links.promoter, links.product, links.url, schema.products.c.url, links.channel),
        *(*(links[label] for label in LABELS), links.coupon, links.expires, links.status, links.created),
    ).join_from(schema.links, schema.products, schema.products.c.id == links.product)
    only = call.actor.promoter_only()
    return statement.where(links.promoter == only) if only else statement


def _link(row: Row, call: Call) -> Line:
    code, promoter, product, url, product_url, channel, *labels, coupon, expires, status, created = row
    return [
        *(code, promoter, product, f"{call.service.public_url}/c/{code}", url or product_url, channel, *labels),
        *(coupon, None if expires is None else views.instant(expires), status, views.instant(created)),
    ]


LINKS = Table(
    (
        *("code", "promoter", "product", "url", "target", "channel", *LABELS, "coupon", "expires", "status"),
        "created",
    ),
    ("channel", *LABELS, "coupon"),
    (links.code,),
    _links,
    _link,
)
