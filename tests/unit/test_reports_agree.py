"""Every report has the same numbers: those of the hits and orders one by one, in any time zone; and `verify --reports`
finds the row that has others."""

import json
import random
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, select

from proof_kit import DAY, HOUR, MINUTE, START, World
from tuike.reports import Filters, Period, summary, trend
from tuike.stores import engine, schema
from tuike.verify.reports import verify_reports

Json = dict[str, Any]
ZONES = ("UTC", "Asia/Kathmandu", "America/New_York")
DAYS = 30  # with the day on which New York's clocks go back
HITS, ORDERS = 400, 40
SHOPS = {"tea": "shop", "silk": "shop", "ink": "paper"}
CHANNELS = ("web", "wechat", "")


class Random(World):
    """Clicks and views of two merchants at any time of a month, and orders of what they brought."""

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__(path)
        self.chance = random.Random(seed)
        self.hits: list[Json] = []
        for merchant in ("shop", "paper"):
            self.ask("merchant.create", id=merchant, name=merchant, currency="CNY", secret="sealed")
        rule = {"type": "percentage", "value": "10", "levels": [{"level": 1, "value": "6"}, {"level": 2, "value": "3"}]}
        for id, merchant in SHOPS.items():
            about = {"merchant": merchant, "name": id, "url": "https://s.example/", "commission": rule}
            self.ask("product.create", id=id, **about)
        self.promoters()
        for _ in range(HITS):
            self.hit()
        for number in range(ORDERS):
            self.sell(f"o{number}")
        self.drain()
        for number in range(0, ORDERS, 4):
            hit = self.sold[number]
            refund = self.chance.choice([{"amount": 100, "refund_id": "r"}, {"amount": None}])
            self.order(
                f"o{number}",
                refund.pop("amount"),
                pid=hit["pid"],
                merchant=hit["merchant"],
                status="refunded",
                **refund,
            )
        self.drain()
        self.stop()

    def hit(self) -> None:
        product = self.chance.choice(list(SHOPS))
        verdict = self.chance.choices([{}, {"counted": False, "reason": "bot", "bot": True}], [9, 1])[0]
        hit = {
            "kind": self.chance.choice(["click", "view"]),
            "at": START + self.chance.randrange(DAYS * DAY // MINUTE) * MINUTE,
            "aff": self.chance.choice(["alice", "bob", "dave"]),
            "pid": product,
            "merchant": SHOPS[product],
            "channel": self.chance.choice(CHANNELS),
            "sub1": self.chance.choice(["", "red", "blue"]),
            "visitor": f"{self.chance.randrange(1, 80):032x}",
            "counted": True,
        } | verdict
        self.edge.append(self.now, hit)
        self.hits.append(hit)

    @property
    def sold(self) -> list[Json]:
        """The clicks that led to orders."""
        return [hit for hit in self.hits if hit["kind"] == "click" and hit["counted"]]

    def sell(self, oid: str) -> None:
        hit = self.sold[int(oid[1:])]
        at = hit["at"] + self.chance.randrange(HOUR)
        status = self.chance.choice(["approved", "approved", "pending", "rejected"])
        amount = self.chance.randrange(1, 50_000)
        visitor = int(hit["visitor"], 16)
        self.order(oid, amount, visitor, at=at, pid=hit["pid"], merchant=hit["merchant"], status=status)

    def booked(self) -> list[Json]:
        """Credited orders as the reports must have them."""
        orders = []
        paid: dict[int, int] = {}
        for share in self.rows(select(schema.shares)):
            paid[share["conversion"]] = paid.get(share["conversion"], 0) + (share["amount"] if share["promoter"] else 0)
        for row in self.rows(select(schema.conversions)):
            if row["number"] in paid and row["status"] != "rejected":
                evidence = json.loads(row["evidence"])
                weights = [c for c in evidence["candidates"] if not c.get("why")]
                top = max(weights, key=lambda c: (c.get("weight", 0), c["at"]))["promoter"]
                labels = evidence.get("labels") or [""]
                orders.append(
                    {"at": row["at"], "merchant": row["merchant"], "pid": row["product"], "aff": top}
                    | {"channel": evidence.get("channel", ""), "sub1": labels[0]}
                    | {"sales": row["amount"] - row["refunded"], "commission": paid[row["number"]]}
                )
        return orders


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Random:
    return Random(tmp_path_factory.mktemp("agree"), 3)


@pytest.fixture
def connection(world: Random) -> Iterator[Connection]:
    books = engine.open_reader(world.data.database)
    with books.begin() as connection:
        yield connection
    books.dispose()


def counted(hits: list[Json], orders: list[Json]) -> Json:
    """The slow and obvious way."""
    good = [hit for hit in hits if hit["counted"]]
    return {
        "impressions": sum(hit["kind"] == "view" for hit in good),
        "clicks": sum(hit["kind"] == "click" for hit in good),
        "bots": sum(not hit["counted"] for hit in hits),
        "unique_visitors": len({hit["visitor"] for hit in good}),
        "conversions": len(orders),
        "sales": sum(order["sales"] for order in orders),
        "commission": sum(order["commission"] for order in orders),
    }


def said(figures: Json) -> Json:
    cents = {name: round(float(figures[name]) * 100) for name in ("sales", "commission")}
    return {name: figures[name] for name in ("impressions", "clicks", "bots", "unique_visitors", "conversions")} | cents


NAMES = {"promoter": "aff", "product": "pid", "merchant": "merchant", "channel": "channel", "sub1": "sub1"}
EMPTY = counted([], [])


def clock_name(at: int, zone: str, clock: str) -> str:
    local = datetime.fromtimestamp(at / 1000, ZoneInfo(zone))
    return local.date().isoformat() if clock == "day" else local.replace(minute=0, second=0, microsecond=0).isoformat()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"merchant": "shop"},
        {"product": "ink", "merchant": "paper"},
        {"channel": "web"},
        {"channel": "web", "merchant": "shop"},
        {"promoter": "bob", "channel": "web", "product": "tea"},
    ],
    ids=lambda filters: "-".join(filters.values()) or "all",
)
def test_summary_trend_and_groups_are_the_sums_of_hits_and_orders(
    world: Random, connection: Connection, zone: str, filters: Json
) -> None:
    def mine(events: list[Json]) -> list[Json]:
        return [event for event in events if all(event[NAMES[name]] == value for name, value in filters.items())]

    hits, orders = mine(world.hits), mine(world.booked())
    for since, until in (("", ""), ("2025-10-20", "2025-11-03"), ("2025-10-12T03:07:00Z", "2025-11-01T20:40:00+08:00")):
        period = Period.parse(since, until, ZoneInfo(zone))
        first, last = ((0 if at is None else at) * 1000 for at in (period.since, period.until))
        inside = [[e for e in events if first <= e["at"] < (last or 1 << 50)] for events in (hits, orders)]
        whole = counted(*inside)
        assert said(summary(connection, period, Filters(**filters))) == whole
        for name in ("promoter", "product", "merchant", "channel", "sub1"):
            body = summary(connection, period, Filters(**filters), name)
            assert said(body) == whole
            check_groups(body["items"], name, NAMES[name], inside)
        for clock in ("day", "hour"):
            check_clock(connection, period, Filters(**filters), zone, clock, inside)


