"""Tokens and roles: who may do what, and who sees whom."""

from admin_support import LEVELS, Admin, click, order, product

from tuike.admin.app import RESOURCES
from waiting import eventually


async def two_shops(admin: Admin) -> dict[str, str]:
    """`shop` with an order credited to ann and, above, bob; `other` with one of kim's. Conversion ids."""
    await admin.shop(LEVELS)
    await admin.post("/v1/merchants", {"id": "other", "name": "Other", "currency": "CNY"})
    await admin.post("/v1/products", product("cup", "other"))
    await admin.post("/v1/promoters", {"id": "kim", "name": "Kim"})
    for code, promoter, item in (("a", "ann", "tea"), ("k", "kim", "cup")):
        await admin.post("/v1/links", {"code": code, "promoter": promoter, "product": item})
    clicks = [click("ann"), click("kim", pid="cup", merchant="other")]
    await admin.record(clicks)
    return {
        "ann": await admin.order(oid="1", amount=10_000, click=clicks[0]["id"]),
        "kim": await admin.order(oid="2", amount=10_000, click=clicks[1]["id"], merchant="other", pid="cup"),
        "ann click": clicks[0]["id"],
        "kim click": clicks[1]["id"],
    }


async def test_nothing_is_shown_without_a_token(admin: Admin) -> None:
    for route in RESOURCES:
        path = route.path.replace("{", "").replace("}", "")
        status, problem = await admin.call(route.method, path, token=None)
        assert (status, problem["code"]) == (401, "unauthorized"), path
    for token in ("", "wrong", "x" * 5000):
        assert (await admin.call("GET", "/v1/merchants", token=token))[0] == 401


async def test_what_is_open_is_open(admin: Admin) -> None:
    for path in ("/healthz", "/metrics", "/v1/openapi.json", "/v1/docs"):
        assert (await admin.text(path))[0] == 200


async def test_a_token_is_shown_once_and_ends_when_it_is_revoked(admin: Admin) -> None:
    made = await admin.post("/v1/tokens", {"role": "viewer"})
    token = made.pop("token")
    assert (await admin.get("/v1/tokens"))["items"] == [made]
    await admin.get("/v1/merchants", token=token)
    status, revoked = await admin.call("DELETE", f"/v1/tokens/{made['id']}")
    assert (status, revoked) == (200, made | {"revoked": True})
    status, problem = await admin.call("GET", "/v1/merchants", token=token)
    assert (status, problem["code"]) == (401, "token_revoked")


async def test_a_token_lasts_until_it_expires(admin: Admin) -> None:
    expired = await admin.token("viewer", expires="2020-01-01T00:00:00Z")
    status, problem = await admin.call("GET", "/v1/merchants", token=expired)
    assert (status, problem["code"]) == (401, "token_expired")
    made = await admin.post("/v1/tokens", {"role": "viewer"})
    assert made["expires"] is not None


ADMINS_ALONE = ("/v1/tokens", "/v1/visitors", "/v1/webhooks")


async def test_a_viewer_reads_all_and_writes_nothing(admin: Admin) -> None:
    viewer = await admin.token("viewer")
    for route in RESOURCES:
        path = route.path.replace("{", "").replace("}", "")
        status, problem = await admin.call(route.method, path, token=viewer)
        if route.method == "GET" and not route.path.startswith(ADMINS_ALONE):
            assert status in (200, 404), path
        else:
            assert (status, problem["code"]) == (403, "forbidden"), path


async def test_finance_decides_on_money_and_leaves_the_registry_alone(admin: Admin) -> None:
    ids = await two_shops(admin)
    finance = await admin.token("finance")
    status, _ = await admin.call("POST", f"/v1/conversions/{ids['ann']}/reject", {"reason": "test"}, token=finance)
    assert status == 200
    for path in ("merchants", "products", "promoters", "links", "tokens"):
        assert (await admin.call("POST", f"/v1/{path}", {}, token=finance))[0] == 403


