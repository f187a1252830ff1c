"""A newcomer's path, as the README has it: the demo, an order, its why, half of it refunded, settled, paid, proven.

What takes a day, its end, passes by a clock that is set ahead.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from looking import Person, built, shows
from playwright.sync_api import Browser, BrowserContext, Error, Page

import chromium
import installed
from instance import Instance, tuike
from waiting import until

pytestmark = [
    chromium.needed,
    built,
    installed.needed(shutil.which("curl") and shutil.which("openssl"), "curl or openssl is not installed"),
]

DAY = 86_400


@contextmanager
def clock(library: Path, ahead: int) -> Iterator[None]:
    """Of what is started inside."""
    os.environ.update(LD_PRELOAD=str(library), TUIKE_CLOCK_AHEAD=str(ahead))
    try:
        yield
    finally:
        del os.environ["LD_PRELOAD"], os.environ["TUIKE_CLOCK_AHEAD"]


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium.launched() as browser:
        yield browser


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    instance = Instance(tmp_path / "data", "--workers", "1", "--demo")
    try:
        instance.start()
        yield instance
    finally:
        if instance._process is not None and instance._process.poll() is None:
            instance.kill()


def printed(instance: Instance) -> str:
    """The demo's lines that click and order, as they stand in what was printed."""
    until(lambda: "/postback?" in instance.log.read_text(), "the demo's lines")
    lines = re.findall(r"^ +(click=.*|order=.*|sig=.*|curl \".*postback.*)$", instance.log.read_text(), re.MULTILINE)
    return "\n".join(lines[:4])


def test_from_a_click_to_a_proven_statement(
    instance: Instance, browser: Browser, wrong_clock: Path, tmp_path: Path
) -> None:
    with browser.new_context(locale="en-GB", timezone_id="UTC") as context:
        token = (instance.data / "admin.token").read_text().strip()
        person = Person.arrives(context, instance.admin)
        page = person.page
        person.signs_in(token)
        person.opens("live")
        shows(page, "No conversions yet.")
        assert follows(context, f"{instance.edge}/c/tea-bo").startswith("https://shop.example/tea?from=bo&click_id=")
        until(lambda: figure(page, "Clicks").startswith("1"), "the click to be seen live")
        done = subprocess.run(["bash", "-euc", printed(instance)], capture_output=True, text=True, timeout=60)
        assert "event_id" in done.stdout, done
        shows(page, "demo-")
        shows(page, "336.00")  # 14 % of 2,400.00 to three levels
        page.locator("table a", has_text="demo-").first.click()
        shows(page, "It counts.")
        assert [shown(page, who) for who in ("bo", "mei", "lin")] == ["240.00", "72.00", "24.00"]

        page.get_by_role("button", name="Refund").click()
        page.get_by_label("Amount in CNY").fill("1200.00")
        page.get_by_label("Reason").fill("half came back")
        page.locator("dialog button[type=submit]").click()
        until(lambda: [shown(page, who) for who in ("bo", "mei", "lin")] == ["120.00", "36.00", "12.00"], "the refund")

        person.opens("settlements")
        page.get_by_role("button", name="Settle what is due").click()
        page.locator("dialog button[type=submit]").click()
        shows(page, "168.00")
        person.opens("payouts")
        page.get_by_role("button", name="New payout").click()
        page.locator("dialog").get_by_label("Promoter").fill("bo")
        page.locator("dialog button[type=submit]").click()
        page.locator("main td").get_by_role("button", name="Paid").click()
        page.locator("dialog button[type=submit]").click()
        until(lambda: "paid" in page.inner_text("tbody"), "the payout to be paid")

        person.opens("promoters/bo")
        shows(page, "once a day (UTC) with entries is over")
        page.get_by_role("button", name="Make a token").click()
        page.locator("dialog button[type=submit]").click()
        promoter = page.locator("dialog code").inner_text()
        assert person.complaints() == []

    instance.stop()
    with clock(wrong_clock, DAY):
        instance.start()
    until(lambda: instance.get("promoters/bo/statements")["items"], "the day to be closed")
    for signed_in, view in ((token, "promoters/bo"), (promoter, "earnings")):
        with browser.new_context(locale="en-GB", timezone_id="UTC", accept_downloads=True) as context:
            person = Person.arrives(context, instance.admin)
            person.signs_in(signed_in)
            person.opens(view)
            shows(person.page, "120.00")
            with person.page.expect_download() as got:
                person.page.locator("a", has_text="Download").last.click()
            statement = tmp_path / "statement.json"
            got.value.save_as(statement)
            assert person.complaints() == []
        assert "ok" in tuike("verify", "--statement", statement).stdout


def follows(context: BrowserContext, link: str) -> str:
    """Where a link leads, in a page of its own; the demo's shop is not there to answer."""
    with context.new_page() as page:
        with page.expect_request("https://shop.example/**") as asked, suppress(Error):
            page.goto(link)
        return asked.value.url


def figure(page: Page, label: str) -> str:
    """What stands beside a label of the live view."""
    text: str = page.locator("dl.stats div", has_text=label).locator("dd").first.inner_text()
    return text


def shown(page: Page, promoter: str) -> str:
    """What a promoter's share stands at, on the page of an order."""
    row = page.locator("section", has_text="Who is paid").locator("tr", has_text=promoter).first
    text: str = row.locator("td").last.inner_text()
    return text.split()[0]
