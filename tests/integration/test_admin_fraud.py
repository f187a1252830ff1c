"""The review queue of fraud's flags, as those who decide see it."""

import re
from pathlib import Path

from admin_support import LEVELS, Admin, click, now_ms, product, serving

from tuike.verify import verify
from waiting import eventually


async def flagged(admin: Admin, oid: str = "1", merchant: str = "shop", pid: str = "tea") -> str:
    """An order a moment after a click of ann's, under the rules that a product has by default; its id."""
    hit = click("ann", merchant=merchant, pid=pid)
    await admin.record([hit])
    return await admin.order(oid=oid, amount=10_000, click=hit["id"], merchant=merchant, pid=pid)


async def balance(admin: Admin, promoter: str) -> tuple[str, str]:
    item = (await admin.get(f"/v1/promoters/{promoter}/balance"))["items"][0]
    return item["pending"], item["available"]


async def test_a_flag_holds_money_until_it_is_cleared(admin: Admin) -> None:
    await admin.post("/v1/merchants", {"id": "shop", "name": "Shop", "currency": "CNY", "settlement": "T+0"})
    await admin.post("/v1/products", product("tea", "shop", LEVELS, fraud={}))
    await admin.post("/v1/promoters", {"id": "ann", "name": "Ann"})
    id = await flagged(admin)
    order = await admin.get(f"/v1/conversions/{id}")
    assert (order["status"], order["reason"]) == ("pending", "fraud")
    assert (await admin.get(f"/v1/conversions/{id}/why"))["why"].startswith("held")
    (flag,) = (await admin.get("/v1/fraud/flags"))["items"]
    assert (flag["rule"], flag["status"], flag["conversion"]) == ("seconds_to_order", "open", id)
    assert (flag["promoter"], flag["merchant"], flag["product"], flag["decided_by"]) == ("ann", "shop", "tea", None)
    assert 0 <= flag["evidence"]["value"] < 5_000
    assert 50 <= flag["score"] <= 100
    assert 'tuike_fraud_flags_open{rule="seconds_to_order"} 1' in (await admin.text("/metrics"))[1]
    await admin.post("/v1/settlements", {})
    assert await balance(admin, "ann") == ("5.00", "0.00")

    done = await admin.post(f"/v1/fraud/flags/{flag['id']}/clear", {"reason": "a regular"}, key="k")
    assert (done["status"], done["note"], done["decided_by"]) == ("cleared", "a regular", "admin")
    assert await admin.post(f"/v1/fraud/flags/{flag['id']}/clear", {"reason": "a regular"}, key="k") == done
    assert await admin.get(f"/v1/fraud/flags/{flag['id']}") == done
    assert (await admin.get(f"/v1/conversions/{id}"))["status"] == "approved"
    (entry,) = (await admin.get("/v1/audit?action=fraud.clear"))["items"]
    assert entry["target"] == f"flag:{flag['id']}"
    status, problem = await admin.call("POST", f"/v1/fraud/flags/{flag['id']}/confirm")
    assert (status, problem["code"]) == (409, "flag_decided")
    assert (await admin.call("POST", f"/v1/fraud/flags/{'0' * 32}/clear"))[0] == 404
    assert verify(admin.data).fault is None


async def test_confirmed_fraud_is_rejected_and_its_click_counts_no_more(admin: Admin) -> None:
    await admin.shop(LEVELS, fraud={})
    hit = click("ann")
    await admin.record([hit])
    id = await admin.order(oid="1", amount=10_000, click=hit["id"])
    (flag,) = (await admin.get("/v1/fraud/flags?status=open"))["items"]
    assert (await admin.post(f"/v1/fraud/flags/{flag['id']}/confirm", None))["status"] == "confirmed"
    assert (await admin.get(f"/v1/conversions/{id}"))["status"] == "rejected"
    assert await balance(admin, "ann") == ("0.00", "0.00")
    known = await admin.get(f"/v1/clicks/{hit['id']}")
    assert (known["counted"], known["reason"]) == (False, "confirmed_fraud")
    again = await admin.order(oid="2", amount=10_000, click=hit["id"])
    why = await admin.get(f"/v1/conversions/{again}/why")
    assert [(touch["counted"], touch["code"]) for touch in why["candidates"]] == [(False, "confirmed_fraud")]
    assert (await admin.get("/v1/fraud/flags?status=open"))["items"] == []
    assert verify(admin.data).fault is None


