"""/v1/reports/withheld: what was withheld per person and month."""

from typing import Any

from aiohttp import web
from sqlalchemy import Connection, Select, func, select

from tuike import _core, views
from tuike.admin import auth, money_answers, queries, tables
from tuike.admin.problems import Problem
from tuike.admin.routes import Body, Call, Route
from tuike.stores.schema import COUNTING, closings, payouts

MAX_ITEMS = 10_000
COLUMNS = ("month", "person", "currency", "scheme", "payouts", "amount", "tax", "net")


async def withheld(call: Call) -> Body | web.Response:
    query: queries.Withheld = call.query
    month = query.month or views.instant(call.service.clock())[: len("2025-10")]
    if query.format == "csv":
        return tables.response(f"withheld-{month}", await call.read_copy(_table, month))
    return await call.read_copy(_withheld, month)


def _withheld(connection: Connection, month: str) -> Body:
    rows = connection.execute(_sums(month).limit(MAX_ITEMS + 1)).mappings().all()
    if len(rows) > MAX_ITEMS:
        raise Problem("too_many_groups", f"more than {MAX_ITEMS} persons; take them as CSV (`format=csv`)")
    year, number = month.split("-")
    closed = select(closings.c.currency).where(closings.c.month == int(year) * 12 + int(number) - 1)
    found = connection.scalars(closed.order_by(closings.c.currency))
    return {"month": month, "closed": list(found), "items": [_item(row) for row in rows]}


def _table(connection: Connection, month: str) -> str:
    found = connection.execute(_sums(month), execution_options={"yield_per": 1_000}).mappings()

    def line(row: Any) -> list[Any]:
        item = _item(row) | {"month": month, "person": tables.free_text(row["person"])}
        return [item[name] for name in COLUMNS]

    return tables.text(COLUMNS, map(line, found))


def _sums(month: str) -> Select[Any]:
    since, until = views.days_of_month(month)
    groups = (payouts.c.person, payouts.c.currency, payouts.c.scheme)
    sums = (func.sum(payouts.c[name]).label(name) for name in ("amount", "tax", "net"))
    return (
        select(*groups, func.count().label("payouts"), *sums)
        .where(payouts.c.day >= since, payouts.c.day < until, payouts.c.status.in_(COUNTING))
        .group_by(*groups)
        .order_by(*groups)
    )


def _item(row: Any) -> Body:
    currency = row["currency"]
    money = {name: _core.format_amount(int(row[name]), currency) for name in ("amount", "tax", "net")}
    return {name: row[name] for name in ("person", "currency", "scheme", "payouts")} | money


ROUTES = (
    Route(
        "GET",
        "/v1/reports/withheld",
        withheld,
        "What was withheld per person in a month, of payouts that are reserved or paid",
        auth.READERS,
        query=queries.Withheld,
        answer=money_answers.Withheld,
        also=tables.MEDIA,
    ),
)
