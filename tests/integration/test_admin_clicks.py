"""GET /v1/clicks: the newest first, filtered, in pages, and of scoped tokens their own alone."""

import asyncio
from typing import Any

import pytest
from admin_support import Admin, Json, click, now_ms, product

from tuike import _core, views
from tuike.stores import engine, touch_list
from tuike.stores.touches import SqlTouches
from waiting import eventually

DAY_MS, QUARTER_HOUR_MS = 86_400_000, 900_000
VISITOR = "ab" * 16
PERSONAL = ("visitor", "prefix", "referrer")


async def listed(admin: Admin, hits: list[Json]) -> None:
    """Records hits and waits until all of them are folded."""
    await admin.record(hits)

    async def folded() -> bool:
        return len((await admin.get("/v1/clicks?kind=any&limit=500"))["items"]) == len(hits)

    await eventually(folded, "the hits in the list")


async def ids(admin: Admin, query: str, **more: Any) -> list[str]:
    return [item["click_id"] for item in (await admin.get(f"/v1/clicks?{query}", **more))["items"]]


def keep_in_sql(admin: Admin) -> None:
    """The same touches as on several machines."""
    books = engine.open_writer(admin.data.database)
    rows = _core.Follower(str(admin.data.journal)).read({}, 1_000, now_ms()).touch_rows()
    touches = SqlTouches(books)
    touches.prepare(rows)
    with books.begin() as connection:
        touches.put(connection, rows)
    books.dispose()


async def test_clicks_are_listed_by_what_is_asked_for_whatever_store_has_them(admin: Admin) -> None:
    await admin.shop()
    await admin.post("/v1/products", product("cup", "shop"))
    now = now_ms()
    good = click("ann", at=now - 1_000, visitor=VISITOR, prefix="192.0.2.0/24", sub1="feed")
    bot = click("ann", at=now - 2_000, counted=False, bot=True, reason="bot")
    embedded = click("bob", at=now - 3_000, embedded=True, pid="cup")
    view = click("ann", at=now - 4_000, kind="view", visitor=VISITOR)
    old = click("bob", at=now - 3 * DAY_MS)
    await listed(admin, [old, good, view, embedded, bot])
    await asyncio.to_thread(keep_in_sql, admin)
    began = views.instant((now - DAY_MS) // QUARTER_HOUR_MS * QUARTER_HOUR_MS)
    for admin.service.member in (False, True):
        for query, hits in (
            ("", [good, bot, embedded, old]),
            ("kind=any", [good, bot, embedded, view, old]),
            ("kind=view", [view]),
            ("promoter=ann", [good, bot]),
            ("product=cup", [embedded]),
            ("merchant=shop&promoter=bob", [embedded, old]),
            (f"visitor={VISITOR.upper()}&kind=any", [good, view]),
            ("counted=true", [good, old]),
            ("counted=false", [bot, embedded]),
            ("reason=bot", [bot]),
            ("reason=embedded", [embedded]),
            ("promoter=nobody", []),
            (f"from={began}", [good, bot, embedded]),
            (f"to={began}", [old]),
        ):
            assert await ids(admin, query) == [hit["id"] for hit in hits], query
        first = (await admin.get("/v1/clicks?limit=1"))["items"][0]
        assert (first["promoter"], first["sub1"], first["kind"], first["counted"]) == ("ann", "feed", "click", True)
        assert [first[name] for name in PERSONAL] == [VISITOR, "192.0.2.0/24", ""]


async def test_pages_go_on_where_the_one_before_ended(admin: Admin) -> None:
    await admin.shop()
    now = now_ms()
    hits = [click("ann", at=now - n * DAY_MS // 2) for n in range(5)]
    await listed(admin, hits)
    found: list[str] = []
    cursor = ""
    for _ in range(3):
        page = await admin.get(f"/v1/clicks?limit=2&cursor={cursor}")
        found += [item["click_id"] for item in page["items"]]
        cursor = page["next"]
    assert (found, cursor, page["back_to"]) == ([hit["id"] for hit in hits], None, None)
    for bad in ("x", "IjEgYSI", "MQ"):
        assert (await admin.call("GET", f"/v1/clicks?cursor={bad}"))[1]["code"] == "bad_cursor"
    for bad in ("kind=order", "visitor=ab", "counted=perhaps", "limit=501", "tz=Nowhere", "from=2026-13-01"):
        assert (await admin.call("GET", f"/v1/clicks?{bad}"))[0] == 400, bad


async def test_a_page_that_looked_far_enough_says_how_far(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    await admin.shop()
    now = now_ms() // 1_000 * 1_000
    rare = click("bob", at=now - 9_000)
    await listed(admin, [*(click("ann", at=now - n * 1_000) for n in range(9)), rare])
    monkeypatch.setattr(touch_list, "MAX_LOOKED_AT", 5)
    page = await admin.get("/v1/clicks?promoter=bob")
    assert (page["items"], page["next"] is not None) == ([], True)
    assert page["back_to"] == views.instant(now - 4_000)
    rest = await admin.get(f"/v1/clicks?promoter=bob&cursor={page['next']}")
    assert [item["click_id"] for item in rest["items"]] == [rare["id"]]


async def test_scoped_tokens_list_their_own_clicks_and_nothing_of_who_clicked(admin: Admin) -> None:
    await admin.shop()
    await admin.post("/v1/merchants", {"id": "other", "name": "Other", "currency": "CNY"})
    traced = {"visitor": VISITOR, "prefix": "192.0.2.0/24", "referrer": "https://blog.example/"}
    mine = click("ann", **traced)
    others = click("bob", merchant="other", pid="cup", **traced)
    await listed(admin, [mine, others])
    for role in ("promoter:ann", "merchant:shop"):
        token = await admin.token(role)
        (item,) = (await admin.get("/v1/clicks", token=token))["items"]
        assert item["click_id"] == mine["id"]
        assert [item[name] for name in PERSONAL] == ["", "", ""]
    assert (await admin.call("GET", "/v1/clicks?promoter=bob", token=await admin.token("promoter:ann")))[0] == 404
    assert (await admin.call("GET", "/v1/clicks?merchant=other", token=await admin.token("merchant:shop")))[0] == 404


async def test_a_click_that_was_confirmed_as_fraud_says_so_in_the_list(admin: Admin) -> None:
    await admin.shop(fraud={})
    hit = click("ann")
    await admin.record([hit])
    await admin.order(oid="1", amount=10_000, click=hit["id"])
    (flag,) = (await admin.get("/v1/fraud/flags?status=open"))["items"]
    await admin.post(f"/v1/fraud/flags/{flag['id']}/confirm", None)
    (item,) = (await admin.get("/v1/clicks?counted=true"))["items"]
    assert (item["counted"], item["reason"]) == (False, "confirmed_fraud")
