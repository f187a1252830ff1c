"""A person at the dashboard: what the page says, what the browser complains of, what axe finds, how long it takes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, Response

import chromium
import installed
from waiting import until

ROOT = Path(__file__).parents[2]
AXE = ROOT / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
STATIC = ROOT / "python" / "tuike" / "admin" / "static" / "index.html"
GRAVE = ("serious", "critical")
OF_ADMINS = (
    *("live", "trend", "promoters", "applications", "conversions", "review", "postbacks", "settlements"),
    *("payouts", "leaderboard", "contests", "anomalies", "cohorts", "products", "webhooks"),
)
OF_PROMOTERS = ("earnings", "orders", "clicks", "links", "team", "rank")
WAITING = ("Loading …", "加载中…")

built = installed.needed(STATIC.exists() and AXE.exists(), "the dashboard is not built (make setup)")


@dataclass
class Person:
    """One browser window, and what it has heard: `took` is how many milliseconds each answer took the server."""

    page: Page
    admin: str
    said: list[tuple[str, str]] = field(default_factory=list)
    took: dict[str, float] = field(default_factory=dict)

    @classmethod
    def arrives(cls, context: BrowserContext, admin: str) -> "Person":
        context.set_default_timeout(chromium.PATIENT_MS)
        person = cls(context.new_page(), admin)
        person.page.on("console", lambda message: person._said(message.type, message.text, message.location["url"]))
        person.page.on("pageerror", lambda error: person.said.append((str(error), "")))
        person.page.on("requestfinished", lambda request: person._answered(request.response()))
        return person

    def signs_in(self, token: str) -> None:
        self.page.goto(f"{self.admin}/")
        self.page.fill("input[type=password]", token)
        self.page.click("button.main")
        self.page.wait_for_selector("nav")

    def opens(self, view: str) -> None:
        """Goes there and waits until nothing is on its way; the heading has the focus."""
        self.page.goto(f"{self.admin}/#/{view}")
        self.settles()
        assert self.page.evaluate("document.activeElement.tagName") == "H1", view

    def settles(self) -> None:
        """The live view's stream never ends, so the network is never idle: the page says when it waits."""
        self.page.wait_for_selector("main h1")
        until(lambda: not any(word in self.page.inner_text("main") for word in WAITING), "the page to be there")
        self.page.wait_for_timeout(150)

    def findings(self) -> list[str]:
        """What axe calls serious or critical."""
        self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = self.page.evaluate("axe.run()")
        return [
            f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']]}"
            for one in found["violations"]
            if one["impact"] in GRAVE
        ]

    def complaints(self) -> list[str]:
        """Errors of the console."""
        return [f"{text} {url}" for text, url in self.said]

    def _said(self, kind: str, text: str, url: str) -> None:
        if kind == "error":
            self.said.append((text, url))

    def _answered(self, response: Response | None) -> None:
        """Keeps the quickest of each: a loaded machine is not the server's slowness."""
        if response is None or "/v1/" not in response.url or response.url.endswith("/v1/live"):
            return
        timing = response.request.timing
        taken = timing["responseStart"] - timing["requestStart"]
        self.took[response.url] = min(taken, self.took.get(response.url, taken))


def shows(page: Page, text: str) -> None:
    until(lambda: text in page.inner_text("main"), f"the page to show {text!r}")
