"""Sessions by cookie, the dashboard's files and the live view, as a browser asks for them."""

import asyncio
import json
from pathlib import Path

import pytest
from admin_support import FIRST_TOKEN, Admin
from aiohttp import ClientResponse, CookieJar

from tuike.admin import dashboard, session
from tuike.admin.app import ROUTES

SAME = {"Sec-Fetch-Site": "same-origin"}


class Browser:
    """Holds the cookie, as the tests' own client would not for an address."""

    def __init__(self, admin: Admin) -> None:
        self._session = admin._session
        self._session.cookie_jar.clear()
        assert isinstance(self._session.cookie_jar, CookieJar)
        self.cookie = ""

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, object]]:
        if self.cookie:
            headers["Cookie"] = f"{session.COOKIE}={self.cookie}"
        async with self._session.request(method, path, json=body, headers=headers) as answer:
            self._keep(answer)
            return answer.status, await answer.json(content_type=None)

    def _keep(self, answer: ClientResponse) -> None:
        if session.COOKIE in answer.cookies:
            self.cookie = answer.cookies[session.COOKIE].value
            self.attributes = answer.cookies[session.COOKIE]
        self._session.cookie_jar.clear()

    async def sign_in(self, token: str) -> None:
        status, _ = await self.ask("POST", "/v1/session", {"token": token}, **SAME)
        assert status == 200


async def test_a_session_begins_with_a_token_and_ends_when_one_signs_out(admin: Admin) -> None:
    browser = Browser(admin)
    assert await browser.ask("GET", "/v1/session") == (200, {"role": "", "name": "", "expires": None})
    assert (await browser.ask("GET", "/v1/merchants"))[0] == 401
    assert (await browser.ask("POST", "/v1/session", {"token": "wrong"}, **SAME))[0] == 401
    await browser.sign_in(FIRST_TOKEN)
    assert browser.attributes["httponly"] and browser.attributes["samesite"] == "Strict"
    assert not browser.attributes["secure"]
    status, who = await browser.ask("GET", "/v1/session")
    assert (status, who["role"], who["name"]) == (200, "admin", "admin")
    assert (await browser.ask("GET", "/v1/merchants"))[0] == 200
    assert (await browser.ask("DELETE", "/v1/session", **SAME))[0] == 200
    assert browser.cookie == ""


async def test_behind_tls_the_cookie_is_secure(admin: Admin) -> None:
    browser = Browser(admin)
    host = "https://admin.example"
    await browser.ask("POST", "/v1/session", {"token": FIRST_TOKEN}, Origin=host, Host="admin.example")
    assert browser.attributes["secure"]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": "https://admin.example", "Host": "admin.example"}, True),
        ({}, False),
    ],
)
async def test_a_sessions_write_comes_from_our_own_pages(admin: Admin, headers: dict[str, str], allowed: bool) -> None:
    browser = Browser(admin)
    await browser.sign_in(FIRST_TOKEN)
    body = {"id": "shop", "name": "Shop", "currency": "CNY"}
    status, answer = await browser.ask("POST", "/v1/merchants", body, **headers)
    assert (status == 201) if allowed else (status, answer["code"]) == (403, "cross_site")


async def test_a_bearer_token_writes_from_anywhere(admin: Admin) -> None:
    browser = Browser(admin)
    body = {"id": "shop", "name": "Shop", "currency": "CNY"}
    headers = {"Authorization": f"Bearer {FIRST_TOKEN}", "Sec-Fetch-Site": "cross-site"}
    assert (await browser.ask("POST", "/v1/merchants", body, **headers))[0] == 201


async def test_a_session_has_the_tokens_role_and_ends_with_it(admin: Admin) -> None:
    made = await admin.post("/v1/tokens", {"role": "viewer"})
    browser = Browser(admin)
    await browser.sign_in(made["token"])
    assert (await browser.ask("GET", "/v1/merchants"))[0] == 200
    assert (await browser.ask("POST", "/v1/merchants", {}, **SAME))[0] == 403
    await admin.call("DELETE", f"/v1/tokens/{made['id']}")
    assert (await browser.ask("GET", "/v1/merchants"))[0] == 401
    assert (await browser.ask("GET", "/v1/session"))[1]["role"] == ""


