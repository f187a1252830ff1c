"""Exports: whole lists as CSV and NDJSON, for whom the lists are, guarded against spreadsheets."""

import csv
import io
from decimal import Decimal

import msgspec
import pytest
from admin_support import LEVELS, Admin, Json, click

from tuike.admin import exports

FORMULA = '=cmd|" /C calc"!A0'
NAMES = ("conversions", "credits", "transfers", "payouts", "promoters", "links")


async def rows(admin: Admin, name: str, query: str = "", **more: str) -> list[Json]:
    status, document = await admin.call("GET", f"/v1/exports/{name}?{query}", **more)
    assert status == 200, document
    return list(csv.DictReader(io.StringIO(document["csv"], newline="")))


async def sold(admin: Admin, orders: int) -> None:
    """`ann`, under `bob`, is credited with so many orders of 100.00 that pay 5.00 and 3.00."""
    await admin.shop(LEVELS)
    touch = click("ann")
    await admin.record([touch])
    for n in range(orders):
        await admin.order(oid=f"o{n}", amount=10_000, visitor=touch["visitor"])


async def test_an_export_has_all_that_the_list_has_in_pages_of_any_size(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sold(admin, 5)
    listed = (await admin.get("/v1/conversions"))["items"]
    for size in (2_000, 5, 2, 1):
        monkeypatch.setattr(exports, "ROWS_PER_PAGE", size)
        exported = await rows(admin, "conversions")
        assert [row["order_id"] for row in exported] == [f"o{n}" for n in range(5)]
        for item, row in zip(reversed(listed), exported, strict=True):
            same = ("id", "merchant", "product", "amount", "currency", "status", "refunded", "model", "created")
            assert {name: item[name] for name in same} == {name: row[name] for name in same}
            assert row["commission"] == "8.00"
        credits = await rows(admin, "credits")
        assert [(row["promoter"], row["level"], row["amount"]) for row in credits] == [
            ("ann", "1", "5.00"),
            ("bob", "2", "3.00"),
        ] * 5
        transfers = await rows(admin, "transfers")
        assert len(transfers) == 20 and sum(float(row["amount"]) for row in transfers) == 0


async def test_an_export_adds_up_to_the_summary_in_any_time_zone(admin: Admin) -> None:
    await sold(admin, 3)
    number = (await admin.get("/v1/conversions?order_id=o1"))["items"][0]["id"]
    await admin.post(f"/v1/conversions/{number}/refund", {"amount": "25.00", "reason": "half a box"}, key="r1")
    exported = await rows(admin, "conversions")
    sales = sum(Decimal(row["amount"]) - Decimal(row["refunded"]) for row in exported)
    paid = sum(Decimal(row["amount"]) for row in await rows(admin, "credits"))
    for zone in ("UTC", "Asia/Kathmandu", "America/New_York"):
        summary = await admin.get(f"/v1/reports/summary?tz={zone}")
        assert (summary["conversions"], Decimal(summary["sales"])) == (len(exported), sales) == (3, Decimal("275.00"))
        days = (await admin.get(f"/v1/reports/summary?tz={zone}&group_by=day"))["items"]
        assert sum(Decimal(day["sales"]) for day in days) == sales
        assert Decimal(summary["commission"]) == paid


async def test_ndjson_has_the_same_lines_with_their_types(admin: Admin) -> None:
    await sold(admin, 2)
    for name in NAMES:
        _, document = await admin.call("GET", f"/v1/exports/{name}?format=ndjson")
        lines = [msgspec.json.decode(line) for line in document["csv"].splitlines()]
        table = await rows(admin, name)
        assert bool(table) == (name not in ("payouts", "links"))
        assert [{key: "" if value is None else str(value) for key, value in line.items()} for line in lines] == table


async def test_what_people_have_typed_is_no_formula_in_a_spreadsheet(admin: Admin) -> None:
    await admin.shop()
    await admin.post("/v1/promoters", {"id": "eve", "name": FORMULA})
    await admin.post("/v1/links", {"code": "x", "promoter": "eve", "product": "tea", "sub1": "+1", "sub2": "\t=1"})
    await admin.order(oid=FORMULA, amount=100)
    assert [row["name"] for row in await rows(admin, "promoters")] == ["Ann", "Bob", f"'{FORMULA}"]
    (link,) = await rows(admin, "links")
    assert (link["sub1"], link["sub2"]) == ("'+1", "'\t=1")
    (order,) = await rows(admin, "conversions")
    assert order["order_id"] == f"'{FORMULA}"
    (credit,) = await rows(admin, "conversions", "format=csv")
    assert credit["order_id"] == f"'{FORMULA}"


async def test_an_export_is_narrowed_by_filters_and_days(admin: Admin) -> None:
    await sold(admin, 2)
    await admin.order(oid="pending", amount=100, status="pending")
    today = (await admin.get("/v1/conversions"))["items"][0]["created"][: len("2026-01-01")]
    for query, number in (
        ("status=approved", 2),
        ("promoter=bob", 2),
        ("promoter=nobody", 0),
        ("product=tea", 3),
        ("merchant=other", 0),
        (f"from={today}&to={today}", 3),
        ("to=2020-01-01", 0),
        ("from=2999-01-01", 0),
    ):
        assert len(await rows(admin, "conversions", query)) == number, query
    status, problem = await admin.call("GET", "/v1/exports/conversions?from=yesterday")
    assert (status, problem["code"]) == (400, "bad_parameter")


async def test_exports_are_for_whom_the_lists_are(admin: Admin) -> None:
    await sold(admin, 1)
    await admin.post("/v1/merchants", {"id": "other", "name": "Other", "currency": "CNY"})
    await admin.post("/v1/promoters", {"id": "nobody", "name": "Nobody"})
    await admin.post("/v1/links", {"code": "a", "promoter": "ann", "product": "tea"})
    await admin.post("/v1/links", {"code": "b", "promoter": "bob", "product": "tea"})
    seen = {
        "merchant:shop": {"conversions": 1, "credits": 2},
        "merchant:other": {"conversions": 0, "credits": 0},
        "promoter:ann": {"conversions": 1, "credits": 1, "payouts": 0, "promoters": 1, "links": 1},
        "promoter:nobody": {"conversions": 0, "credits": 0, "payouts": 0, "promoters": 1, "links": 0},
    }
    for role, expected in seen.items():
        token = await admin.token(role)
        for name in NAMES:
            if name in expected:
                assert len(await rows(admin, name, token=token)) == expected[name], (role, name)
            else:
                assert (await admin.call("GET", f"/v1/exports/{name}", token=token))[0] == 404, (role, name)
        status = (await admin.call("GET", "/v1/exports/conversions?merchant=nobodys", token=token))[0]
        assert status == (404 if role.startswith("merchant:") else 200), role
    bob = await admin.token("promoter:bob")
    (credit,) = await rows(admin, "credits", token=bob)
    assert (credit["promoter"], credit["via"], credit["amount"]) == ("bob", "", "3.00")
    (order,) = await rows(admin, "conversions", token=bob)
    assert order["commission"] == "3.00"
    assert (await admin.call("GET", "/v1/exports/credits?promoter=ann", token=bob))[0] == 404


async def test_an_export_that_breaks_in_the_middle_does_not_pass_for_whole(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sold(admin, 3)
    monkeypatch.setattr(exports, "ROWS_PER_PAGE", 1)
    whole = exports.Pages.next

    def breaks(pages: exports.Pages, connection: object) -> bytes:
        if pages._after is not None:
            raise RuntimeError("the second page")
        return whole(pages, connection)  # type: ignore[arg-type]

    monkeypatch.setattr(exports.Pages, "next", breaks)
    with pytest.raises(Exception, match=r"payload is not completed|disconnected|reset"):
        await admin.call("GET", "/v1/exports/conversions")
