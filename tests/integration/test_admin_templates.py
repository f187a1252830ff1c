"""Posters and texts of products, merchants and the instance: who writes them, whose is in force, what is refused."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from admin_support import Admin, Json, product, serving

from tuike.admin.posters import MAX_POSTER, MAX_TEXT, MAX_TEXTS
from tuike.replay import replay

SVG = '<svg xmlns="http://www.w3.org/2000/svg">{0}<g>{{{{qr}}}}</g></svg>'
TEA, SHOP, ALL = (SVG.format(f"<title>{word}</title>") for word in ("tea", "shop", "all"))
OF_TEA, OF_SHOP, OF_ALL = "/v1/products/tea/template", "/v1/merchants/shop/template", "/v1/template"
NOTHING = {"poster": None, "texts": []}


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with serving(tmp_path / "data") as admin:
        await admin.shop()
        yield admin


async def put(admin: Admin, path: str, **body: object) -> Json:
    status, answer = await admin.call("PUT", path, body)
    assert status == 200, answer
    return answer


async def test_the_products_own_wins_then_its_merchants_then_the_instances_each_by_itself(admin: Admin) -> None:
    nobody_s = {"owner": "product:tea", "poster_of": None, "texts_of": None} | NOTHING
    assert await admin.get(OF_TEA) == nobody_s
    assert await put(admin, OF_ALL, poster=ALL, texts=["all: {{url}}"]) == {
        "owner": "instance",
        "poster": ALL,
        "texts": ["all: {{url}}"],
    }
    await put(admin, OF_SHOP, poster=SHOP)
    await put(admin, OF_TEA, texts=["{{product}}", "{{coupon}}"])
    seen = await admin.get(OF_TEA)
    assert (seen["poster"], seen["poster_of"]) == (SHOP, "merchant:shop")
    assert (seen["texts"], seen["texts_of"]) == (["{{product}}", "{{coupon}}"], "product:tea")
    await put(admin, OF_TEA, poster=TEA)
    seen = await admin.get(OF_TEA)
    assert (seen["poster"], seen["poster_of"]) == (TEA, "product:tea")
    assert (seen["texts"], seen["texts_of"]) == (["all: {{url}}"], "instance")
    await admin.post("/v1/merchants", {"id": "mart", "name": "Mart", "currency": "CNY"})
    await admin.post("/v1/products", product("silk", "mart"))
    assert (await admin.get("/v1/products/silk/template"))["poster_of"] == "instance"
    assert await admin.get("/v1/merchants/mart/template") == {"owner": "merchant:mart"} | NOTHING
    for path in (OF_TEA, OF_SHOP, OF_ALL):
        assert (await put(admin, path)).items() >= NOTHING.items()
    assert await admin.get(OF_TEA) == nobody_s
    assert await admin.get(OF_ALL) == {"owner": "instance"} | NOTHING


async def test_who_reads_a_product_reads_what_is_in_force_and_admins_alone_write(admin: Admin) -> None:
    await admin.post("/v1/merchants", {"id": "mart", "name": "Mart", "currency": "CNY"})
    await put(admin, OF_SHOP, poster=SHOP)
    tokens = {
        role: await admin.token(role)
        for role in ("finance", "viewer", "merchant:shop", "merchant:mart", "promoter:ann")
    }
    may = {
        OF_TEA: {"finance", "viewer", "merchant:shop", "promoter:ann"},
        OF_SHOP: {"finance", "viewer", "merchant:shop"},
        OF_ALL: {"finance", "viewer"},
    }
    for path, readers in may.items():
        for role, token in tokens.items():
            status, _ = await admin.call("GET", path, token=token)
            assert status == (200 if role in readers else 404), (role, path)
            status, _ = await admin.call("PUT", path, {"poster": TEA}, token=token)
            assert status == (403 if role in ("finance", "viewer") else 404), (role, path)
    assert (await admin.get(OF_TEA, token=tokens["promoter:ann"]))["poster"] == SHOP


async def test_what_has_no_product_or_merchant_has_no_template(admin: Admin) -> None:
    for path, code in (("products", "unknown_product"), ("merchants", "unknown_merchant")):
        assert (await admin.call("GET", f"/v1/{path}/none/template"))[0] == 404
        status, problem = await admin.call("PUT", f"/v1/{path}/none/template", {"poster": TEA})
        assert (status, problem["code"]) == (404, code)


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        ({"poster": SVG.format("<script/>")}, 422, "bad_poster", "<script>"),
        ({"poster": SVG.format('<image href="//evil.example"/>')}, 422, "bad_poster", "`href` of <image>"),
        ({"poster": "<svg"}, 422, "bad_poster", "no {{qr}}"),
        ({"poster": SVG.format("茶" * (MAX_POSTER // 3))}, 422, "bad_poster", "bytes"),
        ({"poster": "x" * (MAX_POSTER + 1)}, 400, "bad_body", "poster"),
        ({"texts": ["{{price}}"]}, 422, "bad_text", "text 1: there is no place {{price}}"),
        ({"texts": ["a\nb"]}, 422, "bad_text", "text 1"),
        ({"texts": [""]}, 400, "bad_body", "texts"),
        ({"texts": ["x" * (MAX_TEXT + 1)]}, 400, "bad_body", "texts"),
        ({"texts": ["x"] * (MAX_TEXTS + 1)}, 400, "bad_body", "texts"),
        ({"posters": []}, 400, "bad_body", "posters"),
    ],
)
async def test_what_cannot_be_taken_is_named_and_changes_nothing(
    admin: Admin, body: Json, status: int, code: str, says: str
) -> None:
    for path in (OF_TEA, OF_SHOP, OF_ALL):
        answered, problem = await admin.call("PUT", path, body)
        assert (answered, problem["code"]) == (status, code)
        assert says in problem["detail"]
    assert (await admin.get(OF_TEA)).items() >= NOTHING.items()


async def test_the_largest_template_fits_into_a_body_however_it_is_escaped(admin: Admin) -> None:
    room = MAX_POSTER - len(SVG.format("<desc></desc>"))
    texts = ["\U0001f375" * MAX_TEXT] * MAX_TEXTS  # 12 bytes each where JSON is ASCII
    for filling in ('"' * room, "茶" * (room // 3) + "x" * (room % 3)):
        poster = SVG.format(f"<desc>{filling}</desc>")
        assert len(poster.encode()) == MAX_POSTER
        status, answer = await admin.call("PUT", OF_TEA, raw=json.dumps({"poster": poster, "texts": texts}).encode())
        assert status == 200, answer
        seen = await admin.get(OF_TEA)
        assert (seen["poster"], seen["texts"]) == (poster, texts)


async def test_a_write_stands_in_the_audit_log_without_its_poster_and_the_same_again_does_not(admin: Admin) -> None:
    await put(admin, OF_SHOP, poster=SHOP, texts=["{{url}}"])
    await put(admin, OF_SHOP, poster=SHOP, texts=["{{url}}"])
    rows = (await admin.get("/v1/audit?action=template.set"))["items"]
    assert [row["target"] for row in rows] == ["template:merchant:shop"]
    assert rows[0]["detail"]["texts"] == ["{{url}}"]
    assert rows[0]["detail"]["poster"].startswith("sha256:")


async def test_the_journal_makes_the_same_templates_again(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as admin:
        await admin.shop()
        for path, poster in ((OF_TEA, TEA), (OF_SHOP, SHOP), (OF_ALL, ALL)):
            await put(admin, path, poster=poster, texts=["{{url}}"])
        await put(admin, OF_TEA)
        data = admin.data
    report = replay(data, 3)
    assert report.fault is None, report.text()
