"""Anomalies: what is planted is found, and what is quiet raises no alarm."""

import math
import random
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection

from tuike.reports import Filters, Period, anomalies
from tuike.reports.anomalies import banded
from tuike.stores import engine, migrations
from tuike.stores.rollups import add_orders, add_rollups

HOUR = 3_600
WEEK = 168
BEGIN = 1_767_571_200  # 2026-01-05T00:00Z, a Monday
UTC = ZoneInfo("UTC")


def poisson(chance: random.Random, mean: float) -> int:
    """Knuth's method, in parts that do not underflow."""
    count = 0
    while mean > 30:
        count += poisson(chance, 30)
        mean -= 30
    least, product = math.exp(-mean), chance.random()
    while product > least:
        count += 1
        product *= chance.random()
    return count


def shape(hour: int, mean: float) -> float:
    """Days and nights, and weekends with less."""
    return mean * (1 + 0.8 * math.sin(hour % 24 / 24 * 2 * math.pi)) * (0.6 if hour % WEEK >= 120 else 1)


def alarms(values: list[int], first: int) -> list[int]:
    starts = [BEGIN + hour * HOUR for hour in range(len(values))]
    bands = banded(starts, values, UTC, "hour", first)
    return [n for n in range(first, len(values)) if (b := bands[n]) is not None and not b.low <= values[n] <= b.high]


@pytest.mark.parametrize("mean", [0, 0.02, 0.3, 1, 5, 60, 2_000])
def test_a_series_that_only_varies_by_chance_raises_hardly_an_alarm(mean: float) -> None:
    chance = random.Random(7)
    values = [poisson(chance, shape(hour, mean)) for hour in range(20 * WEEK)]
    assert len(alarms(values, 8 * WEEK)) <= 2  # of 2,016 hours


def test_a_series_that_varies_more_than_by_chance_widens_its_band() -> None:
    chance = random.Random(8)
    values = [poisson(chance, shape(hour, 200) * chance.uniform(0.6, 1.4)) for hour in range(20 * WEEK)]
    assert len(alarms(values, 8 * WEEK)) <= 4


@pytest.mark.parametrize(("factor", "extra"), [(3, 0), (0, 0), (1, 400)])
def test_what_is_planted_is_found(factor: float, extra: int) -> None:
    chance = random.Random(9)
    values = [poisson(chance, shape(hour, 100)) for hour in range(12 * WEEK)]
    planted = [10 * WEEK + 6, 10 * WEEK + 30, 11 * WEEK + 52]
    for hour in planted:
        values[hour] = int(values[hour] * factor) + extra
    assert set(planted) <= set(alarms(values, 10 * WEEK))


def test_an_outlier_of_the_past_does_not_hide_one_of_today() -> None:
    chance = random.Random(10)
    values = [poisson(chance, shape(hour, 100)) for hour in range(10 * WEEK)]
    values[8 * WEEK + 6] = 50_000
    values[9 * WEEK + 6] = 600
    assert 9 * WEEK + 6 in alarms(values, 9 * WEEK)


def test_a_short_past_has_the_same_hours_of_days_and_a_shorter_one_no_band() -> None:
    starts = [BEGIN + hour * HOUR for hour in range(8 * 24)]
    bands = banded(starts, [10] * len(starts), UTC, "hour", 0)
    assert [band is None for band in bands] == [True] * (5 * 24) + [False] * (3 * 24)
    last = bands[-1]
    assert last is not None
    assert (last.expected, last.low <= 10 <= last.high) == (10, True)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    books = engine.writer(tmp_path / "books.sqlite")
    migrations.upgrade(books)
    with books.begin() as connection:
        yield connection
    books.dispose()


def test_the_report_shows_each_points_band_and_lists_those_outside(connection: Connection) -> None:
    day = 24 * HOUR
    rows, orders = [], []
    for number in range(70):
        key = (BEGIN + number * day, "shop", "tea", "ann", "web", 0, "")
        rows.append((*key, 0, 900 if number == 68 else 100, 2, 0, b""))
        orders.append((*key, "CNY", 100, 0 if number == 69 else 100_000, 0))
    add_rollups(connection, rows)
    add_orders(connection, orders)
    found = anomalies(connection, Period(None, None, UTC), Filters(), "day")
    assert [(one["day"], one["metric"], one["value"]) for one in found["anomalies"]] == [
        ("2026-03-14", "clicks", 900),
        ("2026-03-15", "sales", "0.00"),
    ]
    point = found["items"][-2]["clicks"]
    assert (point["expected"], point["low"] < 100 < point["high"] < 900, point["anomaly"]) == (100, True, True)
    assert (found["items"][-2]["sales"]["expected"], found["currency"]) == ("1000.00", "CNY")


def test_an_instance_without_hits_has_no_anomalies(connection: Connection) -> None:
    found = anomalies(connection, Period(None, None, UTC), Filters(), "hour")
    assert (found["items"], found["anomalies"]) == ([], [])
