"""How long the dashboard's views take on a large instance, from the click to all data shown, as Chromium has it.

`python bench/views.py [--quick] [DIRECTORY]` measures it by itself; with `make bench` it is the part `views`.
"""

import random
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser
from sqlalchemy import insert

import books
import registry
import reporting
import servers
from machine import Cores
from part import Bench, Figure, Result, Settings
from tuike.data import Data
from tuike.stores import engine, schema
from workload import PRODUCTS, PROMOTERS

# the person at the dashboard is that of its tests
TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "browser")]

from looking import AXE, OF_ADMINS, OF_PROMOTERS, STATIC, Person  # noqa: E402

import chromium  # noqa: E402

PEOPLE = 1_000_000
PEOPLE_QUICK = 20_000
ORDERS = 20_000
ORDERS_QUICK = 1_000
FIRST = 10_000
"""So many were invited by nobody."""
AT_ONCE = 50_000
"""Promoters of an insert."""
TIMES = 5
START_LIMIT = 300.0
"""Seconds."""
AT_MOST_MS = 200.0
TEAM = PROMOTERS[0]
"""The promoter who signs in: all other promoters of the base are below."""

COUNTED = """window.asked = 0;
const ask = window.fetch;
window.fetch = (...what) => {
  window.asked++;
  return ask(...what).finally(() => requestAnimationFrame(() => window.asked--));
};"""
"""What is asked for counts until the frame after its answer."""
TIMED = """async (hash) => {
  const frame = () => new Promise(requestAnimationFrame);
  const began = performance.now();
  location.hash = hash;
  await frame();
  let idle = 0, at = 0;
  while (idle < 4) {
    await frame();
    const main = document.querySelector("main");
    const done = window.asked === 0 && main.querySelector("h1") && !main.textContent.includes("Loading …");
    if (done && idle === 0) at = performance.now();
    idle = done ? idle + 1 : 0;
  }
  return at - began;
}"""
"""Milliseconds until nothing is asked for any more, and all that came is shown."""


def measure(bench: Bench) -> Result:
    result = Result()
    if chromium.CHROMIUM is None or not STATIC.exists() or not AXE.exists():
        result.left_out.append("the dashboard's views: Chromium or the built dashboard is missing (make setup)")
        return result
    data = registry.copy(bench.base, bench.directory / "large")
    make(bench, data)
    look(bench, data, result)
    return result


def make(bench: Bench, data: Data) -> None:
    quick = bench.settings.quick
    books.book(data, ORDERS_QUICK if quick else ORDERS)
    days = reporting.DAYS_QUICK if quick else reporting.DAYS
    reporting.fill(data, days, int(time.time()) // reporting.DAY * reporting.DAY, reporting.sketches(bench))
    people(data, PEOPLE_QUICK if quick else PEOPLE)


def look(bench: Bench, data: Data, result: Result) -> None:
    with _served(bench, data) as admin, chromium.launched() as browser:
        for role in ("admin", f"promoter:{TEAM}"):
            _walk(browser, admin, data, role, result)


def people(data: Data, count: int) -> None:
    """Promoters as the books write them: every one later than `FIRST` was invited by some earlier one."""
    chance = random.Random(7)
    fields = {"kind": "member", "tax": '{"scheme":"none"}', "person": "", "customers": "[]", "status": "active"}
    now = time.time_ns() // 1_000_000
    database = engine.open_writer(data.database)
    with database.begin() as connection:
        for start in range(0, count, AT_ONCE):
            rows = []
            for number in range(start, min(start + AT_ONCE, count)):
                parent = f"member-{chance.randrange(number):07}" if number >= FIRST else None
                about = {"id": f"member-{number:07}", "name": f"Member {number}", "parent": parent}
                rows.append(about | fields | {"created": now, "body": ""})
            connection.execute(insert(schema.promoters), rows)
    database.dispose()


@contextmanager
def _served(bench: Bench, data: Data) -> Iterator[str]:
    """The address of the dashboard of a whole instance."""
    port, edge = servers.free_port(), servers.free_port()
    command = [sys.executable, "-m", "tuike", "serve", "--data", str(data.root), "--workers", "1"]
    command += ["--admin-port", str(port), "--edge-port", str(edge)]
    process, log = servers.spawn(command, bench.directory / "serve.log", bench.cores.server)
    admin = f"http://127.0.0.1:{port}"
    try:
        servers.until(lambda: _is_ready(admin), process, log, START_LIMIT)
        yield admin
    finally:
        servers.end(process)


def _is_ready(admin: str) -> bool | None:
    """The processor has read a million promoters then."""
    try:
        with urllib.request.urlopen(f"{admin}/readyz", timeout=START_LIMIT) as answer:
            return True if answer.status == 200 else None
    except OSError:
        return None


def _walk(browser: Browser, admin: str, data: Data, role: str, result: Result) -> None:
    """Every view of a role, several times; each is looked at once."""
    with browser.new_context(locale="en-GB") as context:
        person = Person.arrives(context, admin)
        person.page.add_init_script(COUNTED)
        token = data.admin_token.read_text().strip()
        if role != "admin":
            made = context.request.post(f"{admin}/v1/tokens", data={"role": role}, headers=_authorised(token))
            token = made.json()["token"]
        person.signs_in(token)
        newest = context.request.get(f"{admin}/v1/conversions?limit=1", headers=_authorised(token))
        order = newest.json()["items"][0]["id"]
        of_admins = (*OF_ADMINS, f"conversions/{order}", f"promoters/{TEAM}", f"products/{PRODUCTS[0]}")
        views = of_admins if role == "admin" else (*OF_PROMOTERS, f"orders/{order}")
        times: dict[str, list[float]] = {view: [] for view in views}
        for turn in range(TIMES):
            for view in views:
                times[view].append(person.page.evaluate(TIMED, f"#/{view}"))
                if turn == 0:
                    result.faults += [f"{role}, {view}: {found}" for found in person.findings()]
        for view, taken in times.items():
            name = view if "/" not in view else f"{view.partition('/')[0]}, one"
            result.figures.append(Figure(f"{role.partition(':')[0]}: {name}", "ms", tuple(taken), at_most=AT_MOST_MS))
        result.faults += [f"{role}: the console says {said}" for said in person.complaints()]


def _authorised(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def main(arguments: list[str]) -> None:
    """`--quick` makes a small instance. A directory that is named keeps it, and is looked at again the next time."""
    paths = [Path(argument) for argument in arguments if argument != "--quick"]
    settings = Settings(rounds=1, seconds=0, connections=0, drained=0, booked=0, quick="--quick" in arguments)
    result = Result()
    with TemporaryDirectory() as root:
        bench = Bench(settings, Cores.choose(), Path(), Path(), Path(root))
        path = paths[0] if paths else bench.directory / "large"
        if path.exists():
            data = Data.open(path)
        else:
            data = registry.make(path)
            make(bench, data)
        look(bench, data, result)
    for figure in result.figures:
        print(f"{figure.name}: {figure.median:.0f} ms ({min(figure.values):.0f} to {max(figure.values):.0f})")
    for fault in result.faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if result.faults else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
