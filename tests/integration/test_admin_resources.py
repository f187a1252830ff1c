"""Merchants, products, promoters, links: created, shown, changed, listed, refused."""

import asyncio

from admin_support import LEVELS, PUBLIC_URL, TEN_PERCENT, Admin, Json, product

from tuike import _core
from tuike.admin.pages import encode_cursor

MERCHANT = {"id": "shop", "name": "Shop", "currency": "CNY"}


async def refused(admin: Admin, method: str, path: str, body: object = None) -> tuple[int, str]:
    status, problem = await admin.call(method, path, body)
    return status, problem["code"]


async def test_a_merchants_secret_is_shown_once_and_is_the_one_that_is_kept(admin: Admin) -> None:
    made = await admin.post("/v1/merchants", MERCHANT)
    secret = made.pop("secret")
    assert await admin.get("/v1/merchants/shop") == made
    with admin.service.engine.connect() as connection:
        sealed = connection.exec_driver_sql("SELECT secret FROM merchants").scalar_one()
    assert _core.unseal(admin.data.secret, "merchant", sealed).decode() == secret
    status, again = await admin.call("POST", "/v1/merchants", MERCHANT)
    assert (status, "secret" in again) == (200, False)
    assert "secret" not in str(await admin.get("/v1/audit"))


async def test_the_same_id_with_the_same_body_is_200_and_with_another_409(admin: Admin) -> None:
    await admin.shop()
    bodies: list[tuple[str, Json, Json]] = [
        ("merchants", MERCHANT, {"name": "Other"}),
        ("products", product("tea", "shop"), {"hold_days": 3}),
        ("promoters", {"id": "ann", "name": "Ann", "parent": "bob"}, {"parent": None}),
        ("links", {"code": "a", "promoter": "ann", "product": "tea"}, {"channel": "web"}),
    ]
    await admin.post("/v1/links", bodies[3][1])
    for group, body, change in bodies:
        assert (await admin.call("POST", f"/v1/{group}", body))[0] == 200, group
        assert await refused(admin, "POST", f"/v1/{group}", body | change) == (409, "conflict"), group


async def test_a_patch_changes_what_it_names(admin: Admin) -> None:
    await admin.shop()
    await admin.post("/v1/links", {"code": "a", "promoter": "ann", "product": "tea", "sub1": "x"})
    patches: list[tuple[str, Json]] = [
        ("merchants/shop", {"name": "New", "refund_days": 7}),
        ("products/tea", {"attribution": {"window_days": 60}, "fallback_url": "https://shop.example/gone"}),
        ("products/tea", {"commission": {"type": "fixed", "value": "1.00"}, "status": "paused"}),
        ("promoters/ann", {"status": "blocked", "tax": {"scheme": "flat", "percent": "10"}}),
        ("links/a", {"channel": "wechat", "expires": "2030-01-01T08:00:00+08:00"}),
    ]
    for path, patch in patches:
        before = await admin.get(f"/v1/{path}")
        status, after = await admin.call("PATCH", f"/v1/{path}", patch)
        assert status == 200
        assert await admin.get(f"/v1/{path}") == after
        untouched = before.keys() - patch.keys() - {"rule_version"}
        assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    tea = await admin.get("/v1/products/tea")
    assert (tea["attribution"]["window_days"], tea["attribution"]["model"], tea["rule_version"]) == (60, "last", 2)
    assert (await admin.get("/v1/links/a"))["expires"] == "2030-01-01T00:00:00Z"


async def test_a_rule_that_begins_later_is_not_shown_yet(admin: Admin) -> None:
    await admin.shop()
    patch = {"commission": {"type": "fixed", "value": "1.00"}, "effective_from": "2099-01-01T00:00:00Z"}
    status, answer = await admin.call("PATCH", "/v1/products/tea", patch)
    assert (status, answer["rule_version"], answer["commission"]) == (200, 1, TEN_PERCENT)
    assert await admin.get("/v1/products/tea") == answer
    past = patch | {"effective_from": "2020-01-01T00:00:00Z"}
    assert await refused(admin, "PATCH", "/v1/products/tea", past) == (422, "effective_in_past")


async def test_what_is_not_there_is_404(admin: Admin) -> None:
    for group in ("merchants", "products", "promoters", "links", "conversions", "ledger/accounts"):
        assert await refused(admin, "GET", f"/v1/{group}/none") == (404, "not_found")
    for group in ("chain", "team", "balance"):
        assert await refused(admin, "GET", f"/v1/promoters/none/{group}") == (404, "not_found")
    for path, code in (("merchants/none", "unknown_merchant"), ("links/none", "not_found")):
        assert await refused(admin, "PATCH", f"/v1/{path}", {}) == (404, code)
    for path in ("/v1/clicks/none", f"/v1/clicks/{'0' * 32}", f"/v1/events/{'0' * 32}", "/v1/nothing", "/nothing"):
        assert await refused(admin, "GET", path) == (404, "not_found")
    assert await refused(admin, "PUT", "/v1/merchants") == (405, "method_not_allowed")


