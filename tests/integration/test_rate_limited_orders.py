"""What came above a rate limit, in the books: it is held for a person, and nothing of it is lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from admin_support import Admin, click, serving

LIMITED = {"reason": "rate_limited"}


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with serving(tmp_path / "data") as admin:
        await admin.shop()
        yield admin


async def test_an_order_that_only_limited_clicks_lead_to_is_held_until_it_is_approved(admin: Admin) -> None:
    hit = click("ann", counted=False, **LIMITED)
    await admin.record([hit])
    id = await admin.order(oid="1", amount=10_000, click=hit["id"])
    held = await admin.get(f"/v1/conversions/{id}")
    assert (held["status"], held["reason"], held["credits"]) == ("pending", "rate_limited", [])
    assert (await admin.get(f"/v1/clicks/{hit['id']}"))["reason"] == "rate_limited"
    # the merchant's own word again releases nothing
    assert await admin.order(oid="1", amount=10_000, click=hit["id"]) == id
    assert (await admin.get(f"/v1/conversions/{id}"))["status"] == "pending"
    await admin.post(f"/v1/conversions/{id}/approve", {"reason": "a trade fair behind one address"})
    booked = await admin.get(f"/v1/conversions/{id}")
    assert (booked["status"], booked["reason"]) == ("approved", "")
    assert [(credit["promoter"], credit["amount"]) for credit in booked["credits"]] == [("ann", "10.00")]


async def test_a_limited_click_counts_for_nothing_beside_one_that_counts(admin: Admin) -> None:
    visitor = "ab" * 16
    honest = click("bob", visitor=visitor)
    flood = click("ann", visitor=visitor, at=honest["at"] + 1, counted=False, **LIMITED)
    await admin.record([honest, flood])
    id = await admin.order(oid="1", amount=10_000, visitor=visitor)
    found = await admin.get(f"/v1/conversions/{id}")
    assert (found["status"], [credit["promoter"] for credit in found["credits"]]) == ("approved", ["bob"])
    why = await admin.get(f"/v1/conversions/{id}/why")
    assert "rate_limited" in str(why)


async def test_an_order_above_its_merchants_limit_is_held_and_one_with_that_number_later_stays_so(admin: Admin) -> None:
    hit = click("ann")
    await admin.record([hit])
    id = await admin.order(oid="1", amount=10_000, click=hit["id"], counted=True, **LIMITED)
    held = await admin.get(f"/v1/conversions/{id}")
    assert (held["status"], held["reason"], held["credits"]) == ("pending", "rate_limited", [])
    await admin.order(oid="1", amount=10_000, click=hit["id"], counted=True)
    assert (await admin.get(f"/v1/conversions/{id}"))["status"] == "pending"
    await admin.post(f"/v1/conversions/{id}/reject", {"reason": "flood"})
    assert (await admin.get("/v1/promoters/ann/balance"))["items"] == []


async def test_a_limited_claim_that_is_approved_still_names_no_promoter(admin: Admin) -> None:
    patch = {"pixel_conversions": "accept"}
    assert (await admin.call("PATCH", "/v1/products/tea", patch))[0] == 200
    fields = {"kind": "claim", "source": "pixel", "oid": "1", "amount": 10_000, "aff": "ann"}
    id = await admin.order(**fields, counted=True, **LIMITED)
    assert (await admin.get(f"/v1/conversions/{id}"))["reason"] == "rate_limited"
    await admin.post(f"/v1/conversions/{id}/approve", {"reason": "test"})
    booked = await admin.get(f"/v1/conversions/{id}")
    assert (booked["status"], booked["reason"], booked["credits"]) == ("approved", "no_touch", [])
