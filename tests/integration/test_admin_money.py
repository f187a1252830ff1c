"""Conversions, decisions on them, balances, the ledger, the report, clicks: as the API shows them."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from admin_support import LEVELS, Admin, click, order, product, serving

from waiting import eventually


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with serving(tmp_path / "data") as admin:
        await admin.shop(LEVELS)
        yield admin


async def bought(admin: Admin, oid: str, amount: int, **more: object) -> str:
    """An order of ann's click; its conversion."""
    sent = click("ann", channel="wechat", sub1="poster")
    await admin.record([sent])
    return await admin.order(oid=oid, amount=amount, click=sent["id"], **more)


async def pending(admin: Admin, promoter: str) -> str:
    items = (await admin.get(f"/v1/promoters/{promoter}/balance"))["items"]
    return str(items[0]["pending"]) if items else "none"


async def test_an_order_is_seen_in_every_view(admin: Admin) -> None:
    id = await bought(admin, "o1", 10_000)
    conversion = await admin.get(f"/v1/conversions/{id}")
    assert [(c["promoter"], c["level"], c["via"], c["amount"]) for c in conversion["credits"]] == [
        ("ann", 1, "ann", "5.00"),
        ("bob", 2, "ann", "3.00"),
    ]
    assert (conversion["amount"], conversion["status"], conversion["platform"]) == ("100.00", "approved", "2.00")
    assert (await pending(admin, "ann"), await pending(admin, "bob")) == ("5.00", "3.00")
    report = await admin.get("/v1/reports/summary?group_by=channel")
    assert (report["clicks"], report["conversions"], report["sales"], report["commission"]) == (1, 1, "100.00", "8.00")
    assert [item["channel"] for item in report["items"]] == ["wechat"]
    labels = (await admin.get("/v1/reports/summary?group_by=sub1"))["items"]
    assert [(item["sub1"], item["conversions"]) for item in labels] == [("poster", 1)]


async def test_the_ledger_sums_to_zero_and_is_found_by_account_and_conversion(admin: Admin) -> None:
    id = await bought(admin, "o1", 10_000)
    await bought(admin, "o2", 333)
    transfers = (await admin.get("/v1/ledger/transfers"))["items"]
    assert [transfer["number"] for transfer in transfers] == [1, 2]
    for transfer in transfers:
        assert sum(Decimal(entry["amount"]) for entry in transfer["entries"]) == 0
    mine = (await admin.get(f"/v1/ledger/transfers?conversion={id}"))["items"]
    assert [transfer["number"] for transfer in mine] == [1]
    on_account = (await admin.get("/v1/ledger/transfers?account=promoter:bob:pending&limit=1"))["items"]
    assert [transfer["number"] for transfer in on_account] == [1]
    accounts = {item["account"]: item["balance"] for item in (await admin.get("/v1/ledger/accounts"))["items"]}
    assert sum(Decimal(balance) for balance in accounts.values()) == 0
    for name, balance in accounts.items():
        assert (await admin.get(f"/v1/ledger/accounts/{name}"))["items"][0]["balance"] == balance


async def test_conversions_are_found_by_order_merchant_product_promoter_and_status(admin: Admin) -> None:
    await admin.post("/v1/products", product("cup", "shop"))
    one = await bought(admin, "o1", 100)
    two = await bought(admin, "o2", 100, status="pending")
    three = await bought(admin, "o2", 100, pid="cup")
    for query, expected in (
        ("", [three, two, one]),
        ("order_id=o2&merchant=shop", [three, two]),
        ("order_id=none", []),
        ("merchant=none", []),
        ("product=cup", [three]),
        ("status=pending", [two]),
        ("promoter=bob", [two, one]),
    ):
        found = [item["id"] for item in (await admin.get(f"/v1/conversions?{query}"))["items"]]
        assert found == expected, query
    page = await admin.get("/v1/conversions?limit=2")
    rest = await admin.get(f"/v1/conversions?limit=2&cursor={page['next']}")
    assert [item["id"] for item in page["items"] + rest["items"]] == [three, two, one]


async def test_a_pending_order_is_approved_and_a_rejected_one_is_final(admin: Admin) -> None:
    id = await bought(admin, "o1", 10_000, status="pending")
    path = f"/v1/conversions/{id}"
    status, approved = await admin.call("POST", f"{path}/approve", {"reason": "checked"})
    assert (status, approved["status"]) == (200, "approved")
    status, rejected = await admin.call("POST", f"{path}/reject", {"reason": "fraud"})
    assert (status, rejected["status"]) == (200, "rejected")
    assert {credit["amount"] for credit in rejected["credits"]} == {"0.00"}
    assert await pending(admin, "ann") == "0.00"
    status, problem = await admin.call("POST", f"{path}/approve", {"reason": "again"})
    assert (status, problem["code"]) == (409, "final_status")
    actions = [entry["action"] for entry in (await admin.get("/v1/audit?limit=2"))["items"]]
    assert actions == ["conversion.reject", "conversion.approve"]