async def test_a_cookie_that_was_changed_or_is_too_old_is_none(admin: Admin) -> None:
    browser = Browser(admin)
    await browser.sign_in(FIRST_TOKEN)
    id, expires, nonce, mac = browser.cookie.split(".")
    for changed in (
        f"{id}.{int(expires) + 1}.{nonce}.{mac}",
        f"{id}.{expires}.{nonce[:-1]}x.{mac}",
        f"{id}.{expires}.{nonce}.{mac[:-1]}x",
        f"{id}.1.{nonce}.{mac}",
        f"{id}.٣.{nonce}.{mac}",
        f"{id}.{'9' * 5000}.{nonce}.{mac}",
        "nobody.9999999999999.0.0",
        "first",
    ):
        browser.cookie = changed
        async with admin._session.get("/v1/merchants", headers={"Cookie": f"{session.COOKIE}={changed}"}) as answer:
            assert answer.status == 401, changed


@pytest.mark.parametrize("header", [b"Authorization: Bearer \xff", b"Cookie: tk_session=first.9999999999999.\xff.0"])
async def test_bytes_that_are_no_text_are_no_token(admin: Admin, header: bytes) -> None:
    url = admin._session._base_url
    assert url is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"GET /v1/merchants HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + b"\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
    writer.close()


async def test_the_files_are_answered_with_their_policy_and_a_tag(
    admin: Admin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "static" / "assets").mkdir(parents=True)
    (tmp_path / "static" / "index.html").write_text("<!doctype html><title>page</title>")
    (tmp_path / "static" / "assets" / "a-1.js").write_text("export {}")
    monkeypatch.setattr(dashboard, "FILES", dashboard.load(tmp_path / "static"))
    async with admin._session.get("/") as answer:
        assert answer.status == 200 and answer.content_type == "text/html"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-cache"
        tag = answer.headers["ETag"]
    async with admin._session.get("/", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    async with admin._session.get("/assets/a-1.js") as answer:
        assert answer.status == 200 and "immutable" in answer.headers["Cache-Control"]
        assert await answer.text() == "export {}"
    async with admin._session.get("/assets/b.js") as answer:
        assert answer.status == 404
    monkeypatch.setattr(dashboard, "FILES", {})
    assert "make setup" in (await admin.text("/"))[1]


async def test_every_page_may_load_nothing_unsaid_and_nobody_frames_it(admin: Admin) -> None:
    pages = []
    for path in ("/", *(route.path for route in ROUTES if route.method == "GET" and "{" not in route.path)):
        async with admin._session.get(path, headers={"Accept": "text/html"}) as answer:
            if answer.content_type == "text/html":
                pages.append(path)
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy or "default-src 'self'" in policy, path
                assert "frame-ancestors 'none'" in policy, path
                assert answer.headers["X-Content-Type-Options"] == "nosniff", path
    assert "/v1/docs" in pages


async def test_the_live_view_has_a_head_that_nothing_follows(admin: Admin) -> None:
    url = admin._session._base_url
    assert url is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    token = f"Host: x\r\nAuthorization: Bearer {FIRST_TOKEN}\r\n"
    writer.write(f"HEAD /v1/live HTTP/1.1\r\n{token}\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()


async def test_the_live_view_shows_an_order_within_its_next_message(admin: Admin) -> None:
    await admin.shop()
    assert (await admin.call("GET", "/v1/live", token=await admin.token("promoter:ann")))[0] == 404
    headers = {"Authorization": f"Bearer {FIRST_TOKEN}"}
    async with admin._session.get("/v1/live", headers=headers) as answer:
        assert answer.content_type == "text/event-stream"
        assert (await _state(answer))["conversions"] == []
        id = await admin.order(oid="1", amount=10_000, aff="ann")
        while not (state := await _state(answer))["conversions"]:
            pass
        assert [(one["id"], one["commission"]) for one in state["conversions"]] == [(id, "10.00")]
        assert state["minute"]["conversions"] == 1


async def _state(answer: ClientResponse) -> dict[str, object]:
    line = await answer.content.readuntil(b"\n\n")
    state: dict[str, object] = json.loads(line.removeprefix(b"data: "))
    return state
