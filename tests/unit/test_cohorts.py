"""Cohorts: customers by the month of their first order, as one would count them by hand, in any time zone; together
with what names nobody they are the summary."""

import json
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, select

from proof_kit import DAY, MINUTE, START, World
from tuike.reports import Filters, Period, cohorts, summary
from tuike.stores import engine, schema

Json = dict[str, Any]
ZONES = ("UTC", "Asia/Kathmandu", "America/New_York")
ORDERS, CUSTOMERS, DAYS = 60, 12, 140
FILTERS: list[Json] = [{}, {"promoter": "alice"}, {"product": "silk"}, {"channel": "web", "merchant": "shop"}]


class Shop(World):
    """Orders of some months by a few customers, some by nobody that is named; refunds, rejections."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        chance = random.Random(5)
        self.shop()
        self.shop(id="silk")
        self.promoters()
        for number in range(ORDERS):
            at = START + chance.randrange(DAYS * DAY // MINUTE) * MINUTE
            about = {"pid": chance.choice(["tea", "silk"]), "at": at}
            channel = chance.choice(["web", ""])
            self.click(chance.choice(["alice", "dave"]), 100 + number, channel=channel, **about)
            cust = chance.choice([*(f"c{n}" for n in range(CUSTOMERS)), "", ""])
            status = chance.choice(["approved", "approved", "approved", "rejected"])
            amount = chance.randrange(1, 50_000)
            self.order(f"o{number}", amount, 100 + number, cust=cust, status=status, **about | {"at": at + MINUTE})
        self.drain()
        for number in range(0, ORDERS, 4):
            about = {"pid": "tea"} if self.product(number) == "tea" else {"pid": "silk"}
            self.order(f"o{number}", 1, 100 + number, status="refunded", refund_id="r", **about)
        self.drain()
        self.stop()

    def product(self, number: int) -> str:
        (row,) = self.rows(select(schema.conversions.c.product).where(schema.conversions.c.order_id == f"o{number}"))
        return str(row["product"])

    def counted(self) -> list[Json]:
        paid: dict[int, int] = {}
        for share in self.rows(select(schema.shares)):
            paid[share["conversion"]] = paid.get(share["conversion"], 0) + (share["amount"] if share["promoter"] else 0)
        return [
            row
            | {"evidence": json.loads(row["evidence"]), "commission": paid[row["number"]]}
            | {"net": row["amount"] - row["refunded"]}
            for row in self.rows(select(schema.conversions).order_by(schema.conversions.c.at))
            if row["number"] in paid and row["status"] != "rejected"
        ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("cohorts"))


@pytest.fixture(scope="module")
def connection(world: Shop) -> Iterator[Connection]:
    books = engine.open_reader(world.data.database)
    with books.begin() as connection:
        yield connection
    books.dispose()


def is_asked(order: Json, filters: Json) -> bool:
    evidence = order["evidence"]
    facts = {"promoter": evidence["candidates"][-1]["promoter"], "channel": evidence.get("channel", "")}
    facts |= {"product": order["product"], "merchant": order["merchant"]}
    return all(facts[name] == value for name, value in filters.items())


def by_hand(orders: list[Json], zone: str) -> dict[str, dict[int, tuple[int, int, int, int, int]]]:
    """Cohort -> month -> customers, orders, net, refunds, commission."""
    first: dict[str, datetime] = {}
    found: dict[str, dict[int, list[Json]]] = {}
    for order in orders:
        cust = order["evidence"]["identifiers"].get("cust", "")
        at = datetime.fromtimestamp(order["at"] / 1000, ZoneInfo(zone))
        begun = first.setdefault(cust, at)
        name = f"{begun:%Y-%m}" if cust else ""
        later = (at.year - begun.year) * 12 + at.month - begun.month if cust else 0
        found.setdefault(name, {}).setdefault(later, []).append(order | {"cust": cust})
    return {
        name: {
            later: (
                len({order["cust"] for order in theirs}),
                len(theirs),
                *(sum(order[key] for order in theirs) for key in ("net", "refunded", "commission")),
            )
            for later, theirs in months.items()
        }
        for name, months in found.items()
    }


def figures(line: Json) -> tuple[int, ...]:
    money = (round(float(line[name]) * 100) for name in ("sales", "refunds", "commission"))
    return (line.get("customers", 1), line["orders"], *money)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: "-".join(filters.values()) or "all")
def test_cohorts_are_what_one_counts_by_hand_and_sum_up_to_the_summary(
    world: Shop, connection: Connection, zone: str, filters: Json
) -> None:
    orders = [order for order in world.counted() if is_asked(order, filters)]
    period = Period.parse("", "", ZoneInfo(zone))
    body = cohorts(connection, period, Filters(**filters))
    wanted = by_hand(orders, zone)
    nobody = wanted.pop("", {})
    assert [item["cohort"] for item in body["items"]] == sorted(wanted)
    assert len(wanted) > 2
    for item in body["items"]:
        assert {line["month"]: figures(line) for line in item["months"]} == wanted[item["cohort"]]
        assert figures(item)[1:] == tuple(
            map(sum, zip(*[line[1:] for line in wanted[item["cohort"]].values()], strict=True))
        )
        assert abs(float(item["ltv"]) - float(item["sales"]) / item["customers"]) <= 0.005
    assert [figures(line)[1:] for line in body["unknown"]] == [line[1:] for line in nobody.values()]
    lines = [*body["items"], *body["unknown"]]
    whole = summary(connection, period, Filters(**filters))
    assert sum(line["orders"] for line in lines) == whole["conversions"]
    for name in ("sales", "commission"):
        assert sum(round(float(line[name]) * 100) for line in lines) == round(float(whole[name]) * 100)


def test_a_period_is_that_of_first_orders_and_what_they_led_to_later_counts(
    world: Shop, connection: Connection
) -> None:
    whole = cohorts(connection, Period.parse("", "", ZoneInfo("UTC")), Filters())
    month = cohorts(connection, Period.parse("2025-10-01", "2025-10-31", ZoneInfo("UTC")), Filters())
    assert month["items"] == [item for item in whole["items"] if item["cohort"] == "2025-10"]
    assert {line["month"] for line in month["items"][0]["months"]} > {0}
    assert month["from"] == "2025-10-01T00:00:00Z"


def test_without_orders_there_are_none(world: Shop, connection: Connection) -> None:
    empty = cohorts(connection, Period.parse("", "", ZoneInfo("UTC")), Filters(promoter="carol"))
    assert (empty["items"], empty["unknown"]) == ([], [])