async def test_a_partial_refund_is_named_by_its_key(admin: Admin) -> None:
    id = await bought(admin, "o1", 10_000)
    path = f"/v1/conversions/{id}/refund"
    part = {"amount": "40.00", "reason": "broken"}
    first = await admin.call("POST", path, part, key="r1")
    assert (first[0], first[1]["refunded"], first[1]["status"]) == (200, "40.00", "approved")
    assert await admin.call("POST", path, part, key="r1") == first
    assert await pending(admin, "ann") == "3.00"
    assert (await admin.get("/v1/reports/summary"))["sales"] == "60.00"
    status, whole = await admin.call("POST", path, {"reason": "all"})
    assert (status, whole["refunded"], whole["status"]) == (200, "100.00", "refunded")
    assert (await pending(admin, "ann"), await pending(admin, "bob")) == ("0.00", "0.00")


async def test_partial_refunds_without_a_key_are_each_their_own(admin: Admin) -> None:
    id = await bought(admin, "o1", 10_000)
    refunded = []
    for amount in ("40.00", "40.00", "30.00"):
        status, answer = await admin.call(
            "POST", f"/v1/conversions/{id}/refund", {"amount": amount, "reason": "broken"}
        )
        refunded.append((status, answer["refunded"], answer["status"]))
    assert refunded == [(200, "40.00", "approved"), (200, "80.00", "approved"), (200, "100.00", "refunded")]
    assert (await pending(admin, "ann"), await pending(admin, "bob")) == ("0.00", "0.00")


async def test_a_decision_that_is_malformed_is_refused(admin: Admin) -> None:
    id = await bought(admin, "o1", 10_000)
    path = f"/v1/conversions/{id}"
    for action, body, code in (
        ("refund", {"amount": "1.001", "reason": "r"}, "bad_amount"),
        ("refund", {"amount": "x", "reason": "r"}, "bad_body"),
        ("refund", {"amount": "1.00"}, "bad_body"),
        ("approve", {}, "bad_body"),
        ("approve", {"reason": "r", "amount": "1.00"}, "bad_body"),
    ):
        status, problem = await admin.call("POST", f"{path}/{action}", body, key=f"{action}{body}")
        assert problem["code"] == code
        assert status in (400, 422)
    status, problem = await admin.call("POST", f"/v1/conversions/{'0' * 32}/approve", {"reason": "r"})
    assert (status, problem["code"]) == (404, "unknown_conversion")


async def test_a_click_tells_whether_it_counts(admin: Admin) -> None:
    good = click("ann")
    bot = click("ann", counted=False, bot=True, reason="bot")
    embedded = click("ann", embedded=True)
    await admin.record([good, bot, embedded])

    async def known() -> bool:
        return bool((await admin.call("GET", f"/v1/clicks/{embedded['id']}"))[0] == 200)

    await eventually(known, "the click")
    found = await admin.get(f"/v1/clicks/{good['id'].upper()}")
    assert (found["click_id"], found["counted"], found["reason"], found["promoter"]) == (good["id"], True, "", "ann")
    found = await admin.get(f"/v1/clicks/{bot['id']}")
    assert (found["counted"], found["reason"], found["bot"]) == (False, "bot", True)
    found = await admin.get(f"/v1/clicks/{embedded['id']}")
    assert (found["counted"], found["reason"], found["embedded"]) == (False, "embedded", True)


async def test_an_order_without_a_touch_pays_nobody(admin: Admin) -> None:
    id = await admin.order(oid="o1", amount=100)
    conversion = await admin.get(f"/v1/conversions/{id}")
    assert (conversion["credits"], conversion["reason"]) == ([], "no_touch")
    sent = order(oid="o1", amount=200)
    await admin.record([sent])

    async def settled() -> bool:
        return bool((await admin.get(f"/v1/events/{sent['id']}"))["status"] != "waiting")

    await eventually(settled, "the repeat")
    assert (await admin.get(f"/v1/events/{sent['id']}"))["code"] == "amount_conflict"


async def test_a_report_that_cannot_be_made_is_refused(admin: Admin) -> None:
    for query, expected, code in (
        ("tz=Mars/Olympus", 400, "bad_parameter"),
        ("group_by=colour", 400, "bad_parameter"),
        ("promotor=ann", 400, "bad_parameter"),
        ("from=yesterday", 400, "bad_range"),
        ("from=2026-03-02&to=2026-03-01", 422, "empty_period"),
    ):
        status, problem = await admin.call("GET", f"/v1/reports/summary?{query}")
        assert (status, problem["code"]) == (expected, code), query
