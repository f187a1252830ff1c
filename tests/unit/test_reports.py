"""The summary: periods and groups in anyone's time zone, money per currency, visitors counted once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, Connection, insert, select

from tuike import _core
from tuike.reports import Filters, Period, ReportError, summary
from tuike.reports.periods import group_name
from tuike.stores import engine
from tuike.stores.cuts import QUARTER_HOUR
from tuike.stores.rollups import add_orders, add_rollups
from tuike.stores.schema import merchants, metadata, products

Json = dict[str, Any]

EVER = Period(None, None, ZoneInfo("UTC"))
ALL = Filters()


@pytest.fixture
def connection(database: URL) -> Iterator[Connection]:
    books = engine.open_writer(database)
    with books.begin() as connection:
        metadata.create_all(connection)
        yield connection
    books.dispose()


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def dimensions(at: str, **more: Any) -> Json:
    fields = {"bucket": seconds(at), "merchant": "shop", "product": "tea", "promoter": "ann", "channel": "web"}
    return fields | {"label_number": 0, "label": ""} | more


def hits(connection: Connection, at: str, **more: Any) -> None:
    row = dimensions(at) | {"impressions": 0, "clicks": 0, "bots": 0, "prefetches": 0, "visitors": b""} | more
    known(connection, row["merchant"], row["product"])
    add_rollups(connection, [tuple(row.values())])


def orders(connection: Connection, at: str, **more: Any) -> None:
    row = dimensions(at) | {"currency": "CNY", "conversions": 1, "sales": 0, "commission": 0} | more
    known(connection, row["merchant"], row["product"])
    add_orders(connection, [tuple(row.values())])


def known(connection: Connection, merchant: str, product: str) -> None:
    """The registry has them."""
    for table, fields in ((merchants, {"id": merchant}), (products, {"id": product, "merchant": merchant})):
        if connection.scalar(select(table.c.id).where(table.c.id == fields["id"])) is None:
            empty = {c.name: 0 if c.type.python_type is int else "" for c in table.columns}
            connection.execute(insert(table).values(empty | fields))


def sketch(directory: Path, visitors: range) -> bytes:
    """A sketch as the fold makes it: of one view by each visitor."""
    writer = _core.Writer(str(directory), "edge-0", visitors.start + 1)
    fields = {"kind": "view", "at": 1, "received": 1, "aff": "ann", "pid": "tea", "merchant": "shop", "counted": True}
    writer.append([_core.encode_event(fields | {"id": f"{n + 1:032x}", "visitor": f"{n + 1:032x}"}) for n in visitors])
    writer.close(2)
    (row,) = _core.Follower(str(directory)).read({}, 100_000, 2).rollups()
    return row[-1]


def period(since: str = "", until: str = "", zone: str = "UTC") -> Period:
    return Period.parse(since, until, ZoneInfo(zone))


# --- figures -----------------------------------------------------------------------------------


def test_rates_are_what_their_names_say(connection: Connection) -> None:
    hits(connection, "2026-03-01T10:00Z", impressions=200, clicks=10, bots=3, prefetches=2)
    orders(connection, "2026-03-01T10:00Z", conversions=4, sales=10_000, commission=800)
    found = summary(connection, EVER, ALL)
    assert (found["impressions"], found["clicks"], found["bots"], found["prefetches"]) == (200, 10, 3, 2)
    assert (found["ctr"], found["cvr"], found["roi"]) == (0.05, 0.4, 11.5)
    assert (found["sales"], found["commission"], found["aov"], found["currency"]) == ("100.00", "8.00", "25.00", "CNY")


def test_a_zero_divisor_gives_null(connection: Connection) -> None:
    orders(connection, "2026-03-01T10:00Z", conversions=0, sales=0, commission=0)
    found = summary(connection, EVER, ALL)
    assert [found[name] for name in ("ctr", "cvr", "aov", "roi", "ltv")] == [None] * 5


def test_an_empty_instance_reports_nothing(connection: Connection) -> None:
    found = summary(connection, EVER, ALL, "day")
    assert (found["conversions"], found["sales"], found["money"], found["items"]) == (0, "0", [], [])


def test_an_average_is_rounded_half_to_even(connection: Connection) -> None:
    orders(connection, "2026-03-01T10:00Z", conversions=2, sales=25)
    assert summary(connection, EVER, ALL)["aov"] == "0.12"


def test_sums_of_money_are_per_currency(connection: Connection) -> None:
    orders(connection, "2026-03-01T10:00Z", sales=1_000, commission=100)
    orders(connection, "2026-03-01T10:00Z", currency="JPY", sales=500, commission=50)
    found = summary(connection, EVER, ALL)
    assert found["conversions"] == 2
    assert [found[name] for name in ("currency", "sales", "commission", "aov", "roi", "ltv")] == [None] * 6
    assert [(m["currency"], m["sales"], m["commission"]) for m in found["money"]] == [
        ("CNY", "10.00", "1.00"),
        ("JPY", "500", "50"),
    ]


def test_a_visitor_of_several_rows_is_counted_once(connection: Connection, tmp_path: Path) -> None:
    first, second = sketch(tmp_path / "one", range(100)), sketch(tmp_path / "two", range(50, 150))
    hits(connection, "2026-03-01T10:00Z", impressions=100, visitors=first)
    hits(connection, "2026-03-02T10:00Z", impressions=100, visitors=second)
    orders(connection, "2026-03-02T10:00Z", sales=15_000)
    found = summary(connection, EVER, ALL, "day")
    assert abs(found["unique_visitors"] - 150) <= 8  # the sketch's error is 1.6 %
    assert [abs(item["unique_visitors"] - 100) <= 5 for item in found["items"]] == [True, True]
    assert abs(float(found["ltv"]) - 1.0) < 0.06


# --- filters and groups --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["promoter", "product", "merchant", "channel"])
def test_a_filter_and_a_group_agree(connection: Connection, name: str) -> None:
    for value, clicks in (("one", 3), ("two", 5)):
        hits(connection, "2026-03-01T10:00Z", clicks=clicks, **{name: value})
        orders(connection, "2026-03-01T10:00Z", sales=clicks * 100, **{name: value})
    grouped = summary(connection, EVER, ALL, name)
    assert [(item[name], item["clicks"], item["sales"]) for item in grouped["items"]] == [
        ("one", 3, "3.00"),
        ("two", 5, "5.00"),
    ]
    assert grouped["clicks"] == 8
    only = summary(connection, EVER, Filters(**{name: "two"}))
    assert (only["clicks"], only["sales"]) == (5, "5.00")


def test_labels_group_what_carries_them_and_the_whole_has_all(connection: Connection) -> None:
    hits(connection, "2026-03-01T10:00Z", clicks=10)
    hits(connection, "2026-03-01T10:00Z", clicks=4, label_number=2, label="red")
    hits(connection, "2026-03-01T10:00Z", clicks=9, label_number=1, label="red")
    orders(connection, "2026-03-01T10:00Z", sales=700)
    orders(connection, "2026-03-01T10:00Z", sales=700, label_number=2, label="red")
    found = summary(connection, EVER, ALL, "sub2")
    assert found["clicks"] == 10
    assert [(item["sub2"], item["clicks"], item["sales"]) for item in found["items"]] == [("red", 4, "7.00")]


def test_too_many_groups_are_refused(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuike.reports.reading.MAX_GROUPS", 1)
    hits(connection, "2026-03-01T10:00Z", clicks=1)
    hits(connection, "2026-03-02T10:00Z", clicks=1)
    with pytest.raises(ReportError) as refused:
        summary(connection, EVER, ALL, "day")
    assert refused.value.code == "too_many_groups"


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "begin", "end"),
    [
        ("UTC", "2026-03-29", "2026-03-29T00:00Z", "2026-03-30T00:00Z"),
        ("Asia/Shanghai", "2026-03-29", "2026-03-28T16:00Z", "2026-03-29T16:00Z"),
        ("Asia/Kathmandu", "2026-03-29", "2026-03-28T18:15Z", "2026-03-29T18:15Z"),
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),  # 23 hours
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),  # 25 hours
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00Z", "2026-04-05T13:30Z"),  # 24.5 hours
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00Z", "2018-11-05T02:00Z"),  # without midnight
        ("America/Havana", "2026-11-01", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),  # midnight comes twice
    ],
)
def test_a_day_is_the_zones_own(connection: Connection, zone: str, day: str, begin: str, end: str) -> None:
    first, last = datetime.fromisoformat(begin), datetime.fromisoformat(end)
    quarter = timedelta(seconds=QUARTER_HOUR)
    for at, clicks in ((first - quarter, 1), (first, 10), (last - quarter, 100), (last, 1000)):
        hits(connection, at.isoformat(), clicks=clicks)
    found = summary(connection, period(day, day, zone), ALL, "day")
    assert (found["clicks"], [(item["day"], item["clicks"]) for item in found["items"]]) == (110, [(day, 110)])
    assert found["from"] == first.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    whole = summary(connection, period(zone=zone), ALL, "day")["items"]
    assert [item["clicks"] for item in whole] == [1, 110, 1000]


@settings(max_examples=200)
@given(
    zone=st.timezone_keys(allow_prefix=False).filter(lambda key: "/" in key),
    bucket=st.integers(seconds("1975-01-01T00:00Z") // 900, seconds("2037-01-01T00:00Z") // 900),
)
def test_a_quarter_hour_is_within_the_day_that_it_is_grouped_by(zone: str, bucket: int) -> None:
    where = ZoneInfo(zone)
    day = group_name(bucket * 900, where, "day")
    asked = Period.parse(day, day, where)
    assert asked.since is not None
    assert asked.until is not None
    assert asked.since <= bucket * 900 < asked.until


def test_an_hour_that_comes_twice_is_two_groups(connection: Connection) -> None:
    for at, clicks in (("2026-10-25T00:30Z", 1), ("2026-10-25T01:30Z", 2)):
        hits(connection, at, clicks=clicks)
    items = summary(connection, period(zone="Europe/Berlin"), ALL, "hour")["items"]
    assert {item["hour"]: item["clicks"] for item in items} == {
        "2026-10-25T02:00:00+02:00": 1,
        "2026-10-25T02:00:00+01:00": 2,
    }


def test_an_hour_begins_on_the_zones_clock(connection: Connection) -> None:
    hits(connection, "2026-03-01T10:15Z", clicks=1)
    hits(connection, "2026-03-01T10:00Z", clicks=2)
    items = summary(connection, period(zone="Asia/Kathmandu"), ALL, "hour")["items"]
    assert [(item["hour"][11:16], item["clicks"]) for item in items] == [("15:00", 2), ("16:00", 1)]


def test_instants_are_widened_to_quarter_hours(connection: Connection) -> None:
    found = summary(connection, period("2026-03-01T10:07:00Z", "2026-03-01T18:20:01+08:00"), ALL)
    assert (found["from"], found["to"]) == ("2026-03-01T10:00:00Z", "2026-03-01T10:30:00Z")


@pytest.mark.parametrize(
    ("since", "until", "code"),
    [
        ("yesterday", "", "bad_range"),
        ("2026-13-01", "", "bad_range"),
        ("2026-03-01T10:00:00", "", "bad_range"),
        ("", "9999-12-31", "bad_range"),
        ("2026-03-02", "2026-03-01", "empty_period"),
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z", "empty_period"),
    ],
)
def test_a_period_that_is_none_is_refused(since: str, until: str, code: str) -> None:
    with pytest.raises(ReportError) as refused:
        period(since, until)
    assert refused.value.code == code
