"""Access and erasure of a visitor or customer: what is told, what is left, and that the books stay what they were."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from admin_support import Admin, click, now_ms, order, serving
from sqlalchemy import select

from tuike.data import Data
from tuike.replay import replay
from tuike.replay.attribution import attribution
from tuike.stores import engine
from tuike.stores.schema import accounts
from tuike.verify import verify
from waiting import eventually

Json = dict[str, Any]
EXTRA = {"fingerprint": secrets.token_hex(16), "address": secrets.token_hex(16), "prefix": "192.0.2.0/24"}
PATH_RESET = {"attribution": {"model": "last", "window_days": 30, "path_reset": True, "binding": "first"}}


async def erase(admin: Admin, path: str) -> Json:
    """Asks, and waits until it is done."""
    status, asked = await admin.call("DELETE", path)
    assert status == 200, asked

    async def done() -> bool:
        return bool((await admin.get(f"/v1/erasures/{asked['id']}"))["state"] == "done")

    await eventually(done, "the erasure to be done")
    return await admin.get(f"/v1/erasures/{asked['id']}")


def balances(data: Data) -> list[Any]:
    books = engine.open_reader(data.database)
    with books.begin() as connection:
        found = connection.execute(select(accounts).order_by(accounts.c.name)).all()
    books.dispose()
    return [tuple(row) for row in found]


def proves(data: Data) -> None:
    for report in (verify(data), replay(data, 3), attribution(data, 3)):
        assert report.fault is None, report.text()


def holds(data: Data, *needles: bytes) -> list[tuple[str, bytes]]:
    """Which files of the directory, the touch store's aside, have one of these."""
    return [
        (str(path.relative_to(data.root)), needle)
        for path in sorted(data.root.rglob("*"))
        if path.is_file() and data.touches not in path.parents
        for needle in needles
        if needle in path.read_bytes()
    ]


@contextlib.asynccontextmanager
async def visited(path: Path, visitor: str, other: str) -> AsyncIterator[Admin]:
    """A shop where two people came and bought."""
    async with serving(path) as admin:
        await admin.shop(**PATH_RESET)
        mine = {"visitor": visitor, "cust": "carla-7788", "did": "phone-of-carla", "binds": True, **EXTRA}
        await admin.record([click("ann", **mine), click("bob", **mine), click("ann", visitor=other, cust="dora")])
        await admin.order(oid="o-1", amount=10_000, visitor=visitor, cust="carla-7788")
        await admin.order(oid="o-2", amount=20_000, cust="carla-7788")
        await admin.order(oid="o-3", amount=30_000, visitor=other)
        yield admin


async def test_a_visitor_is_shown_whole_and_erased_wholly_and_the_money_stays(tmp_path: Path) -> None:
    visitor, other = secrets.token_hex(16), secrets.token_hex(16)
    async with visited(tmp_path / "data", visitor, other) as admin:
        told = await admin.get(f"/v1/visitors/{visitor}/export")
        assert [event["kind"] for event in told["events"]] == ["click", "click", "order"]
        assert told["events"][0] | EXTRA == told["events"][0]
        assert [one["order_id"] for one in told["orders"]] == ["o-1"]
        assert told["whole"] and len(told["path_ends"]) == 1
        assert told["also_known_as"]["customers"] == [{"merchant": "shop", "cust": "carla-7788"}]
        before = balances(admin.data)
        done = await erase(admin, f"/v1/visitors/{visitor}")
        assert (done["touches"], done["orders"]) == (2, 1)
        empty = await admin.get(f"/v1/visitors/{visitor}/export")
        assert not (empty["events"] or empty["orders"] or empty["path_ends"])
        assert (await admin.get(f"/v1/visitors/{other}/export"))["events"], "another stays"
        left = await admin.get("/v1/visitors/carla-7788/export?merchant=shop")
        assert [one["order_id"] for one in left["orders"]] == ["o-2"], "an order that named the customer alone stays"
        assert balances(admin.data) == before
        proves(admin.data)
        twice = await erase(admin, f"/v1/visitors/{visitor}")
        assert (twice["touches"], twice["orders"]) == (0, 0)
        proves(admin.data)
    proves(admin.data)


async def test_a_customer_is_erased_with_visitor_and_device_wherever_its_merchant_named_it(tmp_path: Path) -> None:
    visitor, other = secrets.token_hex(16), secrets.token_hex(16)
    async with visited(tmp_path / "data", visitor, other) as admin:
        before = balances(admin.data)
        done = await erase(admin, "/v1/visitors/carla-7788?merchant=shop")
        assert (done["touches"], done["orders"]) == (2, 2)
        assert balances(admin.data) == before
        proves(admin.data)
        data = admin.data
    # the books' own journal is ended now, and the last of it is written again at the next start
    proves(data)
    async with serving(data.root) as admin:
        await erase(admin, f"/v1/visitors/{secrets.token_hex(16)}")
        proves(data)
    needles = [b"carla-7788", b"phone-of-carla", visitor.encode(), bytes.fromhex(visitor)]
    assert holds(data, *needles) == []
    assert holds(data, other.encode(), bytes.fromhex(other)), "it is looked for rightly"