async def test_what_refers_to_nothing_is_refused_by_the_books(admin: Admin) -> None:
    await admin.shop()
    for path, body, code in (
        ("products", product("x", "none"), "unknown_merchant"),
        ("promoters", {"id": "x", "name": "X", "parent": "none"}, "unknown_parent"),
        ("links", {"promoter": "none", "product": "tea"}, "unknown_promoter"),
        ("links", {"promoter": "ann", "product": "none"}, "unknown_product"),
        ("links", {"promoter": "ann", "product": "tea", "url": "https://evil.example/"}, "url_not_allowed"),
        ("tokens", {"role": "promoter:none"}, "unknown_promoter"),
    ):
        assert await refused(admin, "POST", f"/v1/{path}", body) == (422, code)
    status, code = await refused(admin, "POST", "/v1/products", product("x", "shop", {"type": "fixed", "value": "-1"}))
    assert (status, code) == (422, "negative_value")


async def test_a_malformed_request_is_told_what_is_wrong(admin: Admin) -> None:
    status, problem = await admin.call("POST", "/v1/merchants", {"id": "a b"})
    assert (status, problem["code"]) == (400, "bad_body")
    assert "$.id" in problem["detail"]
    assert (await admin.call("POST", "/v1/merchants", raw=b"{"))[1]["code"] == "bad_json"
    assert (await admin.call("POST", "/v1/merchants", raw=b" " * 300_000))[1]["code"] == "body_too_large"
    assert (await admin.call("POST", "/v1/merchants", MERCHANT, key="k" * 201))[1]["code"] == "bad_idempotency_key"
    for query in ("limit=501", "limit=0", "limit=x", "colour=red", "limit=1&limit=2"):
        assert await refused(admin, "GET", f"/v1/merchants?{query}") == (400, "bad_parameter")
    for cursor in ("x", "IiIi", "%00", "MTI"):  # MTI: a number, where ids are text
        assert await refused(admin, "GET", f"/v1/merchants?cursor={cursor}") == (400, "bad_cursor")
    for number in (2**63, -1):
        cursor = encode_cursor(number)
        assert await refused(admin, "GET", f"/v1/conversions?cursor={cursor}") == (400, "bad_cursor")


async def test_a_list_comes_in_pages(admin: Admin) -> None:
    await asyncio.gather(*(admin.post("/v1/promoters", {"id": f"p{n}", "name": "P"}) for n in range(7)))
    seen, cursor = [], ""
    while cursor is not None:
        page = await admin.get(f"/v1/promoters?limit=3&cursor={cursor}")
        seen.append([item["id"] for item in page["items"]])
        cursor = page["next"]
    assert seen == [["p0", "p1", "p2"], ["p3", "p4", "p5"], ["p6"]]


async def test_lists_take_filters(admin: Admin) -> None:
    await admin.shop()
    await admin.post("/v1/merchants", {"id": "other", "name": "O", "currency": "JPY"})
    await admin.post("/v1/products", product("cup", "other"))
    await admin.post("/v1/promoters", {"id": "kim", "name": "Kim", "kind": "kol"})
    for code, promoter, item in (("a", "ann", "tea"), ("b", "ann", "cup"), ("c", "kim", "tea")):
        await admin.post("/v1/links", {"code": code, "promoter": promoter, "product": item})
    for path, name, expected in (
        ("products?merchant=other", "id", ["cup"]),
        ("promoters?parent=bob", "id", ["ann"]),
        ("promoters?kind=kol", "id", ["kim"]),
        ("links?promoter=ann", "code", ["a", "b"]),
        ("links?product=tea", "code", ["a", "c"]),
        ("links?product=tea&promoter=ann", "code", ["a"]),
    ):
        assert [item[name] for item in (await admin.get(f"/v1/{path}"))["items"]] == expected


async def test_a_link_says_what_to_share_and_where_it_leads(admin: Admin) -> None:
    await admin.shop(allowed_hosts=["blog.example"])
    plain = await admin.post("/v1/links", {"promoter": "ann", "product": "tea"})
    assert plain["url"] == f"{PUBLIC_URL}/c/{plain['code']}"
    assert plain["target"] == "https://shop.example/"
    own = await admin.post("/v1/links", {"promoter": "ann", "product": "tea", "url": "https://blog.example/x"})
    assert own["target"] == "https://blog.example/x"
    assert own["code"] != plain["code"]
    status, reset = await admin.call("PATCH", f"/v1/links/{own['code']}", {"url": ""})
    assert (status, reset["target"]) == (200, "https://shop.example/")