def check_groups(items: list[Json], name: str, of: str, inside: list[list[Json]]) -> None:
    values = {event[of] for events in inside for event in events} - ({""} if name == "sub1" else set())
    wanted = {value: counted(*[[e for e in events if e[of] == value] for events in inside]) for value in values}
    found = {item[name]: said(item) for item in items}
    assert {key: line for key, line in found.items() if line != EMPTY} == wanted


def check_clock(
    connection: Connection, period: Period, filters: Filters, zone: str, clock: Any, inside: list[list[Json]]
) -> None:
    wanted = {name: counted(*events) for name, events in parted(inside, zone, clock).items()}
    grouped = {item[clock]: said(item) for item in summary(connection, period, filters, clock)["items"]}
    assert {name: line for name, line in grouped.items() if line != EMPTY} == wanted
    body = trend(connection, period, filters, clock)
    assert said(body) == counted(*inside)
    items = {item[clock]: said(item) for item in body["items"]}
    assert len(items) == len(body["items"])
    assert {name: line for name, line in items.items() if line != EMPTY} == wanted
    steps = {later - earlier for earlier, later in pairwise(datetime.fromisoformat(name) for name in items)}
    assert steps <= {timedelta(days=1) if clock == "day" else timedelta(hours=1)}
    if clock == "day":
        series = trend(connection, period, filters, clock, "product")["series"]
        for of in series:
            mine = parted([[e for e in events if e["pid"] == of["product"]] for events in inside], zone, "day")
            found = {item["day"]: said(item) for item in of["items"]}
            assert {day: line for day, line in found.items() if line != EMPTY} == {
                day: counted(*events) for day, events in mine.items()
            }


def parted(inside: list[list[Json]], zone: str, clock: str) -> dict[str, list[list[Json]]]:
    """Hits and orders by their day or hour."""
    parts: dict[str, list[list[Json]]] = {}
    for place, events in enumerate(inside):
        for event in events:
            parts.setdefault(clock_name(event["at"], zone, clock), [[], []])[place].append(event)
    return parts


def test_what_the_reports_are_made_of_is_proved(world: Random) -> None:
    report = verify_reports(world.data)
    assert report.fault is None, report.text()
    proved = dict(line.split(": ", 1) for line in report.proved)
    # registry writes, refunds and what was booked are events, too
    assert int(proved["hits"].split()[0]) >= HITS + ORDERS + ORDERS // 4
    assert proved["orders"] == f"{len(world.booked())} of the books"
    world.proved()


TAMPERED = [
    ("UPDATE rollups SET clicks = clicks + 1", "rollups"),
    ("UPDATE rollups SET promoter = 'x' WHERE promoter = 'bob' AND label_number = 1", "rollups"),
    ("UPDATE hit_days SET bots = bots + 1", "hit_days"),
    ("UPDATE hit_cuts SET impressions = impressions + 1 WHERE span = 3600", "hit_cuts 0 3600"),
    ("UPDATE hit_cuts SET visitors = x'' WHERE cut = 2", "hit_cuts 2 900"),
    ("UPDATE order_rollups SET sales = sales + 1", "order_rollups"),
    ("UPDATE order_days SET promoter = 'x' WHERE promoter = 'alice'", "order_days"),
    ("UPDATE order_cuts SET commission = commission + 1", "order_cuts 0 900"),
    ("DELETE FROM order_cuts WHERE span = 86400", "order_cuts 0 86400"),
    ("INSERT INTO order_cuts VALUES (0, 900, '', '', 0, 'CNY', 1, 1, 1)", "order_cuts 0 900   0 CNY"),
]


@pytest.mark.parametrize(("statement", "place"), TAMPERED)
def test_the_first_row_that_was_tampered_with_is_named(world: Random, statement: str, place: str) -> None:
    kept = shutil.copy(world.data.books, world.data.root / "kept")
    assert world.change(statement) > 0
    try:
        fault = verify_reports(world.data).fault
    finally:
        for end in ("-wal", "-shm"):
            world.data.books.with_name(world.data.books.name + end).unlink(missing_ok=True)
        shutil.copy(kept, world.data.books)
    assert fault is not None
    assert (fault.check, fault.place.startswith(place)) == ("reports", True), fault
