"""Reports about promoters: the leaderboard, the levels and the team, held against sums made by hand."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, insert

from tuike import _core
from tuike.reports import Filters, Period, ReportError, leaderboard, levels, teams, tiers
from tuike.stores import engine, migrations
from tuike.stores.rollups import add_orders, add_rollups
from tuike.stores.schema import promoters, sales

Json = dict[str, Any]

ALL = Filters()
UTC = ZoneInfo("UTC")
DAY = 86_400
NOON = 1_772_366_400  # 2026-03-01T12:00Z, a Sunday
EVER = Period(None, None, UTC)
TREE = {"ann": None, "bob": "ann", "cat": "ann", "dan": "bob", "eve": "dan", "fay": None}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    books = engine.writer(tmp_path / "books.sqlite")
    migrations.upgrade(books)
    with books.begin() as connection:
        for id, parent in TREE.items():
            row = dict.fromkeys(promoters.c.keys(), "") | {"id": id, "name": id.title(), "parent": parent, "created": 0}
            connection.execute(insert(promoters).values(row))
        yield connection
    books.dispose()


def sold(connection: Connection, promoter: str, amount: int, at: int = NOON, currency: str = "CNY") -> None:
    add_orders(connection, [(at, "shop", "tea", promoter, "web", 0, "", currency, 1, amount, amount // 10)])


def week(day: str) -> tuple[Period, Period]:
    return Period.calendar("week", date.fromisoformat(day), UTC)


# --- the leaderboard -----------------------------------------------------------------------------


def test_equal_figures_share_their_rank_and_the_next_one_counts_them(connection: Connection) -> None:
    for promoter, amount in (("ann", 500), ("bob", 300), ("cat", 300), ("dan", 100), ("eve", 0)):
        sold(connection, promoter, amount)
    found = leaderboard(connection, week("2026-03-01"), ALL, "sales", 10)
    assert [(item["rank"], item["promoter"], item["value"]) for item in found["items"]] == [
        (1, "ann", "5.00"),
        (2, "bob", "3.00"),
        (2, "cat", "3.00"),
        (4, "dan", "1.00"),
    ]
    assert (found["from"], found["to"]) == ("2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z")
    assert len(leaderboard(connection, week("2026-03-01"), ALL, "sales", 2)["items"]) == 2


def test_each_stands_beside_the_period_before(connection: Connection) -> None:
    sold(connection, "ann", 100, NOON - 7 * DAY)
    sold(connection, "bob", 200, NOON - 7 * DAY)
    sold(connection, "ann", 500)
    sold(connection, "cat", 50)
    found = leaderboard(connection, week("2026-03-01"), ALL, "sales", 10)["items"]
    assert [(i["promoter"], i["change"], i["before"], i["rank_before"]) for i in found] == [
        ("ann", "4.00", "1.00", 2),
        ("cat", "0.50", "0.00", None),
    ]


def test_a_promoter_alone_stands_at_its_rank_among_all(connection: Connection) -> None:
    sold(connection, "ann", 500)
    sold(connection, "bob", 300)
    (item,) = leaderboard(connection, week("2026-03-01"), Filters(promoter="bob"), "sales", 10)["items"]
    assert (item["promoter"], item["rank"], item["name"]) == ("bob", 2, "Bob")


def test_orders_are_of_all_currencies_and_money_is_of_one(connection: Connection) -> None:
    sold(connection, "ann", 500)
    sold(connection, "ann", 900, currency="JPY")
    (item,) = leaderboard(connection, week("2026-03-01"), ALL, "orders", 10)["items"]
    assert item["value"] == 2
    with pytest.raises(ReportError, match="CNY, JPY") as refused:
        leaderboard(connection, week("2026-03-01"), ALL, "sales", 10)
    assert refused.value.code == "currency_needed"
    (item,) = leaderboard(connection, week("2026-03-01"), ALL, "commission", 10, "JPY")["items"]
    assert item["value"] == "90"


def test_clicks_are_those_that_count_of_whole_days_and_their_ends(connection: Connection) -> None:
    for at, promoter, clicks in (
        (NOON, "ann", 3),
        (NOON - DAY, "ann", 4),
        (NOON - 2 * DAY, "ann", 50),
        (NOON, "bob", 7),
    ):
        add_rollups(connection, [(at, "shop", "tea", promoter, "web", 0, "", 9, clicks, 1, 0, b"")])
    period = Period.parse("2026-02-28T06:00:00Z", "2026-03-01T18:00:00Z", UTC)
    found = leaderboard(connection, (period, period.before()), ALL, "clicks", 10)["items"]
    assert [(i["rank"], i["promoter"], i["value"], i["before"]) for i in found] == [(1, "ann", 7, 50), (1, "bob", 7, 0)]


@pytest.mark.parametrize(
    ("unit", "day", "zone", "bounds"),
    [
        ("week", "2026-03-01", "UTC", ("2026-02-16", "2026-02-23", "2026-03-02")),
        ("week", "2026-03-02", "UTC", ("2026-02-23", "2026-03-02", "2026-03-09")),
        ("month", "2026-01-31", "UTC", ("2025-12-01", "2026-01-01", "2026-02-01")),
        ("month", "2026-03-15", "America/New_York", ("2026-02-01", "2026-03-01", "2026-04-01")),
    ],
)
def test_weeks_begin_on_monday_and_months_on_the_first(
    unit: Any, day: str, zone: str, bounds: tuple[str, str, str]
) -> None:
    where = ZoneInfo(zone)
    period, before = Period.calendar(unit, date.fromisoformat(day), where)
    days = [date.fromisoformat(text) for text in bounds]
    assert (before, period) == (Period.of_days(days[0], days[1], where), Period.of_days(days[1], days[2], where))


def test_the_period_before_whole_days_is_as_many_days() -> None:
    where = ZoneInfo("Europe/Berlin")
    period = Period.parse("2026-03-29", "2026-03-31", where)  # with the day of 23 hours
    assert period.before() == Period.parse("2026-03-26", "2026-03-28", where)
    with pytest.raises(ReportError):
        Period.parse("2026-03-29", "", where).before()


# --- levels --------------------------------------------------------------------------------------


def earned(connection: Connection, promoter: str, net: int, day: int) -> None:
    row = {"promoter": promoter, "currency": "CNY", "day": day, "merchant": "shop", "conversion": net + day}
    connection.execute(insert(sales).values(row | {"booked": 1, "net": net}))


def test_levels_sum_up_promoters_orders_and_teams_by_the_tier_of_the_day(connection: Connection) -> None:
    today = date(2026, 3, 2)
    number = (today - date(1970, 1, 1)).days
    earned(connection, "ann", 2_000_000, number - 1)
    earned(connection, "bob", 400_000, number - 100)
    earned(connection, "bob", 100_000, number - 365)
    earned(connection, "cat", 99_999, number - 1)
    earned(connection, "cat", 1, number)  # of the day itself: not before it
    earned(connection, "dan", 900_000, number - 366)
    sold(connection, "ann", 1_000)
    sold(connection, "dan", 300)
    sold(connection, "dan", 300, NOON - DAY)
    found = {item["tier"]: item for item in levels(connection, EVER, ALL, today, "CNY")["items"]}
    assert list(found) == ["bronze", "silver", "gold", "diamond"]
    assert [item["promoters"] for item in found.values()] == [4, 0, 1, 1]
    # ann has bob, cat, dan, eve below; bob dan and eve; dan eve
    assert [(item["direct"], item["team_size"]) for item in found.values()] == [(1, 1), (0, 0), (1, 2), (2, 4)]
    forest = _core.Forest()
    for promoter, parent in TREE.items():
        forest.add(promoter, parent)
    above = tiers(connection, today, "CNY")
    known = dict(zip([*above, "bronze"], forest.teams(list(above.values())), strict=True))
    assert known == {"bronze": (1, 1), "gold": (1, 2), "diamond": (2, 4)}
    assert list(found.values()) == levels(connection, EVER, ALL, today, "CNY", known)["items"]
    assert [(item["orders"], item["sales"]) for item in found.values()] == [
        (2, "6.00"),
        (0, "0"),
        (0, "0"),
        (1, "10.00"),
    ]


# --- teams ---------------------------------------------------------------------------------------


def test_a_team_has_its_totals_and_its_members_level_by_level(connection: Connection) -> None:
    for promoter, amount in (("ann", 1_000), ("bob", 200), ("eve", 30), ("fay", 4)):
        sold(connection, promoter, amount)
    whole = teams.totals(connection, "ann", EVER, ALL)
    assert (whole["orders"], whole["sales"]) == (1, "10.00")
    team = whole["team"]
    assert (team["direct"], team["total"], team["by_level"]) == (2, 4, {"1": 2, "2": 1, "3": 1})
    assert (team["orders"], team["sales"], team["commission"]) == (2, "2.30", "0.23")
    items, last = teams.members(connection, "ann", EVER, ALL, depth=1, limit=10, after=None)
    assert [(i["promoter"], i["level"], i["direct"], i["total"], i["sales"]) for i in items] == [
        ("bob", 1, 1, 2, "2.00"),
        ("cat", 1, 0, 0, "0"),
    ]
    assert last is None
    seen: list[tuple[int, str]] = []
    after = None
    while True:
        items, after = teams.members(connection, "ann", EVER, ALL, depth=3, limit=1, after=after)
        seen += [(item["level"], item["promoter"]) for item in items]
        if after is None:
            break
    assert seen == [(1, "bob"), (1, "cat"), (2, "dan"), (3, "eve")]


def test_a_team_of_nobody_has_zeros(connection: Connection) -> None:
    assert teams.totals(connection, "fay", EVER, ALL)["team"]["total"] == 0
    assert teams.members(connection, "fay", EVER, ALL, depth=10, limit=10, after=None) == ([], None)
