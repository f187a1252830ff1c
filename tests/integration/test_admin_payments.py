"""Settlements, payouts, taxes and decisions on the ledger, as the API shows them."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from admin_support import FIRST_TOKEN, Admin, event_id, now_ms, serving

from tuike.admin import writes
from tuike.books.settlement import Settlements
from waiting import eventually

TODAY = datetime.now(UTC).date()


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    """ann has 500.00 and bob has 50.00, pending; nothing holds them up."""
    async with serving(tmp_path / "data") as admin:
        await admin.shop()
        await admin.call("PATCH", "/v1/merchants/shop", {"settlement": "T+0"})
        await admin.order(oid="o1", amount=500_000, aff="ann")
        await admin.order(oid="o2", amount=50_000, aff="bob")
        yield admin


async def settled(admin: Admin) -> Admin:
    await admin.post("/v1/settlements", {})
    return admin


async def balance(admin: Admin, promoter: str, token: str = FIRST_TOKEN) -> dict[str, str]:
    """What is not zero."""
    (item,) = (await admin.get(f"/v1/promoters/{promoter}/balance", token=token))["items"]
    return {name: amount for name, amount in item.items() if amount not in ("0.00", "CNY")}


async def table(admin: Admin, path: str, token: str = FIRST_TOKEN) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((await admin.get(path, token=token))["csv"])))


# --- settlements ----------------------------------------------------------------------------------


async def test_a_settlement_answers_with_what_it_has_released(admin: Admin) -> None:
    status, run = await admin.call("POST", "/v1/settlements", {})
    assert (status, run["status"], run["released"]) == (201, "done", 2)
    assert run["amounts"] == [{"currency": "CNY", "amount": "550.00"}]
    assert await balance(admin, "ann") == {"available": "500.00"}
    status, again = await admin.call("POST", "/v1/settlements", {})
    assert (status, again["released"], again["amounts"]) == (201, 0, [])
    assert await admin.get(f"/v1/settlements/{run['id']}") == run
    items = (await admin.get("/v1/settlements"))["items"]
    assert [item["id"] for item in items] == [again["id"], run["id"]]
    page = await admin.get("/v1/settlements?limit=1")
    assert (await admin.get(f"/v1/settlements?cursor={page['next']}"))["items"] == [run]


async def test_a_settlement_needs_no_body_and_takes_no_future_instant(admin: Admin) -> None:
    future = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    status, problem = await admin.call("POST", "/v1/settlements", {"as_of": future})
    assert (status, problem["code"]) == (422, "as_of_in_future")
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert (await admin.post("/v1/settlements", {"as_of": past}))["released"] == 0
    status, run = await admin.call("POST", "/v1/settlements", raw=b"")
    assert (status, run["released"]) == (201, 2)


async def test_a_settlement_that_takes_long_is_accepted_and_seen_to_its_end(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Settlements, "running", property(lambda self: False))  # it takes no step
        patch.setattr(writes, "OUTCOME_SECONDS", 1.0)
        status, accepted = await admin.call("POST", "/v1/settlements", {}, key="k")
        assert status == 202
        path = f"/v1/events/{accepted['event_id']}"
        event = await admin.get(path)
        assert (event["status"], event["result"]["status"]) == ("waiting", "running")
        assert (await admin.get(f"/v1/settlements/{accepted['event_id']}"))["status"] == "running"
        assert await admin.call("POST", "/v1/settlements", {}, key="k") == (202, accepted)

    async def ended() -> bool:
        return bool((await admin.get(path))["status"] == "applied")

    await eventually(ended, "the settlement's end")
    event = await admin.get(path)
    assert (event["kind"], event["result"]["status"], event["result"]["released"]) == ("decision", "done", 2)
    assert (await admin.get(f"/v1/settlements/{event['event_id']}"))["released"] == 2


async def test_settlements_and_payouts_take_notes(admin: Admin) -> None:
    run = await admin.post("/v1/settlements", {})
    payout = await admin.post("/v1/payouts", {"promoter": "ann"})
    for kind, id in (("settlements", run["id"]), ("payouts", payout["id"])):
        status, noted = await admin.call("PATCH", f"/v1/{kind}/{id}", {"note": "week 41"})
        assert (status, noted["note"]) == (200, "week 41")
        assert await admin.get(f"/v1/{kind}/{id}") == noted
        assert (await admin.call("PATCH", f"/v1/{kind}/{id}", {"amount": "1.00"}))[1]["code"] == "bad_body"
        assert (await admin.call("PATCH", f"/v1/{kind}/{'0' * 32}", {"note": "x"}))[0] == 404


# --- payouts --------------------------------------------------------------------------------------


async def test_a_payout_goes_from_reserved_to_paid(admin: Admin) -> None:
    await settled(admin)
    status, payout = await admin.call("POST", "/v1/payouts", {"promoter": "ann", "amount": "200.00"})
    expected = {"promoter": "ann", "currency": "CNY", "amount": "200.00", "tax": "0.00", "net": "200.00"}
    assert (status, payout) == (201, payout | expected | {"status": "reserved", "date": TODAY.isoformat()})
    assert await balance(admin, "ann") == {"available": "300.00", "reserved": "200.00"}
    status, paid = await admin.call("POST", f"/v1/payouts/{payout['id']}/paid", {"reason": "bank file 7"})
    assert (status, paid) == (200, payout | {"status": "paid"})
    assert await balance(admin, "ann") == {"available": "300.00", "paid": "200.00"}
    assert await admin.get(f"/v1/payouts/{payout['id']}") == paid
    status, bounced = await admin.call("POST", f"/v1/payouts/{payout['id']}/failed", raw=b"")
    assert (status, bounced["status"]) == (200, "bounced")
    assert await balance(admin, "ann") == {"available": "500.00"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"promoter": "bob"}, 422, "below_minimum"),
        ({"promoter": "ann", "amount": "500.01"}, 422, "insufficient"),
        ({"promoter": "ann", "currency": "JPY"}, 422, "no_minimum"),
        ({"promoter": "zoe"}, 404, "unknown_promoter"),
        ({"promoter": "ann", "date": (TODAY + timedelta(days=2)).isoformat()}, 422, "bad_date"),
        ({"promoter": "ann", "date": "yesterday"}, 400, "bad_body"),
        ({"promoter": "ann", "amount": "-1"}, 400, "bad_body"),
        ({}, 400, "bad_body"),
    ],
)
async def test_a_payout_that_cannot_be_is_refused(admin: Admin, body: dict[str, Any], status: int, code: str) -> None:
    await settled(admin)
    refused, problem = await admin.call("POST", "/v1/payouts", body)
    assert (refused, problem["code"]) == (status, code)


async def test_a_second_payout_while_one_is_open_conflicts(admin: Admin) -> None:
    await settled(admin)
    first = await admin.post("/v1/payouts", {"promoter": "ann", "amount": "100.00"}, key="k")
    assert await admin.post("/v1/payouts", {"promoter": "ann", "amount": "100.00"}, key="k") == first
    status, problem = await admin.call("POST", "/v1/payouts", {"promoter": "ann", "amount": "100.00"})
    assert (status, problem["code"]) == (409, "payout_open")


async def test_payouts_are_listed_and_exported_by_promoter_status_and_date(admin: Admin) -> None:
    await settled(admin)
    await admin.call("PATCH", "/v1/promoters/ann", {"name": "=Ann", "tax": {"scheme": "flat", "percent": "10"}})
    paid = await admin.post("/v1/payouts", {"promoter": "ann", "amount": "100.00"})
    await admin.post(f"/v1/payouts/{paid['id']}/paid", {})
    open_one = await admin.post("/v1/payouts", {"promoter": "ann"})
    for query, expected in (
        ("", [open_one["id"], paid["id"]]),
        ("status=paid", [paid["id"]]),
        ("promoter=bob", []),
        ("currency=USD", []),
        (f"date={TODAY}&status=reserved", [open_one["id"]]),
        ("date=2020-01-01", []),
    ):
        assert [item["id"] for item in (await admin.get(f"/v1/payouts?{query}"))["items"]] == expected, query
        rows = await table(admin, f"/v1/payouts/export?{query}")
        assert [row["id"] for row in rows] == expected[::-1], query
    (row,) = await table(admin, "/v1/payouts/export?status=paid")
    wanted = {"promoter": "ann", "name": "'=Ann", "amount": "100.00", "tax": "10.00", "net": "90.00"}
    assert row == row | wanted | {"date": TODAY.isoformat(), "currency": "CNY"}
    for query in ("status=gone", "date=today", "colour=red"):
        status, problem = await admin.call("GET", f"/v1/payouts?{query}")
        assert (status, problem["code"]) == (400, "bad_parameter")


async def test_a_promoters_token_sees_the_own_payouts_alone(admin: Admin) -> None:
    await settled(admin)
    ann, bob = await admin.token("promoter:ann"), await admin.token("promoter:bob")
    payout = await admin.post("/v1/payouts", {"promoter": "ann"})
    path = f"/v1/payouts/{payout['id']}"
    assert await admin.get(path, token=ann) == payout
    assert [item["id"] for item in (await admin.get("/v1/payouts", token=ann))["items"]] == [payout["id"]]
    assert len(await table(admin, "/v1/payouts/export", token=ann)) == 1
    assert (await admin.get("/v1/payouts", token=bob))["items"] == []
    assert await table(admin, "/v1/payouts/export", token=bob) == []
    for method, asked in (("GET", path), ("GET", "/v1/payouts?promoter=ann"), ("POST", f"{path}/paid")):
        assert (await admin.call(method, asked, None if method == "GET" else {}, token=bob))[0] == 404


@pytest.mark.parametrize(
    ("role", "expected"), [("finance", {201}), ("viewer", {403}), ("merchant:shop", {404}), ("promoter:ann", {404})]
)
async def test_finance_decides_on_money_and_nobody_else(admin: Admin, role: str, expected: set[int]) -> None:
    token = await admin.token(role)
    found = set()
    for path, body in (
        ("settlements", {}),
        ("payouts", {"promoter": "ann", "amount": "100.00"}),
        ("ledger/fund", {"merchant": "shop", "amount": "1.00", "reason": "r"}),
        ("ledger/prize", {"promoter": "ann", "currency": "CNY", "amount": "1.00", "reason": "r"}),
    ):
        found.add((await admin.call("POST", f"/v1/{path}", body, token=token))[0])
    assert found == expected


async def test_a_viewer_reads_settlements_and_taxes_and_a_merchant_does_not(admin: Admin) -> None:
    await settled(admin)
    viewer, merchant = await admin.token("viewer"), await admin.token("merchant:shop")
    for path in ("/v1/settlements", "/v1/payouts", "/v1/reports/withheld?month=2026-01"):
        assert (await admin.call("GET", path, token=viewer))[0] == 200
        assert (await admin.call("GET", path, token=merchant))[0] == 404


# --- taxes and the ledger -------------------------------------------------------------------------


async def test_what_was_withheld_is_reported_per_person_and_month(admin: Admin) -> None:
    await admin.order(oid="o3", amount=5_000_000, aff="bob")
    await settled(admin)
    for promoter in ("ann", "bob"):
        tax = {"scheme": "cn_labour", "person": "id-7"}
        assert (await admin.call("PATCH", f"/v1/promoters/{promoter}", {"tax": tax}))[0] == 200
    first = await admin.post("/v1/payouts", {"promoter": "ann"})
    second = await admin.post("/v1/payouts", {"promoter": "bob", "amount": "5000.00"})
    assert (first["tax"], second["tax"]) == ("0.00", "880.00")
    assert second["basis"] == {"months": 1, "income": "5500.00", "due": "880.00", "withheld": "0.00"}
    report = await admin.get(f"/v1/reports/withheld?month={TODAY:%Y-%m}")
    item = {"person": "id-7", "currency": "CNY", "scheme": "cn_labour", "payouts": 2}
    item |= {"amount": "5500.00", "tax": "880.00", "net": "4620.00"}
    assert report == {"month": f"{TODAY:%Y-%m}", "closed": [], "items": [item]}
    (row,) = await table(admin, f"/v1/reports/withheld?month={TODAY:%Y-%m}&format=csv")
    assert (row["month"], row["person"], row["tax"]) == (f"{TODAY:%Y-%m}", "id-7", "880.00")
    await admin.post(f"/v1/payouts/{second['id']}/failed", {"reason": "no such account"})
    report = await admin.get(f"/v1/reports/withheld?month={TODAY:%Y-%m}")
    assert [(item["payouts"], item["tax"]) for item in report["items"]] == [(1, "0.00")]
    assert await admin.get("/v1/reports/withheld") == report
    for query in ("month=2026-13", "month=2026-1", "month=2026-01&format=xml"):
        assert (await admin.call("GET", f"/v1/reports/withheld?{query}"))[1]["code"] == "bad_parameter"


async def test_a_month_is_handed_over_and_closed(admin: Admin) -> None:
    await settled(admin)
    await admin.call("PATCH", "/v1/promoters/ann", {"tax": {"scheme": "flat", "percent": "10"}})
    last_month = TODAY.replace(day=1) - timedelta(days=1)
    payout = await admin.post("/v1/payouts", {"promoter": "ann", "date": last_month.isoformat()})
    month = f"{last_month:%Y-%m}"
    body = {"month": month, "reason": "tax office"}
    assert (await admin.call("POST", "/v1/ledger/remit", body))[1]["code"] == "payout_open"
    await admin.post(f"/v1/payouts/{payout['id']}/paid", {})
    status, remitted = await admin.call("POST", "/v1/ledger/remit", body)
    assert (status, remitted["items"]) == (201, [{"currency": "CNY", "amount": "50.00", "promoters": 1}])
    assert (await admin.get(f"/v1/reports/withheld?month={month}"))["closed"] == ["CNY"]
    status, problem = await admin.call("POST", f"/v1/payouts/{payout['id']}/failed", {})
    assert (status, problem["code"]) == (409, "month_closed")
    open_month = {"month": f"{TODAY:%Y-%m}", "reason": "r"}
    assert (await admin.call("POST", "/v1/ledger/remit", open_month))[1]["code"] == "month_open"


async def test_decisions_on_the_ledger_are_seen_in_it(admin: Admin) -> None:
    await settled(admin)
    fund = {"merchant": "shop", "amount": "550.00", "reason": "bank"}
    prize = {"promoter": "bob", "currency": "CNY", "amount": "50.00", "reason": "contest"}
    moved = {"from": "promoter:bob:available", "to": "platform:revenue", "currency": "CNY", "amount": "10.00"}
    for op, body in (("fund", fund), ("prize", prize), ("adjust", moved | {"reason": "typing error"})):
        status, decided = await admin.call("POST", f"/v1/ledger/{op}", body)
        assert (status, decided["kind"]) == (201, op)
        (transfer,) = (await admin.get("/v1/ledger/transfers?limit=500"))["items"][-1:]
        assert (transfer["id"], transfer["kind"]) == (decided["id"], op)
        assert transfer["entries"] == decided["entries"]
        (entry,) = (await admin.get("/v1/audit?limit=1"))["items"]
        assert (entry["action"], entry["detail"]["reason"]) == (f"ledger.{op}", body["reason"])
    assert await balance(admin, "bob") == {"available": "90.00"}
    for op, body in (("fund", fund), ("prize", prize), ("adjust", moved)):
        without = {name: value for name, value in body.items() if name != "reason"}
        assert (await admin.call("POST", f"/v1/ledger/{op}", without))[1]["code"] == "bad_body"


async def test_what_is_owed_is_shown_as_an_amount_and_written_off(admin: Admin) -> None:
    await settled(admin)
    payout = await admin.post("/v1/payouts", {"promoter": "ann"})
    await admin.post(f"/v1/payouts/{payout['id']}/paid", {})
    (order,) = (await admin.get("/v1/conversions?order_id=o1"))["items"]
    await admin.post(f"/v1/conversions/{order['id']}/refund", {"reason": "sent back"}, key="r1")
    ann = await admin.token("promoter:ann")
    assert await balance(admin, "ann", ann) == {"paid": "500.00", "owed": "500.00"}
    status, problem = await admin.call("POST", "/v1/payouts", {"promoter": "ann"})
    assert (status, problem["code"]) == (422, "owed")
    body = {"promoter": "ann", "currency": "CNY", "reason": "lost"}
    assert (await admin.call("POST", "/v1/ledger/write_off", body))[0] == 201
    assert await balance(admin, "ann") == {"paid": "500.00"}
    assert (await admin.call("POST", "/v1/ledger/write_off", body))[1]["code"] == "above_owed"


async def test_a_refund_that_waits_for_its_order_is_seen_as_waiting(admin: Admin) -> None:
    at = now_ms()
    refund = {"kind": "order", "id": event_id(at), "at": at, "received": at, "merchant": "shop", "pid": "tea"}
    await admin.record([refund | {"oid": "later", "status": "refunded", "source": "postback"}])
    path = f"/v1/events/{refund['id']}"

    async def known() -> bool:
        return bool((await admin.get(path))["kind"])

    await eventually(known, "the refund")
    event = await admin.get(path)
    assert (event["status"], event["code"], event["kind"]) == ("waiting", "unknown_order", "order")
    await admin.order(oid="later", amount=1_000, aff="ann")
    event = await admin.get(path)
    assert (event["status"], event["kind"]) == ("applied", "order")


# --- previews -------------------------------------------------------------------------------------

LEVELS = [{"level": 1, "value": "5"}, {"level": 2, "value": "3"}, {"level": 3, "value": "1"}]
RULE = {"type": "percentage", "value": "10", "levels": LEVELS}


@pytest.mark.parametrize(
    ("rule", "amount", "depth", "pool", "levels", "platform"),
    [
        (RULE, "100.00", 3, "10.00", ["5.00", "3.00", "1.00"], "1.00"),
        (RULE, "100.00", 1, "10.00", ["5.00"], "5.00"),
        (RULE | {"missing_level": "redistribute"}, "100.00", 2, "10.00", ["5.63", "3.37"], "1.00"),
        (RULE | {"max_per_order": "1.00"}, "100.00", 3, "1.00", ["0.50", "0.30", "0.10"], "0.10"),
        (RULE | {"min_amount": "200"}, "100.00", 3, "0.00", ["0.00", "0.00", "0.00"], "0.00"),
        ({"type": "fixed", "value": "3"}, None, 3, "3.00", ["3.00"], "0.00"),
    ],
)
async def test_a_preview_splits_without_saving(
    admin: Admin, rule: dict[str, Any], amount: str | None, depth: int, pool: str, levels: list[str], platform: str
) -> None:
    body = {"rule": rule, "amount": amount, "currency": "CNY", "depth": depth}
    status, preview = await admin.call("POST", "/v1/rules/preview", body)
    assert (status, preview["pool"], preview["platform"]) == (200, pool, platform)
    assert [level["amount"] for level in preview["levels"]] == levels
    assert [level["level"] for level in preview["levels"]] == list(range(1, len(levels) + 1))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"rule": {"type": "percentage", "value": "51"}}, 422, "above_ceiling"),
        ({"rule": {"type": "magic"}}, 422, "unknown_type"),
        ({"rule": RULE, "amount": "1.001"}, 422, "bad_amount"),
        ({"rule": RULE, "amount": None}, 422, "amount_missing"),
        ({"rule": RULE, "currency": "XYZ"}, 422, "bad_currency"),
        ({"rule": RULE, "depth": 4}, 400, "bad_body"),
        ({"rule": []}, 400, "bad_body"),
    ],
)
async def test_a_rule_that_could_not_be_saved_has_no_preview(
    admin: Admin, body: dict[str, Any], status: int, code: str
) -> None:
    given = {"amount": "100.00", "currency": "CNY", "depth": 3} | body
    refused, problem = await admin.call("POST", "/v1/rules/preview", given)
    assert (refused, problem["code"]) == (status, code)


async def test_the_contract_says_what_a_table_is(admin: Admin) -> None:
    contract = await admin.get("/v1/openapi.json")
    answer = contract["paths"]["/v1/payouts/export"]["get"]["responses"]["200"]
    assert answer["content"] == {"text/csv": {"schema": {"type": "string"}}}
