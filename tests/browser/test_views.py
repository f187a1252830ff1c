"""Every view of the dashboard and of the promoter's page, in both languages, light and dark, as Chromium shows it."""

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import history
import pytest
from looking import OF_ADMINS, OF_PROMOTERS, ROOT, Person, built, shows
from playwright.sync_api import Browser, Page

import chromium
from instance import Instance, running, tuike
from waiting import until

pytestmark = [chromium.needed, built]

LIMIT_MS = 200
TRIES = 5
CONTEST = {"id": "race", "name": "Race", "metric": "orders", "currency": "CNY", "prizes": ["50.00"]}
SCREENSHOT = os.environ.get("TUIKE_SCREENSHOT", "")
"""1: the README's screenshot is taken anew."""


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """The demo with a month of its past."""
    folder = tmp_path_factory.mktemp("dashboard")
    with running(folder / "data", "--workers", "1", "--demo", "--webhook-allow-private") as instance:
        clicks, orders = history.write(folder, datetime.now(UTC))
        tuike("import", "clicks", clicks, "--data", instance.data)
        tuike("import", "conversions", orders, "--data", instance.data)
        instance.post("contests", **{"from": "2026-01-01", "to": "2099-12-31"}, **CONTEST)
        yield instance


@pytest.fixture
def takes_it() -> Iterator[tuple[str, list[int]]]:
    """A server that webhooks are sent to: its address, and the status of its answers."""
    status = [503]

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status[0])
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", status
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.launched() as browser:
        yield browser


def first_token(instance: Instance) -> str:
    return (instance.data / "admin.token").read_text().strip()


@pytest.mark.parametrize(("language", "scheme"), [("en-GB", "light"), ("zh-CN", "dark")])
@pytest.mark.parametrize("role", ["admin", "promoter:bo"])
def test_every_view_is_whole_quick_and_accessible(
    instance: Instance, browser: Browser, role: str, language: str, scheme: str
) -> None:
    token = first_token(instance) if role == "admin" else instance.post("tokens", role=role)["token"]
    order = instance.get("conversions?product=tea&limit=1")["items"][0]["id"]
    ones = ("promoters/bo", "products/tea", "contests/race", f"conversions/{order}")
    views = (*OF_ADMINS, *ones) if role == "admin" else OF_PROMOTERS
    if role != "admin":
        own = instance.call("GET", "conversions?limit=1", token=token)[1]["items"][0]["id"]
        views = (*views, f"orders/{own}")
    with browser.new_context(locale=language, color_scheme=scheme, timezone_id="Asia/Shanghai") as context:
        person = Person.arrives(context, instance.admin)
        person.page.goto(f"{instance.admin}/")
        person.page.wait_for_selector("h1")
        assert person.findings() == [], "sign in"
        person.signs_in(token)
        for view in views:
            person.opens(view)
            assert person.findings() == [], view
            assert person.page.query_selector("main .note.bad") is None, person.page.inner_text("main")
        chinese = "推广者" in person.page.inner_text("body")
        assert chinese == (language == "zh-CN")
        assert person.complaints() == []
        for _ in range(TRIES):
            slow = {url: ms for url, ms in person.took.items() if ms > LIMIT_MS}
            if not slow:
                break
            for url in slow:
                person.page.evaluate("url => fetch(url).then((answer) => answer.text())", url)
        assert slow == {}


def test_language_and_theme_are_chosen_and_kept(instance: Instance, browser: Browser) -> None:
    with browser.new_context(locale="en-GB", color_scheme="light") as context:
        person = Person.arrives(context, instance.admin)
        person.signs_in(first_token(instance))
        person.opens("conversions")
        person.page.get_by_label("Language").select_option("zh")
        person.page.get_by_label("主题").select_option("dark")
        assert person.page.inner_text("h1") == "订单"
        person.page.reload()
        person.page.wait_for_selector("nav")
        assert person.page.evaluate("[document.documentElement.lang, document.documentElement.dataset.theme]") == [
            "zh-CN",
            "dark",
        ]


