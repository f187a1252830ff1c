"""Why an order pays whom: every touch with its reason, the rule, the arithmetic, what came after."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from admin_support import LEVELS, TEN_PERCENT, Admin, click, now_ms, product, serving

HOUR = 3_600_000
VISITOR = f"{7:032x}"


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with serving(tmp_path / "data") as admin:
        await admin.shop(LEVELS)
        yield admin


async def why(admin: Admin, id: str, **more: Any) -> dict[str, Any]:
    return await admin.get(f"/v1/conversions/{id}/why", **more)


def verdicts(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["promoter"], one["code"]) for one in document["candidates"]]


async def two_touches(admin: Admin) -> None:
    """Carol's click, then ann's, of one visitor; the product shares linearly, by rules of their own."""
    overrides = [{"promoter": "carol", "value": "20.0"}, {"promoter": "ann", "value": "5.0"}]
    await admin.post("/v1/promoters", {"id": "carol", "name": "Carol", "parent": "bob"})
    rule = TEN_PERCENT | {"overrides": overrides}
    await admin.post("/v1/products", product("cup", "shop", rule, attribution={"model": "linear"}))
    at = now_ms()
    await admin.record([click(who, at=at - ago * HOUR, visitor=VISITOR) for who, ago in (("carol", 2), ("ann", 1))])


async def test_why_shows_the_touch_that_counts_the_rule_and_the_split(admin: Admin) -> None:
    sent = click("ann", channel="wechat")
    await admin.record([sent])
    shown = await why(admin, await admin.order(oid="o1", amount=10_000, click=sent["id"]))
    assert (shown["found_by"], shown["pool"], shown["reason"]) == ("click", "10.00", "")
    assert (shown["rule"]["version"], shown["rule"]["commission"]) == (1, LEVELS)
    (touch,) = shown["candidates"]
    assert (touch["id"], touch["promoter"], touch["counted"], touch["why"]) == (sent["id"], "ann", True, "it counts")
    (split,) = shown["split"]
    assert split["rates"] == [{"amount": "100.00", "percent": "10"}]
    assert (split["base"], split["multiplier"], split["pool"], split["platform"]) == ("10.00", "1", "10.00", "2.00")
    assert [(one["promoter"], one["code"], one["amount"]) for one in split["levels"]] == [
        ("ann", "", "5.00"),
        ("bob", "", "3.00"),
    ]
    assert (shown["refunds"], shown["second_look"], shown["released"]) == ([], None, False)
    assert shown["due"] is not None


async def test_the_arithmetic_of_several_credits_comes_to_the_pool(admin: Admin) -> None:
    await two_touches(admin)
    shown = await why(admin, await admin.order(oid="o1", amount=9_999, pid="cup", visitor=VISITOR))
    assert [(one["promoter"], one["weight"], one["override"], one["pool"]) for one in shown["split"]] == [
        ("carol", 0.5, "promoter", "20.00"),
        ("ann", 0.5, "promoter", "5.00"),
    ]
    assert sum(Decimal(one["part"]) for one in shown["split"]) == Decimal(shown["pool"]) == Decimal("12.50")


async def test_why_says_in_words_what_did_not_count(admin: Admin) -> None:
    sent = click("ann") | {"counted": False, "reason": "bot", "bot": True}
    await admin.record([sent])
    shown = await why(admin, await admin.order(oid="o1", amount=10_000, click=sent["id"]))
    assert (shown["reason"], shown["split"], shown["pool"], shown["rule"]) == ("no_touch", [], None, None)
    assert "nobody is credited" in shown["why"]
    assert [(one["code"], one["why"]) for one in shown["candidates"]] == [("bot", "a bot")]


async def test_why_says_which_levels_were_not_paid(admin: Admin) -> None:
    levels = [{"level": level, "share": "20"} for level in (1, 2, 3)]
    await admin.post("/v1/products", product("cup", "shop", TEN_PERCENT | {"levels": levels}))
    await admin.call("PATCH", "/v1/promoters/bob", {"status": "blocked"})
    shown = await why(admin, await admin.order(oid="o1", amount=10_000, pid="cup", aff="ann"))
    assert [(one["promoter"], one["paid"], one["code"], one["amount"]) for one in shown["split"][0]["levels"]] == [
        ("ann", True, "", "2.00"),
        ("bob", False, "blocked_promoter", "0.00"),
        ("", False, "missing", "0.00"),
    ]


async def test_why_names_the_click_that_bound_the_customer(admin: Admin) -> None:
    await admin.post("/v1/products", product("cup", "shop", attribution={"binding": "first"}))
    at = now_ms()
    bound = click("bob", at=at - 90 * 24 * HOUR, visitor=VISITOR, binds=True, pid="cup")
    await admin.record([bound, click("ann", at=at - HOUR, visitor=VISITOR)])
    id = await admin.order(oid="o1", amount=10_000, pid="cup", visitor=VISITOR)
    shown = await why(admin, id)
    assert (shown["found_by"], shown["bound"], shown["binding"]["id"]) == ("binding", "bob", bound["id"])
    assert verdicts(shown) == [("bob", ""), ("ann", "bound")]


async def test_why_shows_refunds_and_what_is_left(admin: Admin) -> None:
    id = await admin.order(oid="o1", amount=10_000, aff="ann")
    await admin.post(f"/v1/conversions/{id}/refund", {"amount": "40.00", "reason": "broken"}, key="r1")
    shown = await why(admin, id)
    assert (shown["refunded"], [one["amount"] for one in shown["refunds"]]) == ("40.00", ["40.00"])
    level = shown["split"][0]["levels"][0]
    assert (level["amount"], level["stands_at"]) == ("5.00", "3.00")
    steps = [item["id"] for item in (await admin.get(f"/v1/ledger/transfers?conversion={id}"))["items"]]
    assert any(step.endswith(shown["refunds"][0]["step"]) for step in steps)


async def test_a_claim_says_that_it_is_held(admin: Admin) -> None:
    id = await admin.order(kind="claim", source="pixel", oid="o1", amount=10_000, visitor=VISITOR)
    shown = await why(admin, id)
    assert (shown["reason"], shown["claims"], shown["candidates"]) == ("pixel", 1, [])
    assert shown["why"].startswith("held")


async def test_a_merchant_sees_the_own_orders_whole(admin: Admin) -> None:
    id = await admin.order(oid="o1", amount=10_000, aff="ann")
    await admin.post("/v1/merchants", {"id": "other", "name": "Other", "currency": "CNY"})
    assert await why(admin, id, token=await admin.token("merchant:shop")) == await why(admin, id)
    status, _ = await admin.call("GET", f"/v1/conversions/{id}/why", token=await admin.token("merchant:other"))
    assert status == 404


async def test_a_promoter_sees_the_own_touches_and_credit_and_others_as_counts(admin: Admin) -> None:
    await two_touches(admin)
    id = await admin.order(oid="o1", amount=10_000, pid="cup", visitor=VISITOR)
    shown = await why(admin, id, token=await admin.token("promoter:ann"))
    assert (verdicts(shown), shown["other_candidates"], shown["others"]) == ([("ann", "")], 1, 1)
    assert [one["promoter"] for one in shown["split"]] == ["ann"]
    assert (shown["pool"], shown["split"][0]["pool"]) == (None, "5.00")
    assert shown["rule"]["commission"]["overrides"] == [{"promoter": "ann", "value": "5.0"}]
    assert "carol" not in repr(shown)


async def test_a_promoter_above_sees_the_own_level_alone(admin: Admin) -> None:
    id = await admin.order(oid="o1", amount=10_000, aff="ann")
    shown = await why(admin, id, token=await admin.token("promoter:bob"))
    (split,) = shown["split"]
    assert (split["promoter"], "base" in split) == ("", False)
    assert [(one["level"], one["promoter"], one["amount"]) for one in split["levels"]] == [(2, "bob", "3.00")]
    assert "'ann'" not in repr(shown)
    below = (await why(admin, id, token=await admin.token("promoter:ann")))["split"][0]["levels"]
    assert below[1] == {"level": 2, "promoter": ""}


async def test_a_stranger_is_told_that_there_is_no_such_order(admin: Admin) -> None:
    id = await admin.order(oid="o1", amount=10_000, aff="ann")
    await admin.post("/v1/promoters", {"id": "kim", "name": "Kim"})
    for role, path in (("promoter:kim", id), ("viewer", "0" * 32)):
        status, _ = await admin.call("GET", f"/v1/conversions/{path}/why", token=await admin.token(role))
        assert status == 404
