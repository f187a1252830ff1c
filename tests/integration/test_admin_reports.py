"""/v1/reports/…: what each role sees of trend, levels, team, leaderboard and anomalies."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from admin_support import Admin, click, product, serving

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
    ("anomalies?from=2026-02-01&to=2026-01-01", "empty_period"),
)


async def test_what_cannot_be_reported_is_refused_by_name(admin: Admin) -> None:
    for path, code in REFUSED:
        assert (await admin.call("GET", f"/v1/reports/{path}"))[1]["code"] == code, path


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
