"""Reports: sums of the rollups over a period, in anyone's time zone.

The rollups' quarter-hours begin where the quarter-hours of every zone's clock begin, so days and hours are
exact everywhere. `roi` is (sales - commission) ÷ commission, `aov` sales ÷ conversions, `ltv` sales ÷ unique
visitors, `ctr` clicks ÷ impressions, `cvr` conversions ÷ clicks; a zero divisor gives null.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Column, Connection, Select, Table, func, select

from tuike import _core, views
from tuike.stores.schema import order_rollups, rollups

Body = dict[str, Any]

QUARTER_HOUR = 900
# Sketches of a group that are held before they are merged: 4 KiB each at most.
PENDING_SKETCHES = 256
ROWS_PER_FETCH = 1_000
MAX_GROUPS = 10_000

DIMENSIONS = ("promoter", "product", "merchant", "channel")
LABELS = ("sub1", "sub2", "sub3", "sub4", "sub5")
CLOCK = ("day", "hour")


class ReportError(ValueError):
    """The report cannot be made as asked: `code` and a sentence."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Period:
    """Quarter-hours from `since` up to, not including, `until`, in seconds; None is without end."""

    since: int | None
    until: int | None
    zone: ZoneInfo

    @classmethod
    def parse(cls, since: str, until: str, zone: ZoneInfo) -> "Period":
        """Instants (RFC 3339), widened to whole quarter-hours, or the zone's days (YYYY-MM-DD), `until` included."""
        first, last = _bound(since, zone, timedelta()), _bound(until, zone, timedelta(days=1))
        begin = None if first is None else first // QUARTER_HOUR * QUARTER_HOUR
        end = None if last is None else -(-last // QUARTER_HOUR) * QUARTER_HOUR
        if begin is not None and end is not None and begin >= end:
            raise ReportError("bad_range", "`from` is not before `to`")
        return cls(begin, end, zone)


@dataclass(frozen=True, slots=True)
class Filters:
    """Empty: all of them."""

    promoter: str = ""
    product: str = ""
    merchant: str = ""
    channel: str = ""


@dataclass(slots=True)
class Money:
    """Sums of one currency, in minor units."""

    conversions: int = 0
    sales: int = 0
    commission: int = 0


@dataclass(slots=True)
class Sums:
    """What one group comes to."""

    impressions: int = 0
    clicks: int = 0
    bots: int = 0
    prefetches: int = 0
    money: dict[str, Money] = field(default_factory=dict)
    sketches: list[bytes] = field(default_factory=list)

    def see(self, sketch: bytes) -> None:
        self.sketches.append(sketch)
        if len(self.sketches) >= PENDING_SKETCHES:
            self.sketches = [_core.merge_sketches(self.sketches)]

    def add(self, other: "Sums") -> None:
        self.impressions += other.impressions
        self.clicks += other.clicks
        self.bots += other.bots
        self.prefetches += other.prefetches
        for currency, theirs in other.money.items():
            ours = self.money.setdefault(currency, Money())
            ours.conversions += theirs.conversions
            ours.sales += theirs.sales
            ours.commission += theirs.commission
        for sketch in other.sketches:
            self.see(sketch)


def summary(connection: Connection, period: Period, filters: Filters, group_by: str = "") -> Body:
    """The whole's figures; with `group_by` (a dimension, `day`, `hour`, `sub1` to `sub5`) `items` of the groups'."""
    groups = _sums(connection, period, filters, group_by)
    # hits without the label are in no item, but they are in the whole
    parts = _sums(connection, period, filters, "") if group_by in LABELS else groups
    whole = Sums()
    for sums in parts.values():
        whole.add(sums)
    body: Body = {"from": _instant(period.since), "to": _instant(period.until), "tz": period.zone.key}
    body |= figures(whole)
    if group_by:
        body["items"] = [{group_by: key} | figures(groups[key]) for key in sorted(groups)]
    return body


def figures(sums: Sums) -> Body:
    """What is shown of sums. Where there are several currencies, the single figures of money are null."""
    visitors = _core.estimate_sketch(_core.merge_sketches(sums.sketches)) if sums.sketches else 0
    conversions = sum(money.conversions for money in sums.money.values())
    per_currency = [_money(currency, sums.money[currency], visitors) for currency in sorted(sums.money)]
    if not per_currency:
        single: Body = {"currency": None, "sales": "0", "commission": "0", "aov": None, "roi": None, "ltv": None}
    elif len(per_currency) == 1:
        single = {name: value for name, value in per_currency[0].items() if name != "conversions"}
    else:
        single = dict.fromkeys(("currency", "sales", "commission", "aov", "roi", "ltv"))
    return {
        "impressions": sums.impressions,
        "clicks": sums.clicks,
        "unique_visitors": visitors,
        "bots": sums.bots,
        "prefetches": sums.prefetches,
        "conversions": conversions,
        "ctr": _ratio(sums.clicks, sums.impressions),
        "cvr": _ratio(conversions, sums.clicks),
        **single,
        "money": per_currency,
    }


def _money(currency: str, money: Money, visitors: int) -> Body:
    return {
        "currency": currency,
        "conversions": money.conversions,
        "sales": _core.format_amount(money.sales, currency),
        "commission": _core.format_amount(money.commission, currency),
        "aov": _average(money.sales, money.conversions, currency),
        "roi": _ratio(money.sales - money.commission, money.commission),
        "ltv": _average(money.sales, visitors, currency),
    }


def _sums(connection: Connection, period: Period, filters: Filters, group_by: str) -> dict[str, Sums]:
    groups: dict[str, Sums] = {}
    key = _key(period.zone, group_by)

    def group(value: Any) -> Sums:
        name = key(value)
        if name not in groups and len(groups) >= MAX_GROUPS:
            raise ReportError("too_many_groups", f"more than {MAX_GROUPS} groups; narrow the period or the filters")
        return groups.setdefault(name, Sums())

    hits = _select(rollups, period, filters, group_by, "impressions", "clicks", "bots", "prefetches")
    for value, impressions, clicks, bots, prefetches in connection.execute(hits):
        group(value).add(Sums(int(impressions), int(clicks), int(bots), int(prefetches)))
    orders = _select(order_rollups, period, filters, group_by, "conversions", "sales", "commission")
    orders = orders.add_columns(order_rollups.c.currency).group_by(order_rollups.c.currency)
    for value, conversions, sales, commission, currency in connection.execute(orders):
        money = Money(int(conversions), int(sales), int(commission))
        group(value).add(Sums(money={currency: money}))
    sketches = _where(select(_column(rollups, group_by), rollups.c.visitors), rollups, period, filters, group_by)
    seen = connection.execution_options(yield_per=ROWS_PER_FETCH).execute(sketches.where(rollups.c.visitors != b""))
    for value, sketch in seen:
        group(value).see(sketch)
    return groups


def _select(table: Table, period: Period, filters: Filters, group_by: str, *counters: str) -> Select[Any]:
    column = _column(table, group_by)
    sums = [func.sum(table.c[name]) for name in counters]
    return _where(select(column, *sums), table, period, filters, group_by).group_by(column)


def _where(statement: Select[Any], table: Table, period: Period, filters: Filters, group_by: str) -> Select[Any]:
    number = LABELS.index(group_by) + 1 if group_by in LABELS else 0
    statement = statement.where(table.c.label_number == number)
    if period.since is not None:
        statement = statement.where(table.c.bucket >= period.since)
    if period.until is not None:
        statement = statement.where(table.c.bucket < period.until)
    for name in DIMENSIONS:
        value = getattr(filters, name)
        if value:
            statement = statement.where(table.c[name] == value)
    return statement


def _column(table: Table, group_by: str) -> Column[Any]:
    """What SQL groups by; without groups the label number, which is one value."""
    if group_by in DIMENSIONS:
        return table.c[group_by]
    if group_by in LABELS:
        return table.c.label
    return table.c.bucket if group_by in CLOCK else table.c.label_number


def _key(zone: ZoneInfo, group_by: str) -> Callable[[Any], str]:
    """The name of a group from SQL's value. An hour carries its offset: where clocks go back it comes twice."""

    def local(bucket: int) -> datetime:
        return datetime.fromtimestamp(bucket, zone)

    if group_by == "day":
        return lambda bucket: local(bucket).date().isoformat()
    if group_by == "hour":
        return lambda bucket: local(bucket).replace(minute=0).isoformat()
    return str


def _bound(text: str, zone: ZoneInfo, later: timedelta) -> int | None:
    """Seconds since the epoch; a day's is its first instant, or the next one's where `later` is a day."""
    if not text:
        return None
    try:
        if len(text) == len("YYYY-MM-DD"):
            midnight = datetime.combine(date.fromisoformat(text) + later, time(), zone)
            return int(midnight.timestamp())
        instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise ReportError("bad_range", f"`{text}` is neither an instant of RFC 3339 nor a day") from error
    if instant.tzinfo is None:
        raise ReportError("bad_range", f"`{text}` has no offset from UTC, such as Z or +08:00")
    return math.ceil(instant.timestamp()) if later else math.floor(instant.timestamp())


def _instant(seconds: int | None) -> str | None:
    return None if seconds is None else views.instant(seconds * 1000)


def _ratio(dividend: int, divisor: int) -> float | None:
    return dividend / divisor if divisor else None


def _average(total: int, count: int, currency: str) -> str | None:
    """Rounded half to even to the minor unit."""
    if not count:
        return None
    quotient, rest = divmod(total, count)
    if 2 * rest > count or (2 * rest == count and quotient % 2):
        quotient += 1
    return _core.format_amount(quotient, currency)
