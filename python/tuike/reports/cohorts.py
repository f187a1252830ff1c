"""Cohorts: what customers are worth, by the month of their first order and the months since.

A customer is who the merchant says (`cust`, as the order's evidence has it), in one currency; somebody who was erased
is still one. Orders that name nobody are `unknown`, beside the cohorts. What counts is what counts in every report:
orders that are credited and not rejected, on the promoter and channel of their top touch; so cohorts and `unknown` sum
up to the summary. It is made of the orders themselves, which are sorted on the disk: memory does not grow with them,
time does."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, case, func, select

from tuike import _core
from tuike.books.touches import Candidate, top_of
from tuike.reports.figures import average
from tuike.reports.periods import Filters, Period
from tuike.stores.bulk import stream
from tuike.stores.schema import conversions, shares

Body = dict[str, Any]
Sums = dict[str, int]

FIGURES = ("orders", "sales", "refunds", "commission")
OF_MONEY = ("sales", "refunds", "commission")
SCRATCH = "CREATE TABLE orders (currency, merchant, cust, at, sales, refunds, commission)"
ADD = "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)"
IN_ORDER = "SELECT * FROM orders ORDER BY currency, merchant, cust, at"


class Identifiers(msgspec.Struct, frozen=True):
    cust: str = ""


class Evidence(msgspec.Struct):
    """What is read of an order's evidence."""

    identifiers: Identifiers = Identifiers()
    channel: str = ""
    candidates: tuple[Candidate, ...] = ()


class Order(NamedTuple):
    currency: str
    merchant: str
    cust: str
    at: int
    sales: int
    refunds: int
    commission: int


def cohorts(connection: Connection, period: Period, filters: Filters) -> Body:
    """Customers whose first order (of those that the filters leave) is in the period, with all that they ordered from
    then on. `unknown` are the period's orders of nobody."""
    found: dict[tuple[int, str], Cohort] = {}
    unknown: dict[str, Sums] = {}
    # an unnamed database is a file that SQLite takes away
    with closing(sqlite3.connect("")) as scratch:
        scratch.execute(SCRATCH)
        scratch.executemany(ADD, _orders(connection, filters))
        rows = (Order(*row) for row in scratch.execute(IN_ORDER))
        for (currency, _, cust), orders in groupby(rows, key=lambda order: order[:3]):
            if not cust:
                for order in orders:
                    if _within(order, period):
                        _add(unknown.setdefault(currency, _zero()), order)
                continue
            theirs = list(orders)
            if _within(theirs[0], period):
                month = _month(theirs[0].at, period.zone)
                cohort = found.setdefault((month, currency), Cohort(month, currency))
                cohort.add([(_month(order.at, period.zone) - month, order) for order in theirs])
    return period.view() | {
        "items": [found[key].view() for key in sorted(found)],
        "unknown": [{"currency": currency} | _view(unknown[currency], currency) for currency in sorted(unknown)],
    }


class Cohort:
    """Customers of one month and currency."""

    def __init__(self, month: int, currency: str) -> None:
        self._month = month
        self._currency = currency
        self._customers = 0
        self._later: dict[int, Sums] = {}

    def add(self, orders: list[tuple[int, Order]]) -> None:
        """A customer, by orders with the months since the first."""
        self._customers += 1
        for later in {later for later, _ in orders}:
            self._later.setdefault(later, _zero() | {"customers": 0})["customers"] += 1
        for later, order in orders:
            _add(self._later[later], order)

    def view(self) -> Body:
        whole = {name: sum(sums[name] for sums in self._later.values()) for name in FIGURES}
        months = [
            {"month": later, "customers": sums["customers"]} | _view(sums, self._currency)
            for later, sums in sorted(self._later.items())
        ]
        about: Body = {"cohort": f"{self._month // 12:04}-{self._month % 12 + 1:02}", "currency": self._currency}
        about |= {"customers": self._customers} | _view(whole, self._currency)
        return about | {"ltv": average(whole["sales"], self._customers, self._currency), "months": months}


def _orders(connection: Connection, filters: Filters) -> Iterator[Order]:
    """Those that reports count."""
    paid = func.sum(case((shares.c.promoter != "", shares.c.amount), else_=0)).label("paid")
    lines = select(shares.c.conversion, paid).group_by(shares.c.conversion).subquery()
    columns = conversions.c
    names = (columns.currency, columns.merchant, columns.evidence, columns.at, columns.amount, columns.refunded)
    asked = select(*names, lines.c.paid).join(lines, lines.c.conversion == columns.number)
    asked = asked.where(columns.status != "rejected")
    if filters.merchant:
        asked = asked.where(columns.merchant == filters.merchant)
    if filters.product:
        asked = asked.where(columns.product == filters.product)
    for currency, merchant, text, at, amount, refunded, commission in stream(connection, asked):
        evidence = msgspec.json.decode(text, type=Evidence)
        if _is_asked(evidence, filters):
            net = int(amount or 0) - refunded
            yield Order(currency, merchant, evidence.identifiers.cust, at, net, refunded, int(commission))


def _is_asked(evidence: Evidence, filters: Filters) -> bool:
    if filters.channel not in ("", evidence.channel):
        return False
    if not filters.promoter:
        return True
    top = top_of(evidence.candidates)
    return top is not None and top.promoter == filters.promoter


def _within(order: Order, period: Period) -> bool:
    at = order.at // 1000
    return (period.since is None or period.since <= at) and (period.until is None or at < period.until)


def _month(at: int, zone: ZoneInfo) -> int:
    """Months since the year 0."""
    local = datetime.fromtimestamp(at / 1000, zone)
    return local.year * 12 + local.month - 1


def _zero() -> Sums:
    return dict.fromkeys(FIGURES, 0)


def _add(sums: Sums, order: Order) -> None:
    sums["orders"] += 1
    for name in OF_MONEY:
        sums[name] += getattr(order, name)


def _view(sums: Sums, currency: str) -> Body:
    return {"orders": sums["orders"]} | {name: _core.format_amount(sums[name], currency) for name in OF_MONEY}