def test_the_keyboard_alone_gets_to_a_view(instance: Instance, browser: Browser) -> None:
    with browser.new_context(locale="en-GB") as context:
        person = Person.arrives(context, instance.admin)
        person.page.goto(f"{instance.admin}/")
        person.page.wait_for_selector("input[type=password]")
        person.page.focus("input[type=password]")
        person.page.keyboard.type(first_token(instance))
        person.page.keyboard.press("Enter")
        person.page.wait_for_selector("nav")
        until(lambda: person.page.evaluate("document.activeElement.tagName") == "H1", "the view to have the focus")
        person.page.focus(".skip")
        for _ in range(2):  # past the first view's link
            person.page.keyboard.press("Tab")
        person.page.keyboard.press("Tab")
        person.page.keyboard.press("Enter")
        until(lambda: "#/" in person.page.url, "another view")
        person.settles()
        assert person.page.evaluate("document.activeElement.tagName") == "H1"


def test_the_calculator_shows_the_split_before_it_is_saved(instance: Instance, browser: Browser) -> None:
    with browser.new_context(locale="en-GB") as context:
        person = Person.arrives(context, instance.admin)
        person.signs_in(first_token(instance))
        person.opens("products/tea")
        person.page.get_by_label("Amount in CNY").fill("1000")
        shows(person.page, "100.00")
        person.page.get_by_label("Level 1", exact=True).fill("11.0")
        shows(person.page, "110.00")
        shows(person.page, "Not saved yet")
        assert instance.get("products/tea")["rule_version"] == 1
        person.page.get_by_role("button", name="Save as a new version").click()
        shows(person.page, "rule version 2")
        assert instance.get("products/tea")["commission"]["levels"][0]["value"] == "11.0"


def test_a_promoter_builds_a_link_and_takes_its_code_and_poster(
    instance: Instance, browser: Browser, tmp_path: Path
) -> None:
    token = instance.post("tokens", role="promoter:wen")["token"]
    with browser.new_context(locale="en-GB") as context:
        person = Person.arrives(context, instance.admin)
        person.signs_in(token)
        person.opens("links")
        person.page.get_by_label("Channel").fill("xiaohongshu")
        person.page.get_by_label("sub1").fill("post-7")
        person.page.get_by_text("More", exact=True).click()
        person.page.get_by_label("Code", exact=True).fill("wen-7")
        person.page.get_by_role("button", name="Make the link").click()
        shows(person.page, f"{instance.edge}/c/wen-7")
        assert instance.get("links/wen-7")["sub1"] == "post-7"
        for name in ("SVG", "PNG", "Poster SVG", "Poster PNG"):
            with person.page.expect_download() as got:
                person.page.get_by_role("button", name=name, exact=True).click()
            got.value.save_as(tmp_path / "file")
            begin = (tmp_path / "file").read_bytes()[:4]
            assert begin == (b"\x89PNG" if "PNG" in name else b"<svg"), name
        person.page.get_by_text("Use words of your own").click()
        person.page.get_by_label("Your text").fill("{{promoter}} likes {{product}} ({{category}}): {{url}}")
        shows(person.page, f"wen likes Reading app (software): {instance.edge}/c/wen-7")
        person.page.reload()
        shows(person.page, "wen likes ")
        assert person.complaints() == []


def draws(page: Page, width: int) -> None:
    """Waits until the poster that is shown is this wide."""
    until(
        lambda: page.evaluate("document.querySelector('img.poster')?.naturalWidth") == width, f"a poster {width} wide"
    )


def poster(path: Path, width: int, inside: str = "") -> Path:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="90">'
    path.write_text(f"{head}<text>{{{{title}}}}</text><g>{{{{qr}}}}</g>{inside}</svg>")
    return path


