"""New promoters: invited by a code, approved by an admin."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from admin_support import Admin, Json, serving

from tuike import _core


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with serving(tmp_path / "data") as admin:
        await admin.post("/v1/promoters", {"id": "bob", "name": "Bob"})
        yield admin


def wish(promoter: str, invite: str = "spring") -> Json:
    return {"invite": invite, "promoter": promoter, "name": promoter.title(), "note": "I write about tea"}


async def apply(admin: Admin, promoter: str, invite: str = "spring") -> tuple[int, Json]:
    return await admin.call("POST", "/v1/applications", wish(promoter, invite), token=None)


def journalled(admin: Admin) -> int:
    """Events that the API has written."""
    found = _core.incarnations(str(admin.data.journal))
    return sum(1 for producer, _, path in found if producer == "admin" for _ in _core.JournalReader(path))


async def test_who_is_invited_applies_and_becomes_a_promoter_under_the_one_who_invited(admin: Admin) -> None:
    await admin.post("/v1/invites", {"code": "spring", "parent": "bob", "uses": 2})
    status, sent = await apply(admin, "ann")
    assert (status, sent["status"]) == (201, "waiting")
    assert (await admin.call("GET", "/v1/promoters/ann"))[0] == 404
    assert [one["id"] for one in (await admin.get("/v1/applications?status=waiting"))["items"]] == [sent["id"]]
    approved = await admin.post(f"/v1/applications/{sent['id']}/approve", None)
    assert approved["status"] == "approved"
    assert (await admin.get("/v1/promoters/ann"))["parent"] == "bob"
    asked = await admin.get(f"/v1/applications/{sent['id']}/status", token=None)
    assert asked == {"id": sent["id"], "promoter": "ann", "status": "approved", "reason": ""}
    again, problem = await admin.call("POST", f"/v1/applications/{sent['id']}/approve")
    assert (again, problem["code"]) == (409, "decided")


async def test_a_rejection_has_its_reason_and_makes_nobody(admin: Admin) -> None:
    await admin.post("/v1/invites", {"code": "spring"})
    _, sent = await apply(admin, "ann")
    await admin.post(f"/v1/applications/{sent['id']}/reject", {"reason": "no tea"})
    assert (await admin.get(f"/v1/applications/{sent['id']}/status", token=None))["reason"] == "no tea"
    assert (await admin.call("GET", "/v1/promoters/ann"))[0] == 404


async def test_an_invitation_is_worth_its_uses_and_its_time(admin: Admin) -> None:
    await admin.post("/v1/invites", {"code": "spring", "uses": 1})
    await admin.post("/v1/invites", {"code": "past", "expires": "2020-01-01T00:00:00Z"})
    assert (await apply(admin, "ann"))[0] == 201
    for promoter, invite in (("kim", "spring"), ("kim", "past"), ("kim", "nobody-s")):
        status, problem = await apply(admin, promoter, invite)
        assert (status, problem["code"]) == (404, "not_found"), invite


async def test_a_code_that_is_taken_or_wanted_already_is_refused(admin: Admin) -> None:
    await admin.post("/v1/invites", {"code": "spring", "uses": 9})
    assert (await apply(admin, "ann"))[0] == 201
    for promoter in ("ann", "bob"):
        status, problem = await apply(admin, promoter)
        assert (status, problem["code"]) == (409, "taken")
    assert (await admin.get("/v1/invites"))["items"][0]["uses"] == 8


async def test_what_costs_an_invitation_nothing_is_not_journalled(admin: Admin) -> None:
    await admin.post("/v1/invites", {"code": "spring", "uses": 9})
    key = "once"
    first = await admin.call("POST", "/v1/applications", wish("ann"), token=None, key=key)
    assert first[0] == 201
    before = journalled(admin)
    assert await admin.call("POST", "/v1/applications", wish("ann"), token=None, key=key) == first
    status, problem = await admin.call("POST", "/v1/applications", wish("kim"), token=None, key=key)
    assert (status, problem["code"]) == (422, "idempotency_conflict")
    assert [(await apply(admin, promoter))[0] for promoter in ("ann", "bob")] == [409, 409]
    assert journalled(admin) == before


async def test_an_idempotency_key_fits_into_the_books_beside_the_longest_invitation(admin: Admin) -> None:
    code = "s" * 64
    await admin.post("/v1/invites", {"code": code})
    for length, expected in ((185, 400), (184, 201)):
        key = "k" * length
        body = wish("ann", code)
        assert (await admin.call("POST", "/v1/applications", body, token=None, key=key))[0] == expected


async def test_only_an_admin_invites_and_decides(admin: Admin) -> None:
    viewer, bob = await admin.token("viewer"), await admin.token("promoter:bob")
    assert (await admin.call("POST", "/v1/invites", {"code": "x"}, token=viewer))[0] == 403
    assert (await admin.call("POST", "/v1/invites", {"code": "x"}, token=bob))[0] == 404
    assert (await admin.call("GET", "/v1/applications", token=bob))[0] == 404