async def test_what_comes_after_the_erasure_is_somebody_new(tmp_path: Path) -> None:
    visitor, other = secrets.token_hex(16), secrets.token_hex(16)
    async with visited(tmp_path / "data", visitor, other) as admin:
        await erase(admin, f"/v1/visitors/{visitor}")
        await admin.record([click("bob", visitor=visitor)])
        conversion = await admin.order(oid="o-9", amount=10_000, visitor=visitor)
        credits = (await admin.get(f"/v1/conversions/{conversion}"))["credits"]
        assert {credit["via"] for credit in credits} - {""} == {"bob"}
        told = await admin.get(f"/v1/visitors/{visitor}/export")
        assert [event["kind"] for event in told["events"]] == ["click", "order"]
        proves(admin.data)


async def test_a_refund_that_waits_is_rewritten_too_and_still_finds_its_order(tmp_path: Path) -> None:
    visitor, other = secrets.token_hex(16), secrets.token_hex(16)
    async with visited(tmp_path / "data", visitor, other) as admin:
        refund = order(oid="o-7", status="refunded", visitor=visitor, cust="carla-7788")
        await admin.record([refund])

        async def waits() -> bool:
            return bool((await admin.get(f"/v1/visitors/{visitor}/export"))["waiting_refunds"])

        await eventually(waits, "the refund to wait")
        await erase(admin, f"/v1/visitors/{visitor}")
        assert not (await admin.get(f"/v1/visitors/{visitor}/export"))["waiting_refunds"]
        proves(admin.data)
        await admin.order(oid="o-7", amount=5_000)
        assert (await admin.get("/v1/conversions?order_id=o-7"))["items"][0]["status"] == "refunded"
        proves(admin.data)


async def test_what_flags_showed_of_the_person_goes_and_their_decisions_stay(tmp_path: Path) -> None:
    visitor, other = secrets.token_hex(16), secrets.token_hex(16)
    mine = {"prefix": EXTRA["prefix"], "referrer": "https://blog.example/é", "at": now_ms() - 60_000}
    async with serving(tmp_path / "data") as admin:
        await admin.shop(fraud={})
        await admin.call("PUT", "/v1/fraud/networks/clouds", {"networks": [EXTRA["prefix"]]})
        hits = [click("ann", visitor=who, **mine) for who in (visitor, visitor, other)]
        await admin.record(hits)
        for n, hit in enumerate(hits):
            await admin.order(oid=f"o-{n}", amount=10_000, click=hit["id"], visitor=hit["visitor"])
        flags = (await admin.get("/v1/fraud/flags"))["items"]
        assert [flag["evidence"]["prefix"] for flag in flags] == [mine["prefix"]] * 3
        await admin.post(f"/v1/fraud/flags/{flags[-1]['id']}/confirm", None)
        proves(admin.data)
        await erase(admin, f"/v1/visitors/{visitor}")
        left = (await admin.get("/v1/fraud/flags"))["items"]
        assert left[0] == flags[0], "another's stays"
        for now, then in zip(left[1:], flags[1:], strict=True):
            assert now["evidence"].keys() == then["evidence"].keys()
            assert not {now["evidence"][name] for name in ("prefix", "referrer")} & set(mine.values())
            assert (now["rule"], now["evidence"]["value"]) == (then["rule"], then["evidence"]["value"])
        assert left[-1]["status"] == "confirmed"
        proves(admin.data)
    proves(admin.data)


async def test_the_audit_says_who_asked_and_not_for_whom(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as admin:
        await admin.shop()
        await erase(admin, "/v1/visitors/carla-7788?merchant=shop")
        (row,) = (await admin.get("/v1/audit?action=person.erase"))["items"]
        assert row["actor"] == "admin" and "carla" not in str(row)
        assert (await admin.get("/v1/erasures"))["items"][0]["state"] == "done"


async def test_who_may_ask_and_for_what(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as admin:
        await admin.shop()
        for path in ("/v1/visitors/short", "/v1/visitors/" + "x" * 32, "/v1/visitors/" + "y" * 600 + "?merchant=shop"):
            for method, target in (("GET", path.replace("?", "/export?", 1)), ("DELETE", path)):
                if method == "GET" and "?" not in path:
                    target = path + "/export"
                status, problem = await admin.call(method, target)
                assert (status, problem["code"]) == (422, "bad_person")
        for role, status in (("viewer", 403), ("finance", 403), ("merchant:shop", 404), ("promoter:ann", 404)):
            token = await admin.token(role)
            person = f"/v1/visitors/{secrets.token_hex(16)}"
            assert (await admin.call("DELETE", person, token=token))[0] == status
            assert (await admin.call("GET", f"{person}/export", token=token))[0] == status
