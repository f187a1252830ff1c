"""Why an order pays whom: every touch with its reason, the rule, the arithmetic."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from admin_support import LEVELS, Admin, click, serving

from tuike.admin.why_answers import Why


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with serving(tmp_path / "data") as admin:
        await admin.shop(LEVELS)
        yield admin


async def test_why_shows_the_touch_that_counts_the_rule_and_the_split(admin: Admin) -> None:
    sent = click("ann", channel="wechat")
    await admin.record([sent])
    id = await admin.order(oid="o1", amount=10_000, click=sent["id"])
    why = await admin.get(f"/v1/conversions/{id}/why")
    msgspec.convert(why, Why)
    assert (why["found_by"], why["pool"], why["rule"]["version"]) == ("click", "10.00", 1)
    assert [(one["promoter"], one["counted"], one["code"], one["weight"]) for one in why["candidates"]] == [
        ("ann", True, "", 1.0)
    ]
    (split,) = why["split"]
    assert (split["promoter"], split["base"], split["pool"], split["platform"]) == ("ann", "10.00", "10.00", "2.00")
    assert [(one["promoter"], one["paid"], one["stands_at"]) for one in split["levels"][:2]] == [
        ("ann", True, "5.00"),
        ("bob", True, "3.00"),
    ]


async def test_why_says_in_words_what_did_not_count(admin: Admin) -> None:
    sent = click("ann") | {"counted": False, "reason": "bot", "bot": True}
    await admin.record([sent])
    id = await admin.order(oid="o1", amount=10_000, click=sent["id"])
    why = await admin.get(f"/v1/conversions/{id}/why")
    assert (why["reason"], why["split"], why["pool"]) == ("no_touch", [], None)
    assert [(one["code"], one["why"]) for one in why["candidates"]] == [("bot", "a bot")]


async def test_a_promoter_sees_others_as_counts(admin: Admin) -> None:
    sent = click("ann")
    await admin.record([sent])
    id = await admin.order(oid="o1", amount=10_000, click=sent["id"])
    token = await admin.token("promoter:bob")
    why = await admin.get(f"/v1/conversions/{id}/why", token=token)
    msgspec.convert(why, Why)
    assert (why["candidates"], why["other_candidates"], why["split"], why["others"]) == ([], 1, [], 1)
    await admin.post("/v1/promoters", {"id": "stranger", "name": "Stranger", "kind": "member"})
    stranger = await admin.token("promoter:stranger")
    status, _ = await admin.call("GET", f"/v1/conversions/{id}/why", token=stranger)
    assert status == 404