async def test_the_queue_is_filtered_and_comes_in_pages(admin: Admin) -> None:
    await admin.shop(LEVELS, fraud={})
    ids = [await flagged(admin, oid=str(n)) for n in range(3)]
    page = await admin.get("/v1/fraud/flags?limit=2")
    assert [flag["conversion"] for flag in page["items"]] == [ids[2], ids[1]]
    rest = await admin.get(f"/v1/fraud/flags?limit=2&cursor={page['next']}")
    assert ([flag["conversion"] for flag in rest["items"]], rest["next"]) == ([ids[0]], None)
    for query, count in (
        ("rule=devices", 0),
        ("rule=seconds_to_order", 3),
        ("promoter=ann&merchant=shop&product=tea", 3),
        ("promoter=bob", 0),
        (f"conversion={ids[1]}", 1),
        ("status=cleared", 0),
    ):
        assert len((await admin.get(f"/v1/fraud/flags?{query}"))["items"]) == count, query
    assert (await admin.call("GET", "/v1/fraud/flags?rule=none"))[0] == 400


async def test_a_merchant_sees_the_own_flags_and_a_promoter_none(admin: Admin) -> None:
    await admin.shop(LEVELS, fraud={})
    await admin.post("/v1/merchants", {"id": "other", "name": "Other", "currency": "CNY"})
    await admin.post("/v1/products", product("cup", "other", fraud={}))
    await flagged(admin)
    await flagged(admin, merchant="other", pid="cup")
    tokens = {role: await admin.token(role) for role in ("merchant:shop", "promoter:ann", "viewer", "finance")}
    own = (await admin.get("/v1/fraud/flags", token=tokens["merchant:shop"]))["items"]
    assert [flag["merchant"] for flag in own] == ["shop"]
    both = (await admin.get("/v1/fraud/flags", token=tokens["viewer"]))["items"]
    assert [flag["merchant"] for flag in both] == ["other", "shop"]
    others = f"/v1/fraud/flags/{both[0]['id']}"
    for role, status in (("merchant:shop", 404), ("promoter:ann", 404), ("viewer", 200), ("finance", 200)):
        assert (await admin.call("GET", others, token=tokens[role]))[0] == status, role
    assert (await admin.call("GET", "/v1/fraud/flags", token=tokens["promoter:ann"]))[0] == 404
    for role, status in (("merchant:shop", 404), ("promoter:ann", 404), ("viewer", 403), ("finance", 200)):
        assert (await admin.call("POST", f"{others}/clear", {}, token=tokens[role]))[0] == status, role


async def test_lists_of_networks_are_loaded_by_name(admin: Admin) -> None:
    await admin.shop(LEVELS)
    body = {"networks": ["192.0.2.0/24", "2001:db8::/32", "198.51.100.9/32"]}
    status, loaded = await admin.call("PUT", "/v1/fraud/networks/clouds", body)
    assert (status, loaded["networks"], loaded["narrow"]) == (200, 2, 1)
    assert (await admin.get("/v1/fraud/networks"))["items"] == [loaded]
    status, problem = await admin.call("PUT", "/v1/fraud/networks/clouds", {"networks": ["somewhere"]})
    assert (status, problem["code"]) == (422, "bad_network")
    hit = click("ann", prefix="192.0.2.0/24", at=now_ms() - 60_000)
    await admin.record([hit])
    await admin.order(oid="1", amount=10_000, click=hit["id"])
    (flag,) = (await admin.get("/v1/fraud/flags"))["items"]
    assert (flag["rule"], flag["evidence"]["prefix"]) == ("datacentre", "192.0.2.0/24")


async def test_an_address_with_many_clicks_holds_its_orders(admin: Admin) -> None:
    await admin.shop(LEVELS)
    address, at = "ab" * 16, now_ms() // 86_400_000 * 86_400_000
    hits = [click("ann", at=at + n, address=address) for n in range(101)]
    await admin.record(hits)
    await admin.order(oid="1", amount=10_000, click=hits[-1]["id"])
    (flag,) = (await admin.get("/v1/fraud/flags"))["items"]
    assert (flag["rule"], flag["evidence"]["value"], flag["evidence"]["limit"]) == ("clicks_per_ip_day", 101, 100)
    assert not re.search(address, str(flag))


async def test_what_was_found_is_the_same_after_a_start(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as admin:
        await admin.shop(LEVELS, fraud={})
        await flagged(admin)
        before = await admin.get("/v1/fraud/flags")
    async with serving(tmp_path / "data") as admin:
        assert await admin.get("/v1/fraud/flags") == before
        flag = before["items"][0]
        await admin.post(f"/v1/fraud/flags/{flag['id']}/clear", {})

        async def approved() -> bool:
            return bool((await admin.get(f"/v1/conversions/{flag['conversion']}"))["status"] == "approved")

        await eventually(approved, "the order to be approved")