def test_a_promoter_sees_the_merchants_poster_and_texts(instance: Instance, browser: Browser, tmp_path: Path) -> None:
    with browser.new_context(locale="en-GB") as context:
        admin = Person.arrives(context, instance.admin)
        admin.signs_in(first_token(instance))
        admin.opens("products/tea")
        page = admin.page
        page.get_by_role("button", name="Its merchant's").click()
        page.get_by_label("Texts to copy").fill("{{product}} & more: {{url}}\n{{coupon}} is your code\n")
        for width, inside, says in ((50, "<script/>", "a poster may have no <script>"), (60, "", "Saved")):
            page.get_by_label("SVG file").set_input_files(poster(tmp_path / f"{width}.svg", width, inside))
            draws(page, width)
            page.get_by_role("button", name="Save poster and texts").click()
            shows(page, says)
        assert admin.findings() == []
        page.get_by_role("button", name="This product's").click()
        shows(page, "poster of merchant:demo-shop")
    given = instance.get("merchants/demo-shop/template")
    assert given["texts"] == ["{{product}} & more: {{url}}", "{{coupon}} is your code"]
    token = instance.post("tokens", role="promoter:wen")["token"]
    name = instance.get("products/tea")["name"]
    instance.post("links", code="wen-tea", promoter="wen", product="tea")
    with browser.new_context(locale="en-GB") as context:
        promoter = Person.arrives(context, instance.admin)
        promoter.signs_in(token)
        promoter.opens("links")
        page = promoter.page
        page.get_by_role("row").filter(has_text="wen-tea").get_by_role("button", name="Share").click()
        shows(page, f"{name} & more: {instance.edge}/c/wen-tea")
        assert "is your code" not in page.inner_text("main")
        draws(page, 60)
        with page.expect_download() as got:
            page.get_by_role("button", name="Poster SVG", exact=True).click()
        got.value.save_as(tmp_path / "got.svg")
        assert f"<text>{name}</text><g><svg" in (tmp_path / "got.svg").read_text()
        page.get_by_text("Use a template of your own").click()
        page.get_by_label("SVG file").set_input_files(poster(tmp_path / "own.svg", 70))
        draws(page, 70)
        page.get_by_role("button", name="Back to the standard one").click()
        draws(page, 60)
        assert promoter.complaints() == []
    instance.call("PUT", "merchants/demo-shop/template", {})


def test_who_is_invited_applies_and_an_admin_approves(instance: Instance, browser: Browser) -> None:
    instance.post("invites", code="spring", parent="bo")
    with browser.new_context(locale="en-GB") as context:
        stranger = Person.arrives(context, instance.admin)
        stranger.page.goto(f"{instance.admin}/#/apply/spring")
        stranger.page.get_by_label("Name").fill("Xiao Yu")
        stranger.page.get_by_label("The code that you want").fill("yu")
        assert stranger.findings() == []
        stranger.page.get_by_role("button", name="Send the application").click()
        shows(stranger.page, "It waits for an administrator")
        with browser.new_context(locale="en-GB") as office:
            admin = Person.arrives(office, instance.admin)
            admin.signs_in(first_token(instance))
            admin.opens("applications")
            admin.page.get_by_role("button", name="Approve").click()
            admin.page.locator("dialog button[type=submit]").click()
            shows(admin.page, "No application waits.")
        stranger.page.reload()
        shows(stranger.page, "You are a promoter now.")
        assert instance.get("promoters/yu")["parent"] == "bo"


def test_a_payout_is_asked_for_in_the_currency_that_is_said(instance: Instance, browser: Browser) -> None:
    with browser.new_context(locale="en-GB") as context:
        person = Person.arrives(context, instance.admin)
        person.signs_in(first_token(instance))
        person.opens("payouts")
        person.page.get_by_role("button", name="New payout").click()
        person.page.locator("dialog").get_by_label("Promoter").fill("bo")
        person.page.locator("dialog").get_by_label("Currency").fill("usd")
        person.page.locator("dialog button[type=submit]").click()
        shows(person.page, "USD")  # in the refusal: the demo has none


