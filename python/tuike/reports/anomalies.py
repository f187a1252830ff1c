"""Anomalies: points of a series outside of the band that its own past makes likely.

What is expected is the median of the same hour of the week (of days: the same weekday) in the last 8 weeks, or where
there are not 3 of them yet of the same hour of the day in the last 14 days. The band is 4 standard deviations wide on
each side. These are robust: counts vary as Poisson's do, times a dispersion that is 1.4826 times the median absolute
deviation of all residuals (quasi-Poisson; the MAD as in Hampel 1974, and Leys et al. 2013), and never less than 1, so
that a quiet series with a click now and then raises no alarm. A median of few is uncertain itself, which widens it. Of
sales the unit is the mean order.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from tuike.reports.figures import Sums
from tuike.reports.leaderboard import only_currency, shown
from tuike.reports.periods import Filters, Period, group_name
from tuike.reports.reading import bounds, read

Body = dict[str, Any]
Interval = Literal["day", "hour"]

WEEKS, LEAST_WEEKS = 8, 3
DAYS, LEAST_DAYS = 14, 5
DEVIATIONS = 4.0
CONSISTENT = 1.4826
"""Of a normal distribution's deviation and the MAD."""
LEAST_RESIDUALS = 24
DEFAULT_DAYS = 7
COUNTS = ("clicks", "conversions", "bots")


@dataclass(frozen=True, slots=True)
class Band:
    expected: float
    low: int
    high: int


def anomalies(connection: Connection, period: Period, filters: Filters, interval: Interval, currency: str = "") -> Body:
    """`items` are the points in the order of time, each metric with its band, which is null where the past is too
    short; `anomalies` are those outside. The last week that there is, where no begin is given."""
    known = bounds(connection, replace(period, since=None))
    assert known.since is not None
    assert known.until is not None
    if period.since is None:
        start = datetime.fromtimestamp(known.until, period.zone) - timedelta(days=DEFAULT_DAYS)
        since = max(known.since, int(start.timestamp()) // 900 * 900)
    else:
        since = period.since
    period = replace(period, since=since, until=known.until)
    currency = currency or only_currency(connection, period, filters)
    early = datetime.fromtimestamp(since, period.zone) - timedelta(weeks=WEEKS)
    past = replace(period, since=min(max(int(early.timestamp()) // 900 * 900, known.since), since))
    groups = read(connection, past, filters, clock=interval, visitors=False)
    starts = past.starts(interval)
    names = [group_name(start, period.zone, interval) for start in starts]
    sums = [groups.get(("", name), Sums()) for name in names]
    first = sum(start < since for start in starts)
    series = _series(sums, currency)
    bands = {metric: banded(starts, values, period.zone, interval, first, unit) for metric, values, unit in series}
    values = {metric: values for metric, values, _ in series}
    items, outside = [], []
    for place in range(first, len(starts)):
        item: Body = {interval: names[place]}
        for metric, of in bands.items():
            point = _point(values[metric][place], of[place], currency if metric == "sales" else "")
            item[metric] = point
            if point["anomaly"]:
                outside.append({interval: names[place], "metric": metric} | point)
        items.append(item)
    about = {"interval": interval, "currency": currency or None, "deviations": DEVIATIONS}
    return period.view() | about | {"items": items, "anomalies": outside}


def banded(
    starts: Sequence[int], values: Sequence[int], zone: ZoneInfo, interval: Interval, first: int, unit: float = 1.0
) -> list[Band | None]:
    """The band of each point by the points before it. The dispersion is that of the points before `first`, or where
    these are few, of all. `unit` is what one event of the series counts."""
    expected = _expected(starts, values, zone, interval)
    residuals = [
        (value - likely[0]) / (unit * math.sqrt(max(likely[0] / unit, 1.0))) if likely else None
        for value, likely in zip(values, expected, strict=True)
    ]
    before = [residual for residual in residuals[:first] if residual is not None]
    if len(before) < LEAST_RESIDUALS:
        before = [residual for residual in residuals if residual is not None]
    dispersion = _dispersion(before)
    bands: list[Band | None] = []
    for likely in expected:
        if likely is None:
            bands.append(None)
            continue
        middle, count = likely
        # a median's variance is pi / 2 of a mean's
        deviation = dispersion * unit * math.sqrt(max(middle / unit, 1.0) * (1 + math.pi / 2 / count))
        width = DEVIATIONS * deviation
        bands.append(Band(middle, max(0, math.floor(middle - width)), math.ceil(middle + width)))
    return bands


def _expected(
    starts: Sequence[int], values: Sequence[int], zone: ZoneInfo, interval: Interval
) -> list[tuple[float, int] | None]:
    """The median of like points before each, and how many they are."""
    weekly: dict[tuple[int, int], deque[int]] = {}
    daily: dict[int, deque[int]] = {}
    found: list[tuple[float, int] | None] = []
    for start, value in zip(starts, values, strict=True):
        local = datetime.fromtimestamp(start, zone)
        hour = local.hour if interval == "hour" else 0
        week = weekly.setdefault((local.weekday(), hour), deque(maxlen=WEEKS))
        days = daily.setdefault(hour, deque(maxlen=DAYS))
        like = week if len(week) >= LEAST_WEEKS else days if len(days) >= LEAST_DAYS else None
        found.append((median(like), len(like)) if like else None)
        week.append(value)
        days.append(value)
    return found


def _dispersion(residuals: Sequence[float]) -> float:
    if not residuals:
        return 1.0
    middle = median(residuals)
    return max(1.0, CONSISTENT * median(abs(residual - middle) for residual in residuals))


def _series(sums: Sequence[Sums], currency: str) -> list[tuple[str, list[int], float]]:
    """Each metric with its values and its unit."""
    sold = [of.money[currency].sales if currency in of.money else 0 for of in sums]
    orders = sum(of.money[currency].conversions for of in sums if currency in of.money)
    conversions = [sum(money.conversions for money in of.money.values()) for of in sums]
    mean = max(1.0, sum(sold) / orders) if orders > 0 else 1.0
    return [
        ("clicks", [of.clicks for of in sums], 1.0),
        ("conversions", conversions, 1.0),
        ("sales", sold, mean),
        ("bots", [of.bots for of in sums], 1.0),
    ]


def _point(value: int, band: Band | None, currency: str) -> Body:
    if band is None:
        return {"value": shown(value, currency), "expected": None, "low": None, "high": None, "anomaly": False}
    return {
        "value": shown(value, currency),
        "expected": shown(round(band.expected), currency) if currency else band.expected,
        "low": shown(band.low, currency),
        "high": shown(band.high, currency),
        "anomaly": not band.low <= value <= band.high,
    }