async def test_a_merchant_sees_that_merchant_alone(admin: Admin) -> None:
    ids = await two_shops(admin)
    shop = await admin.token("merchant:shop")

    async def seen(path: str, name: str) -> list[str]:
        return [item[name] for item in (await admin.get(f"/v1/{path}", token=shop))["items"]]

    assert await seen("merchants", "id") == ["shop"]
    assert await seen("products", "id") == ["tea"]
    assert await seen("conversions", "id") == [ids["ann"]]
    for path in (
        "merchants/shop",
        "products/tea",
        f"conversions/{ids['ann']}",
        f"clicks/{ids['ann click']}",
        "ledger/accounts/merchant:shop:payable",
        "reports/summary?merchant=shop",
    ):
        await admin.get(f"/v1/{path}", token=shop)
    for path in (
        "merchants/other",
        "products/cup",
        "products?merchant=other",
        "conversions?merchant=other",
        f"conversions/{ids['kim']}",
        f"clicks/{ids['kim click']}",
        "ledger/accounts/merchant:other:payable",
        "ledger/accounts/promoter:ann:pending",
        "ledger/accounts/platform:revenue",
        "ledger/transfers",
        "ledger/accounts",
        "reports/summary?merchant=other",
        "promoters",
        "promoters/ann",
        "links",
        "audit",
        "tokens",
    ):
        assert (await admin.call("GET", f"/v1/{path}", token=shop))[0] == 404, path
    report = await admin.get("/v1/reports/summary", token=shop)
    assert (report["clicks"], report["conversions"]) == (1, 1)
    for method, path in (("PATCH", "merchants/shop"), ("POST", f"conversions/{ids['ann']}/approve")):
        assert (await admin.call(method, f"/v1/{path}", {}, token=shop))[0] == 404


async def test_a_promoter_sees_that_promoter_and_the_teams_totals_alone(admin: Admin) -> None:
    ids = await two_shops(admin)
    bob, ann = await admin.token("promoter:bob"), await admin.token("promoter:ann")
    assert [item["id"] for item in (await admin.get("/v1/promoters", token=bob))["items"]] == ["bob"]
    assert (await admin.get("/v1/promoters/bob/team", token=bob))["total"] == 1
    assert (await admin.get("/v1/promoters/bob/balance", token=bob))["items"][0]["pending"] == "3.00"
    assert (await admin.get("/v1/ledger/accounts/promoter:bob:pending", token=bob))["items"][0]["balance"] == "3.00"
    conversion = await admin.get(f"/v1/conversions/{ids['ann']}", token=bob)
    assert [(credit["promoter"], credit["via"]) for credit in conversion["credits"]] == [("bob", "")]
    assert (conversion["others"], "platform" in conversion) == (1, False)
    assert (await admin.get(f"/v1/conversions/{ids['ann']}", token=ann))["credits"][0]["via"] == "ann"
    assert [item["id"] for item in (await admin.get("/v1/conversions", token=ann))["items"]] == [ids["ann"]]
    assert (await admin.get(f"/v1/clicks/{ids['ann click']}", token=ann))["promoter"] == "ann"
    report = await admin.get("/v1/reports/summary?group_by=promoter", token=ann)
    assert [item["promoter"] for item in report["items"]] == ["ann"]
    tea = await admin.get("/v1/products/tea", token=ann)
    assert "fraud" not in tea
    for path in (
        "promoters/ann",
        "promoters/ann/balance",
        "promoters/ann/team",
        "promoters/bob/chain",
        "links?promoter=ann",
        "links/a",
        f"conversions/{ids['kim']}",
        "conversions?promoter=ann",
        f"clicks/{ids['ann click']}",
        "ledger/accounts/promoter:ann:pending",
        "reports/summary?promoter=ann",
        "merchants",
        "merchants/shop",
        "audit",
    ):
        assert (await admin.call("GET", f"/v1/{path}", token=bob))[0] == 404, path


async def test_a_promoter_writes_own_links_and_nothing_else(admin: Admin) -> None:
    await two_shops(admin)
    ann = await admin.token("promoter:ann")
    link = await admin.post("/v1/links", {"promoter": "ann", "product": "cup"}, token=ann)
    status, changed = await admin.call("PATCH", f"/v1/links/{link['code']}", {"status": "paused"}, token=ann)
    assert (status, changed["status"]) == (200, "paused")
    assert [item["promoter"] for item in (await admin.get("/v1/links", token=ann))["items"]] == ["ann", "ann"]
    for method, path, body in (
        ("POST", "links", {"promoter": "kim", "product": "cup"}),
        ("PATCH", "links/k", {"status": "paused"}),
        ("PATCH", "promoters/ann", {"name": "x"}),
        ("POST", "promoters", {"id": "new", "name": "New", "parent": "ann"}),
    ):
        assert (await admin.call(method, f"/v1/{path}", body, token=ann))[0] == 404, path


async def test_an_events_outcome_is_shown_to_whom_it_concerns(admin: Admin) -> None:
    await two_shops(admin)
    sent = order(oid="9", amount=100, merchant="shop", pid="none")
    await admin.record([sent])
    path = f"/v1/events/{sent['id']}"

    async def settled() -> bool:
        return bool((await admin.get(path))["status"] != "waiting")

    await eventually(settled, "the order's outcome")
    found = await admin.get(path)
    assert (found["status"], found["code"], found["kind"]) == ("set_aside", "unknown_product", "order")
    assert await admin.get(path, token=await admin.token("merchant:shop")) == found
    for role in ("merchant:other", "promoter:ann"):
        assert (await admin.call("GET", path, token=await admin.token(role)))[0] == 404