async def test_the_tree_is_shown_from_below_and_from_above(admin: Admin) -> None:
    for id, parent in (("a", None), ("b", "a"), ("c", "b"), ("d", "c"), ("e", "b")):
        await admin.post("/v1/promoters", {"id": id, "name": id, "parent": parent})
    chain = (await admin.get("/v1/promoters/d/chain"))["chain"]
    assert chain == [{"level": 1, "id": "d"}, {"level": 2, "id": "c"}, {"level": 3, "id": "b"}]
    assert await admin.get("/v1/promoters/a/team") == {
        "direct": 1,
        "total": 4,
        "by_level": {"1": 1, "2": 2, "3": 1},
    }
    assert await admin.get("/v1/promoters/d/team") == {"direct": 0, "total": 0, "by_level": {}}
    for id, parent in (("a", "d"), ("a", "a")):
        change = {"parent": parent, "reason": "test"}
        assert await refused(admin, "PUT", f"/v1/promoters/{id}/parent", change) == (409, "loop")
    status, moved = await admin.call("PUT", "/v1/promoters/d/parent", {"parent": "e", "reason": "test"})
    assert (status, moved["parent"]) == (200, "e")
    status, moved = await admin.call("PUT", "/v1/promoters/e/parent", {"parent": None, "reason": "test"})
    assert (status, moved["parent"]) == (200, None)
    assert [level["id"] for level in (await admin.get("/v1/promoters/d/chain"))["chain"]] == ["d", "e"]


async def test_of_a_thousand_binds_at_once_one_wins(admin: Admin) -> None:
    crowd = [f"p{n}" for n in range(1, 1_001)]
    await asyncio.gather(*(admin.post("/v1/promoters", {"id": id, "name": "P"}) for id in ["child", *crowd]))
    answers = await asyncio.gather(
        *(admin.call("POST", "/v1/promoters/child/bind", {"parent": parent}) for parent in crowd)
    )
    assert sorted(status for status, _ in answers) == [200] + [409] * 999
    assert {problem["code"] for status, problem in answers if status == 409} == {"already_bound"}
    (won,) = (answer["parent"] for status, answer in answers if status == 200)
    assert (await admin.get("/v1/promoters/child"))["parent"] == won
    assert [level["id"] for level in (await admin.get("/v1/promoters/child/chain"))["chain"]] == ["child", won]
    direct = [(await admin.get(f"/v1/promoters/{parent}/team"))["direct"] for parent in ("p1", "p1000", won)]
    assert direct == [int(parent == won) for parent in ("p1", "p1000", won)]


async def test_a_promoter_sees_of_a_products_overrides_no_other_promoters(admin: Admin) -> None:
    await admin.shop(LEVELS)
    overrides = [{"promoter": "ann", "value": "5"}, {"promoter": "carol", "value": "9"}, {"kind": "kol", "value": "7"}]
    await admin.post(
        "/v1/products", product("jar", "shop", {"type": "percentage", "value": "10", "overrides": overrides})
    )
    token = await admin.token("promoter:ann")
    shown = await admin.get("/v1/products/jar", token=token)
    listed = (await admin.get("/v1/products", token=token))["items"]
    expected = [{"promoter": "ann", "value": "5"}, {"kind": "kol", "value": "7"}]
    assert shown["commission"]["overrides"] == expected
    assert next(one for one in listed if one["id"] == "jar")["commission"]["overrides"] == expected
    assert (await admin.get("/v1/products/jar"))["commission"]["overrides"] == overrides


async def test_every_write_is_in_the_audit_log(admin: Admin) -> None:
    await admin.shop(LEVELS)
    token = await admin.token("admin")
    await admin.call("PATCH", "/v1/promoters/ann", {"name": "Anne"}, token=token)
    entries = (await admin.get("/v1/audit"))["items"]
    assert [entry["action"] for entry in entries] == [
        "promoter.update",
        "token.create",
        "promoter.create",
        "promoter.create",
        "product.create",
        "merchant.create",
    ]
    assert entries[0]["actor"].startswith("token:")
    assert (entries[0]["target"], entries[0]["detail"]) == ("promoter:ann", {"id": "ann", "name": "Anne"})
    assert token not in str(entries)
    assert "hash" not in entries[1]["detail"]
    only = (await admin.get("/v1/audit?action=promoter.create&target=promoter:ann"))["items"]
    assert [entry["detail"]["id"] for entry in only] == ["ann"]