def test_a_webhook_is_made_retried_paused_and_deleted(
    instance: Instance, browser: Browser, takes_it: tuple[str, list[int]]
) -> None:
    url, status = takes_it
    with browser.new_context(locale="en-GB") as context:
        person = Person.arrives(context, instance.admin)
        page = person.page
        person.signs_in(first_token(instance))
        person.opens("webhooks")
        page.get_by_role("button", name="New webhook").click()
        page.locator("dialog").get_by_label("Code").fill("till")
        page.locator("dialog").get_by_label("Address").fill(url)
        page.locator("dialog").get_by_label("conversion.created").uncheck()
        page.locator("dialog button[type=submit]").click()
        assert page.locator("dialog code").inner_text().startswith("whsec_")
        assert person.findings() == []
        page.get_by_role("button", name="Close").click()
        assert "conversion.created" not in instance.get("webhooks/till")["events"]

        instance.post("settlements")
        until(lambda: instance.get("webhooks/till/deliveries")["items"], "a delivery")
        page.get_by_role("link", name="till").click()
        shows(page, "being retried")
        assert "503" in page.inner_text("tbody")
        assert person.findings() == []
        status[0] = 204
        page.get_by_role("button", name="Send again: evt_").first.click()
        page.locator("dialog button[type=submit]").click()
        until(lambda: "delivered" in page.inner_text("tbody"), "the delivery")

        page.locator("form").get_by_label("Status").select_option("paused")
        page.get_by_role("button", name="Save").click()
        until(lambda: instance.get("webhooks/till")["status"] == "paused", "the pause")
        page.get_by_role("button", name="Delete").click()
        page.locator("dialog button[type=submit]").click()
        shows(page, "There are no webhooks yet.")
        assert person.complaints() == []


def test_a_refused_postback_is_tried_again_and_counts(instance: Instance, browser: Browser) -> None:
    instance.merchant("later")
    said, answer = instance.postback("later", pid="not-yet", oid="o-1", amount="10.00", aff="bo")
    assert (said, answer["code"]) == (422, "unknown_product")
    until(lambda: instance.get("postbacks/refused?merchant=later")["items"], "the refused postback")
    with browser.new_context(locale="en-GB") as context:
        person = Person.arrives(context, instance.admin)
        person.signs_in(first_token(instance))
        person.opens("postbacks")
        shows(person.page, "There is no such product.")
        shows(person.page, "oid=o-1")
        assert person.findings() == []
        again = person.page.get_by_role("button", name="Try again")
        again.click()
        assert person.findings() == [], "the dialog"
        person.page.locator("dialog button[type=submit]").click()
        shows(person.page, "It still does not count.")
        instance.product("not-yet", merchant="later")
        again.click()
        person.page.locator("dialog button[type=submit]").click()
        shows(person.page, "It counts now.")
        shows(person.page, "Nothing was refused.")
        assert person.complaints() == []
    assert len(instance.get("conversions?order_id=o-1&merchant=later")["items"]) == 1


def test_cohorts_say_how_many_customers_came_back(instance: Instance, browser: Browser, tmp_path: Path) -> None:
    orders = [("2026-03-10", "c1"), ("2026-03-12", "c2"), ("2026-05-15", "c1")]
    rows = [f"{day}T12:00:00Z,tea,C-{number},10.00,{cust},bo" for number, (day, cust) in enumerate(orders)]
    (tmp_path / "orders.csv").write_text("\n".join(["time,pid,order_id,amount,cust,aff", *rows]))
    tuike("import", "conversions", tmp_path / "orders.csv", "--data", instance.data)
    with browser.new_context(locale="en-GB") as context:
        person = Person.arrives(context, instance.admin)
        person.signs_in(first_token(instance))
        person.opens("cohorts")
        person.page.get_by_role("button", name="Read all orders now").click()
        row = person.page.get_by_role("row").filter(has_text="2026-03")
        row.wait_for()
        assert row.inner_text().split("\t")[1:3] == ["2", "3"]
        assert row.inner_text().rstrip().endswith("50%")
        assert person.findings() == []
        assert person.complaints() == []


def test_a_promoter_sees_what_became_of_each_click(instance: Instance, browser: Browser) -> None:
    token = instance.post("tokens", role="promoter:bo")["token"]
    bots, people = {"User-Agent": "Googlebot/2.1"}, {"User-Agent": "Mozilla/5.0 (X11) Firefox/140.0"}
    for agent in (bots, people):
        assert instance.click("/r?aff=bo&pid=tea&sub1=seen-below", **agent)[0] == 302
    listed = "clicks?promoter=bo&limit=2"
    until(lambda: [one["sub1"] for one in instance.get(listed)["items"]] == ["seen-below"] * 2, "both clicks")
    with browser.new_context(locale="en-GB") as context:
        person = Person.arrives(context, instance.admin)
        person.signs_in(token)
        person.opens("clicks")
        rows = person.page.get_by_role("row").filter(has_text="seen-below").filter(has_text="Tea").all_inner_texts()
        assert any("It counts." in row for row in rows), rows
        assert any("A bot." in row for row in rows), rows
        assert person.findings() == []
        assert person.complaints() == []


