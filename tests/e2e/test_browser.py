"""Headless Chromium as the visitor: follows a link, lands in a shop, buys."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

import chromium
from instance import Instance, running
from waiting import until

pytestmark = chromium.needed

PAGE = """<!doctype html><title>shop</title><h1>Tea</h1>
<script src="{edge}/t.js" data-pid="tea"></script>
<button onclick="tuike('conversion', {{oid: 'A-1', amount: '200.00'}}); this.textContent = 'bought'">buy</button>"""


class Shop(http.server.BaseHTTPRequestHandler):
    """A merchant's page with our script tag on it."""

    edge = ""

    def do_GET(self) -> None:
        body = PAGE.format(edge=self.edge).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory, shop: str) -> Iterator[Instance]:
    with running(tmp_path_factory.mktemp("browser") / "data", "--workers", "1") as instance:
        Shop.edge = instance.edge
        instance.merchant()
        instance.product(
            url=f"{shop}/tea?aff={{aff}}",
            pixel_conversions="accept",
            commission={"type": "percentage", "value": "10.0"},
        )
        instance.promoter("ann")
        instance.post("links", code="L", promoter="ann", product="tea", channel="web")
        yield instance


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor's first visit."""
    with browser.new_context() as context:
        context.set_default_timeout(chromium.PATIENT_MS)
        yield context


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.launched() as browser:
        yield browser


def test_a_visitor_follows_a_link_buys_and_the_promoter_is_credited(
    instance: Instance, context: BrowserContext, shop: str
) -> None:
    page = context.new_page()
    page.goto(f"{instance.edge}/c/L")
    assert page.url.startswith(f"{shop}/tea?aff=ann&click_id=")
    cookies = {cookie["name"]: cookie for cookie in context.cookies()}
    assert {"tk_vid", "tk_aff"} <= cookies.keys() and cookies["tk_vid"]["httpOnly"]
    with page.expect_response(lambda answer: answer.url.endswith("/e")) as answered:
        page.click("button")
    assert answered.value.status == 204
    until(lambda: instance.balance("ann")["pending"] == "20.00", "the order in the books")
    until(lambda: _counts(instance) == (1, 1, 1), "the click, the view and the order in the report")


def test_with_gpc_no_cookie_is_set_and_the_click_still_counts(instance: Instance, context: BrowserContext) -> None:
    before = instance.get("reports/summary")["clicks"]
    context.set_extra_http_headers({"Sec-GPC": "1"})
    page = context.new_page()
    page.goto(f"{instance.edge}/c/L")
    assert "click_id=" in page.url
    assert context.cookies() == []
    until(lambda: instance.get("reports/summary")["clicks"] == before + 1, "the click in the report")


def test_a_returning_visitor_is_one_visitor(instance: Instance, context: BrowserContext) -> None:
    before = instance.get("reports/summary")
    page = context.new_page()
    for _ in range(3):
        page.goto(f"{instance.edge}/c/L")
    until(lambda: instance.get("reports/summary")["clicks"] == before["clicks"] + 3, "three clicks")
    assert instance.get("reports/summary")["unique_visitors"] == before["unique_visitors"] + 1


def _counts(instance: Instance) -> tuple[int, int, int]:
    summary = instance.get("reports/summary")
    return summary["clicks"], summary["impressions"], summary["conversions"]
