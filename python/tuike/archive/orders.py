"""Conversions and their shares, by the day of the order's instant, as the books have them now: a refund of today
changes the day of its order, and that day is written again.

Which days have changed is told by a digest of all that their files hold; it is noted in the file of conversions."""

import hashlib
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, select

from tuike.archive.stage import Stage
from tuike.archive.tables import CONVERSIONS, LABELS, SHARES
from tuike.books.settings import DAY_MS
from tuike.books.touches import Attribution
from tuike.stores.bulk import stream
from tuike.stores.schema import conversions, order_days, shares

DIGEST = "tuike.digest"
KEYS = ("merchant", "product", "promoter", "channel", "currency")
FIGURES = ("conversions", "sales", "commission")
SUMS = """SELECT merchant, product, promoter, channel, currency,
    count(*) AS conversions, sum(coalesce(amount, 0) - refunded) AS sales, sum(commission) AS commission
    FROM conversions WHERE promoter <> '' AND status <> 'rejected' GROUP BY ALL"""

OF_ORDERS = (
    *("number", "at", "id", "order_id", "merchant", "product", "amount", "refunded", "currency", "status", "model"),
    *("reason", "source", "rule_version", "created", "event_id"),
)
OF_SHARES = ("position", "promoter", "level", "via", "weight", "original", "amount")


class Day(msgspec.Struct):
    """A day's digest, and the numbers of its first and last order."""

    first: int
    last: int
    digest: str = ""


def days(connection: Connection) -> dict[int, Day]:
    """Of all orders; they are read once, in the order of the books."""
    found: dict[int, Day] = {}
    hashes: dict[int, Any] = {}
    for row in stream(connection, _asked()):
        day = row[1] // DAY_MS
        if day not in found:
            found[day], hashes[day] = Day(row[0], row[0]), hashlib.blake2b(digest_size=16)
        found[day].last = row[0]
        hashes[day].update(msgspec.json.encode(tuple(row)))
    for day, of in found.items():
        of.digest = hashes[day].hexdigest()
    return found


def _asked() -> Select[Any]:
    """Orders in the order of the books, each once for each of its shares, or once with nothing."""
    return (
        select(*[conversions.c[name] for name in OF_ORDERS], *[shares.c[name] for name in OF_SHARES])
        .outerjoin_from(conversions, shares, shares.c.conversion == conversions.c.number)
        .order_by(conversions.c.number, shares.c.position)
    )


def lay_out(stage: Stage, connection: Connection, day: int, of: Day) -> int:
    """Both tables; how many conversions."""
    stage.begin(CONVERSIONS)
    stage.begin(SHARES)
    stage.add(SHARES.name, (line for order in _orders(connection, day, of) for line in _lines(order)))
    return stage.add(CONVERSIONS.name, (_row(order) for order in _orders(connection, day, of)))


def _orders(connection: Connection, day: int, of: Day) -> Iterator[list[Any]]:
    """Each order's rows."""
    here = (conversions.c.number >= of.first, conversions.c.number <= of.last)
    asked = _asked().add_columns(conversions.c.evidence).where(*here)
    for _, rows in groupby(stream(connection, asked), key=itemgetter(0)):
        order = list(rows)
        if order[0][1] // DAY_MS == day:
            yield order


def _lines(order: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Its shares; none of an order that credits nobody."""
    told = dict(zip(OF_ORDERS, order[0], strict=False))
    for row in order:
        share = row[len(OF_ORDERS) : -1]
        if share[0] is not None:
            yield told["id"], *share, told["currency"]


def _row(order: list[Any]) -> tuple[Any, ...]:
    told = dict(zip(OF_ORDERS, order[0], strict=False))
    lines = [dict(zip(OF_SHARES, row[len(OF_ORDERS) :], strict=False)) for row in order]
    promoter, channel, labels = "", "", [""] * len(LABELS)
    if lines[0]["position"] is not None:
        attribution = msgspec.json.decode(order[0][-1], type=Attribution)
        assert attribution.top is not None
        promoter, channel = attribution.top.promoter, attribution.channel
        labels[: len(attribution.labels)] = attribution.labels
    commission = sum(line["amount"] for line in lines if line["promoter"])
    return (
        *(told["id"], told["order_id"], told["merchant"], told["product"], promoter, channel, *labels),
        *(told["amount"], told["refunded"], commission),
        *(told[name] for name in ("currency", "status", "model", "reason", "source", "rule_version", "at", "created")),
    )


def compare(stage: Stage, connection: Connection, day: int) -> None:
    """Raises Found where the day's reports have other sums."""
    columns = order_days.c
    asked = select(*[columns[name] for name in (*KEYS, *FIGURES)]).where(columns.bucket == day * DAY_MS // 1000)
    stage.compare(day, SUMS, stream(connection, asked), KEYS, FIGURES)