def test_a_table_of_groups_says_when_it_is_cut_short(instance: Instance, browser: Browser, tmp_path: Path) -> None:
    at = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds")
    clicks = [f"{at},wen,tea,s-{number},label-{number}" for number in range(201)]
    (tmp_path / "clicks.csv").write_text("\n".join(["time,aff,pid,visitor,sub2", *clicks]))
    tuike("import", "clicks", tmp_path / "clicks.csv", "--data", instance.data)
    with browser.new_context(locale="en-GB", timezone_id="Asia/Shanghai") as context:
        person = Person.arrives(context, instance.admin)
        person.signs_in(first_token(instance))
        person.opens("trend")
        person.page.get_by_label("Group by").select_option("sub2")
        shows(person.page, "The first 200 of 201")
        assert person.complaints() == []


def test_a_contest_is_announced_and_its_prizes_are_paid(instance: Instance, browser: Browser) -> None:
    first, last = (f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d}" for ago in (20, 2))
    with browser.new_context(locale="en-GB", timezone_id="UTC") as context:
        person = Person.arrives(context, instance.admin)
        page = person.page
        person.signs_in(first_token(instance))
        person.opens("contests")
        page.get_by_role("button", name="New contest").click()
        form = page.locator("dialog")
        for label, value in (("Code", "may"), ("Name", "May"), ("First day", first), ("Last day", last)):
            form.get_by_label(label).fill(value)
        form.get_by_label("Prizes in CNY").fill("100 50.50")
        assert person.findings() == []
        form.locator("button[type=submit]").click()
        page.get_by_role("link", name="May").click()
        shows(page, "Standings")
        names = page.locator("tbody td:nth-child(2)")
        names.first.wait_for()
        leaders = [text.split()[0] for text in names.all_inner_texts()]
        page.get_by_role("button", name="Pay the prizes").click()
        page.locator("dialog button[type=submit]").click()
        shows(page, "Winners")
        winners = instance.get("contests/may")["winners"]
        assert [won["promoter"] for won in winners] == leaders[:2]
        assert [won["amount"] for won in winners] == ["100.00", "50.50"]
        assert person.complaints() == []
    token = instance.post("tokens", role=f"promoter:{leaders[1]}")["token"]
    with browser.new_context(locale="en-GB", timezone_id="UTC") as context:
        person = Person.arrives(context, instance.admin)
        person.signs_in(token)
        person.opens("rank")
        shows(person.page, "#2 · 50.50 CNY")


def test_one_signs_out_and_the_page_asks_again(instance: Instance, browser: Browser) -> None:
    with browser.new_context(locale="en-GB") as context:
        person = Person.arrives(context, instance.admin)
        person.signs_in(first_token(instance))
        person.opens("payouts")
        person.page.get_by_role("button", name="Sign out").click()
        person.page.wait_for_selector("input[type=password]")
        assert context.cookies() == []
        person.page.reload()
        person.page.wait_for_selector("input[type=password]")


@pytest.mark.skipif(not SCREENSHOT, reason="the README's screenshot is taken anew with TUIKE_SCREENSHOT=1")
def test_the_screenshot_of_the_readme(instance: Instance, browser: Browser) -> None:
    size = {"width": 1280, "height": 800}
    with browser.new_context(
        locale="en-GB", color_scheme="light", timezone_id="Asia/Shanghai", viewport=size
    ) as context:
        person = Person.arrives(context, instance.admin)
        person.signs_in(first_token(instance))
        person.opens("trend")
        person.page.get_by_role("button", name="30 days").click()
        person.settles()
        person.page.wait_for_timeout(500)
        person.page.screenshot(path=ROOT / "docs" / "dashboard.png")
