"""How a write is answered: once, by its outcome, when every live edge works with it, or with a 202."""

import asyncio
from pathlib import Path

import pytest
from admin_support import Admin, event_id, keeping_books, now_ms, order, serving

from tuike import _core
from tuike.admin.routes import Service
from waiting import eventually

MERCHANT = {"id": "shop", "name": "Shop", "currency": "CNY"}
EDGE = 0x0E


async def test_a_repeat_under_the_same_key_is_answered_as_the_first_time(admin: Admin) -> None:
    first = await admin.call("POST", "/v1/merchants", MERCHANT, key="once")
    assert first[0] == 201
    assert await admin.call("POST", "/v1/merchants", MERCHANT, key="once") == first
    token = await admin.call("POST", "/v1/tokens", {"role": "viewer"}, key="t")
    assert await admin.call("POST", "/v1/tokens", {"role": "viewer"}, key="t") == token
    assert len((await admin.get("/v1/tokens"))["items"]) == 1


async def test_of_many_repeats_at_once_one_is_applied(admin: Admin) -> None:
    answers = await asyncio.gather(*(admin.call("POST", "/v1/tokens", {"role": "viewer"}, key="k") for _ in range(10)))
    assert {status for status, _ in answers} == {201}
    assert len({answer["token"] for _, answer in answers}) == 1
    assert len((await admin.get("/v1/tokens"))["items"]) == 1


async def test_a_key_with_another_request_is_a_conflict(admin: Admin) -> None:
    await admin.post("/v1/merchants", MERCHANT, key="k")
    for path, body in (("merchants", MERCHANT | {"name": "Other"}), ("tokens", {"role": "viewer"})):
        status, problem = await admin.call("POST", f"/v1/{path}", body, key="k")
        assert (status, problem["code"]) == (422, "idempotency_conflict")


async def test_keys_are_each_actors_own(admin: Admin) -> None:
    token = await admin.token("admin")
    await admin.post("/v1/merchants", MERCHANT, key="k")
    status, _ = await admin.call("POST", "/v1/merchants", MERCHANT | {"id": "two"}, key="k", token=token)
    assert status == 201


async def test_a_refusal_is_repeated_too(admin: Admin) -> None:
    body = {"id": "tea", "merchant": "shop", "name": "Tea", "url": "https://shop.example/", "commission": {}}
    first = await admin.call("POST", "/v1/products", body, key="k")
    assert first[0] == 422
    await admin.post("/v1/merchants", MERCHANT)
    assert await admin.call("POST", "/v1/products", body, key="k") == first


async def test_writes_at_once_are_all_answered(admin: Admin) -> None:
    answers = await asyncio.gather(
        *(admin.call("POST", "/v1/promoters", {"id": f"p{n}", "name": "P"}) for n in range(200))
    )
    assert {status for status, _ in answers} == {201}


async def test_without_a_processor_a_write_is_accepted_and_applied_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data"
    async with serving(path):
        pass
    monkeypatch.setattr("tuike.admin.writes.OUTCOME_SECONDS", 0.3)
    async with serving(path, books=False) as admin:
        status, accepted = await admin.call("POST", "/v1/merchants", MERCHANT)
        assert status == 202
        assert len(accepted["secret"]) == 64
        event = f"/v1/events/{accepted['event_id']}"
        assert (await admin.get(event))["status"] == "waiting"
        async with keeping_books(admin.data):

            async def applied() -> bool:
                return bool((await admin.get(event))["status"] == "applied")

            await eventually(applied, "the write")
        assert (await admin.get(event))["result"]["id"] == "shop"
        await admin.get("/v1/merchants/shop")


async def test_an_instance_whose_books_are_not_there_yet_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", books=False) as admin:
        status, problem = await admin.call("GET", "/v1/merchants")
        assert (status, problem["code"]) == (503, "books_unavailable")
        status, problem = await admin.call("GET", f"/v1/clicks/{'0' * 32}")
        assert (status, problem["code"]) == (503, "processor_unavailable")
        assert (await admin.text("/healthz"))[0] == 200


async def test_a_registry_write_is_answered_when_every_live_edge_has_it(admin: Admin) -> None:
    edges = [_core.Writer(str(admin.data.journal), f"edge-{n}", EDGE + n) for n in range(2)]
    versions = [0, 0]

    def tick() -> None:
        for edge, version in zip(edges, versions, strict=True):
            edge.tick(now_ms(), version)

    tick()
    write = asyncio.create_task(admin.call("POST", "/v1/merchants", MERCHANT))
    await eventually(lambda: _has(admin, "shop"), "the merchant in the books")
    versions[0] = 1
    tick()
    await asyncio.sleep(0.1)
    assert not write.done()
    versions[1] = 1
    tick()
    assert (await write)[0] == 201
    for edge in edges:
        edge.close(now_ms())


async def test_an_edge_that_stands_still_holds_nobody_up_for_long(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuike.admin.writes.EDGES_SECONDS", 0.2)
    edge = _core.Writer(str(admin.data.journal), "edge-0", EDGE)
    edge.tick(now_ms(), 0)
    assert (await admin.call("POST", "/v1/merchants", MERCHANT))[0] == 201
    edge.close(now_ms())


async def test_an_event_waits_until_the_watermark_has_passed_it(admin: Admin) -> None:
    await admin.shop()
    edge = _core.Writer(str(admin.data.journal), "edge-0", EDGE)
    edge.tick(now_ms(), 100)
    sent = order(oid="1", amount=100)
    await admin.record([sent])
    path = f"/v1/events/{sent['id']}"
    assert (await admin.get(path))["status"] == "waiting"
    edge.tick(now_ms() + 1, 100)

    async def applied() -> bool:
        return bool((await admin.get(path))["status"] == "applied")

    await eventually(applied, "the order")
    edge.close(now_ms())


async def test_an_event_that_is_booked_while_it_is_asked_for_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a long stop: the watermark passes the event in one leap, between the looks at the books and at it."""
    asked = Service.watermark
    at = now_ms() - 15_000
    sent = order(oid="1", amount=100, at=at, received=at, id=event_id(at))

    async def leaps(service: Service) -> int:
        edge.tick(now_ms(), 100)

        async def passed() -> bool:
            return await asked(service) > at + 10_000

        await eventually(passed, "the watermark")
        return await asked(service)

    async with serving(tmp_path / "data", books=False) as admin:
        edge = _core.Writer(str(admin.data.journal), "edge-0", EDGE)
        edge.tick(at - 1, 100)
        async with keeping_books(admin.data):
            await admin.shop()
            await admin.record([sent])
            assert (await admin.get(f"/v1/events/{sent['id']}"))["status"] == "waiting"
            monkeypatch.setattr(Service, "watermark", leaps)
            assert (await admin.get(f"/v1/events/{sent['id']}"))["status"] == "applied"
        edge.close(now_ms())


async def test_an_id_of_another_time_never_was(admin: Admin) -> None:
    async def running() -> bool:
        return await admin.service.watermark() > 0

    await eventually(running, "a watermark")
    for at in (now_ms() - 60_000, now_ms() + 60_000, 0):
        assert (await admin.call("GET", f"/v1/events/{event_id(at)}"))[0] == 404


async def _has(admin: Admin, merchant: str) -> bool:
    return bool((await admin.call("GET", f"/v1/merchants/{merchant}"))[0] == 200)
