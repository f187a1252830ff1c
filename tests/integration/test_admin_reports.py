"""/v1/reports/…: what each role sees of trend, levels, team, leaderboard and anomalies."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from admin_support import FIRST_TOKEN, Admin, Json, click, product, serving

from waiting import eventually


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    """Two merchants; ann under bob has a click and an order at each, bob a click."""
    async with serving(tmp_path) as admin:
        await admin.shop()
        await admin.post("/v1/merchants", {"id": "other", "name": "Other", "currency": "CNY"})
        await admin.post("/v1/products", product("ink", "other"))
        hits = [
            click("ann", visitor=f"{1:032x}"),
            click("bob"),
            click("ann", pid="ink", merchant="other", visitor=f"{2:032x}"),
        ]
        await admin.record(hits)

        async def folded() -> bool:
            return bool((await admin.get("/v1/reports/summary"))["clicks"] == 3)

        await eventually(folded, "the clicks")
        await admin.order(oid="o1", amount=10_000, visitor=f"{1:032x}")
        await admin.order(oid="o2", amount=5_000, visitor=f"{2:032x}", merchant="other", pid="ink")
        yield admin


async def test_reports_show_each_role_its_own(admin: Admin) -> None:
    shop, ann = await admin.token("merchant:shop"), await admin.token("promoter:ann")
    bob = await admin.token("promoter:bob")
    for interval in ("hour", "day"):
        body = await admin.get(f"/v1/reports/trend?interval={interval}&group_by=merchant")
        assert (body["clicks"], body["sales"], body["unique_visitors_error"] < 0.001) == (3, "150.00", True)
        assert sum(item["clicks"] for item in body["items"]) == 3
        assert [series["merchant"] for series in body["series"]] == ["other", "shop"]
        assert (await admin.get(f"/v1/reports/trend?interval={interval}", token=shop))["sales"] == "100.00"
        assert (await admin.get(f"/v1/reports/trend?interval={interval}", token=ann))["clicks"] == 2
    board = "/v1/reports/leaderboard?period=month&metric=clicks"
    assert [(i["rank"], i["promoter"]) for i in (await admin.get(board))["items"]] == [(1, "ann"), (2, "bob")]
    assert [i["value"] for i in (await admin.get(board, token=shop))["items"]] == [1, 1]
    assert [(i["rank"], i["promoter"]) for i in (await admin.get(board, token=bob))["items"]] == [(2, "bob")]
    levels = (await admin.get("/v1/reports/levels"))["items"]
    assert [levels[0][name] for name in ("promoters", "direct", "team_size")] == [2, 1, 1]
    team = await admin.get("/v1/reports/team/bob")
    assert (team["orders"], team["team"]["sales"], team["team"]["total"]) == (0, "150.00", 1)
    assert [(i["promoter"], i["orders"], i["sales"]) for i in team["items"]] == [("ann", 2, "150.00")]
    own = await admin.get("/v1/reports/team/bob", token=bob)
    assert (own["team"], "items" in own) == (team["team"], False)
    assert (await admin.get("/v1/reports/anomalies", token=ann))["anomalies"] == []
    for token, sales in ((FIRST_TOKEN, ["150.00"]), (shop, ["100.00"]), (ann, ["150.00"]), (bob, [])):
        body = await admin.get("/v1/reports/cohorts", token=token)
        assert (body["items"], [line["sales"] for line in body["unknown"]]) == ([], sales)
    for path, token in (
        ("levels", shop),
        ("levels", ann),
        ("team/bob", shop),
        ("team/bob", ann),
        ("team/nobody", bob),
        ("trend?merchant=other", shop),
        ("trend?promoter=bob", ann),
        ("leaderboard?period=week&promoter=ann", bob),
        ("anomalies?merchant=other", shop),
        ("cohorts?promoter=bob", ann),
    ):
        assert (await admin.call("GET", f"/v1/reports/{path}", token=token))[0] == 404, path
    assert (await admin.call("GET", "/v1/reports/team/nobody"))[0] == 404


REFUSED = (
    ("trend?interval=week", "bad_parameter"),
    ("trend?tz=Mars/Base", "bad_parameter"),
    ("trend?group_by=day", "bad_parameter"),
    ("trend?from=2000-01-01&to=2026-01-01&interval=hour", "too_many_groups"),
    ("levels?currency=USD", "bad_parameter"),
    ("leaderboard?from=2026-01-01", "bad_range"),
    ("leaderboard?period=week&from=2026-01-01", "bad_parameter"),
    ("leaderboard?period=week&currency=XXZ", "bad_parameter"),
    ("team/bob?depth=11", "bad_parameter"),
    ("team/bob?cursor=x", "bad_cursor"),
    ("cohorts?from=2026-02-01&to=2026-01-01", "empty_period"),
    ("anomalies?from=2026-02-01&to=2026-01-01", "empty_period"),
)


async def test_what_cannot_be_reported_is_refused_by_name(admin: Admin) -> None:
    for path, code in REFUSED:
        assert (await admin.call("GET", f"/v1/reports/{path}"))[1]["code"] == code, path


async def lines(admin: Admin, path: str, **more: Any) -> list[Json]:
    status, document = await admin.call("GET", f"/v1/exports/{path}", **more)
    assert status == 200, document
    return list(csv.DictReader(io.StringIO(document["csv"], newline="")))


def written(value: Any) -> str:
    return "" if value is None else str(value)


async def same(admin: Admin, path: str) -> tuple[Json, list[Json]]:
    """A report, and its export, which is the same in both forms."""
    report, _, query = path.partition("?")
    table = await lines(admin, path)
    _, document = await admin.call("GET", f"/v1/exports/{report}?{query}&format=ndjson")
    typed = [msgspec.json.decode(line) for line in document["csv"].splitlines()]
    assert [{name: written(value) for name, value in line.items()} for line in typed] == table
    return await admin.get(f"/v1/reports/{path}"), table


async def test_a_reports_export_has_its_very_numbers(admin: Admin) -> None:
    await admin.order(oid="o3", amount=700, currency="USD", visitor=f"{1:032x}", cust="carla")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for zone in ("UTC", "Asia/Kathmandu", "America/New_York"):
        body, table = await same(admin, f"trend?tz={zone}&interval=hour")
        first = [line for line in table if line["impressions"]]
        for item, line in zip(body["items"], first, strict=True):
            names = ("impressions", "clicks", "unique_visitors", "bots", "ctr", "cvr")
            assert [written(item[name]) for name in names] == [line[name] for name in names]
            assert line["time"] == item["hour"]
        for of in body["money"]:
            theirs = [line for line in table if line["currency"] == of["currency"]]
            assert sum(Decimal(line["sales"]) for line in theirs) == Decimal(of["sales"])
            assert sum(int(line["conversions"]) for line in theirs) == of["conversions"]
        assert sum(int(line["clicks"] or 0) for line in table) == body["clicks"] == 3
    body, table = await same(admin, "trend?group_by=product&interval=day")
    assert [(line["group"], line["clicks"]) for line in table if line["clicks"]] == [
        (series["product"], str(item["clicks"])) for series in body["series"] for item in series["items"]
    ]
    body, table = await same(admin, "levels")
    assert [line["tier"] for line in table if line["promoters"]] == [item["tier"] for item in body["items"]]
    body, table = await same(admin, "leaderboard?period=month&metric=sales&currency=CNY")
    assert [{name: line[name] for name in item} for item, line in zip(body["items"], table, strict=True)] == [
        {name: written(value) for name, value in item.items()} for item in body["items"]
    ]
    body, table = await same(admin, "cohorts")
    assert [(line["cohort"], line["currency"], line["sales"], line["size"]) for line in table] == [
        (today[: len("2026-01")], "USD", "7.00", "1"),
        ("", "CNY", "150.00", ""),
    ]


async def test_a_contest_is_announced_and_paid_by_the_api(admin: Admin) -> None:
    then = datetime.now(UTC) - timedelta(days=2)
    day, at = f"{then:%Y-%m-%d}", int(then.timestamp() * 1000)
    await admin.record([click("bob", visitor=f"{3:032x}", at=at - 1)])
    await admin.order(oid="o3", amount=10_000, visitor=f"{3:032x}", at=at)
    body = {
        "id": "cup",
        "name": "Cup",
        "from": day,
        "to": day,
        "metric": "sales",
        "currency": "CNY",
        "prizes": ["5.00"],
    }
    made = await admin.post("/v1/contests", body)
    assert (made["status"], made["prizes"], made["winners"]) == ("open", ["5.00"], [])
    assert (await admin.call("POST", "/v1/contests", body))[0] == 200
    assert (await admin.call("POST", "/v1/contests", body | {"name": "Bowl"}))[0] == 409
    assert (await admin.call("POST", "/v1/contests", body | {"from": "2026-13-01"}))[1]["code"] == "bad_range"
    later = body | {"id": "open", "to": f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"}
    await admin.post("/v1/contests", later)
    assert (await admin.call("POST", "/v1/contests/open/close"))[1]["code"] == "contest_open"
    closed = await admin.post("/v1/contests/cup/close", None)
    won = [(winner["promoter"], winner["value"], winner["amount"]) for winner in closed["winners"]]
    assert (closed["status"], won) == ("closed", [("bob", "100.00", "5.00")])
    assert (await admin.get("/v1/promoters/bob/balance"))["items"][0]["available"] == "5.00"
    assert [item["id"] for item in (await admin.get("/v1/contests"))["items"]] == ["open", "cup"]
    ann, shop = await admin.token("promoter:ann"), await admin.token("merchant:shop")
    assert (await admin.get("/v1/contests/cup", token=ann))["winners"] == []  # of itself alone
    assert (await admin.call("GET", "/v1/contests/cup", token=shop))[0] == 404
    assert (await admin.call("POST", "/v1/contests", body, token=ann))[0] == 404
