"""Every URL and host that somebody can set: only what all parsers read the same way, and never another's host."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from admin_support import Admin, product, serving

SOUND = [
    "https://shop.example",
    "http://shop.example/",
    "https://SHOP.example:8443/a/b?c={click_id}#top",
    "https://xn--bcher-kva.example/?x=https://other.example/",
    "https://127.0.0.1/",
    "https://shop.example/" + "a" * 2_000,
]
UNSOUND = [
    "",
    " https://shop.example/",
    "https://shop.example/ ",
    "https://shop.example/\n",
    "https://shop.example/a\tb",
    "https://shop.example/a\r\nSet-Cookie: x=1",
    "https://shop.example/a\x00b",
    "https://shop.example/a\x7f",
    "https://shop.example/a\u2028b",
    "javascript:alert(1)",
    "JAVASCRIPT:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "ftp://shop.example/",
    "gopher://shop.example/",
    "//shop.example/",
    "///shop.example/",
    "/local",
    "shop.example/",
    "https:shop.example/",
    "https:/shop.example/",
    "https:///shop.example/",
    "https:\\\\shop.example/",
    "https://shop.example\\@evil.example/",
    "https://evil.example\\@shop.example/",
    "https://evil.example\\.shop.example/",
    "https://user@shop.example/",
    "https://user:word@shop.example/",
    "https://shop.example@evil.example/",
    "https://shop.example:80:80/",
    "https://shop.example:99999/",
    "https://shop.example:0x50/",
    "https://shop.example:/",
    "https://",
    "https://?x",
    "https://./",
    "https://../",
    "https://-shop.example/",
    "https://shop-.example/",
    "https://shop..example/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://b\u00fccher.example/",
    "https://shop.example\u3002evil.example/",
    "https://shop\u00adping.example/",
    "https://%65vil.example/",
    "https://shop.example%2f@evil.example/",
    "https://{sub1}.example/",
    "https://shop.example{sub1}/",
    "https://shop.example:{sub1}/",
    "{sub1}://shop.example/",
    "https://shop.example/" + "a" * 2_048,
]
UNSOUND_HOSTS = [
    *("", ".", "..", "*", "*.example", "shop.example.", ".shop.example", "shop..example", "shop.example:443"),
    *("-shop.example", "shop_.example", "https://shop.example", "shop.example/", "user@shop.example", "[::1]"),
    *("b\u00fccher.example", "shop.example\n", " shop.example", "shop.example\\", "{sub1}", "a" * 254, f"{'a' * 64}.b"),
]


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with serving(tmp_path / "data") as admin:
        await admin.shop(allowed_hosts=["other.example"])
        yield admin


async def refused(admin: Admin, method: str, path: str, body: dict[str, object]) -> None:
    status, problem = await admin.call(method, path, body)
    assert (status, problem["code"]) in {(400, "bad_body"), (422, "url_not_allowed")}, (path, body, status, problem)


async def test_a_sound_url_is_taken(admin: Admin) -> None:
    for number, url in enumerate(SOUND):
        made = await admin.post("/v1/products", product(f"p{number}", "shop") | {"url": url, "fallback_url": url})
        assert (made["url"], made["fallback_url"]) == (url, url)


async def test_an_unsound_url_is_refused_wherever_one_can_be_set(admin: Admin) -> None:
    await admin.post("/v1/links", {"code": "l", "promoter": "ann", "product": "tea"})
    for url in UNSOUND:
        await refused(admin, "POST", "/v1/products", product("new", "shop") | {"url": url})
        await refused(admin, "PATCH", "/v1/products/tea", {"url": url})
        if url:  # an empty one is none
            await refused(admin, "POST", "/v1/products", product("new", "shop") | {"fallback_url": url})
            await refused(admin, "PATCH", "/v1/products/tea", {"fallback_url": url})
            await refused(admin, "POST", "/v1/links", {"promoter": "ann", "product": "tea", "url": url})
            await refused(admin, "PATCH", "/v1/links/l", {"url": url})
    assert (await admin.get("/v1/products/tea"))["url"] == "https://shop.example/"


async def test_an_unsound_host_is_never_allowed(admin: Admin) -> None:
    for host in UNSOUND_HOSTS:
        await refused(admin, "POST", "/v1/products", product("new", "shop", allowed_hosts=[host]))
        await refused(admin, "PATCH", "/v1/products/tea", {"allowed_hosts": [host]})


async def test_a_link_leads_to_the_products_own_hosts_alone_whoever_makes_it(admin: Admin) -> None:
    promoter = await admin.token("promoter:ann")
    for token in (promoter, None):
        more = {} if token is None else {"token": token}
        for host in ("shop.example", "OTHER.example", "other.example:8443"):
            await admin.post("/v1/links", {"promoter": "ann", "product": "tea", "url": f"https://{host}/x"}, **more)
        for host in ("evil.example", "shop.example.evil.example", "sub.shop.example", "notshop.example", "127.0.0.1"):
            body = {"promoter": "ann", "product": "tea", "url": f"https://{host}/x"}
            status, problem = await admin.call("POST", "/v1/links", body, **more)
            assert (status, problem["code"]) == (422, "url_not_allowed"), host
