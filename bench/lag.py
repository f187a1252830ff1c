"""Several machines while they run: how long until an answered order is in the books, and what shipping costs an edge.

The edge with its shipper and the processor have one core, PostgreSQL, Redis and the load the other, of which the load
takes what these leave; the database has its data in memory and does not fsync, Redis keeps nothing on a disk."""

import http.client
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Engine, func, select

import journals
import machine
import registry
import scaled
import servers
import visitors
import workload
from generator import Load
from part import Bench, Figure, Json, Result, ratios
from servers import Missing, Server
from tuike.data import SECRET_VARIABLE
from tuike.stores import engine, schema

# the database server is that of the tests: its data in memory, fsync off
sys.path.append(str(Path(__file__).parents[1] / "tests"))

import sql_servers

MUCH = 30_000.0
"""Hits a second, more than the processor takes in on these cores: how many it does is the whole load."""
HALF = 0.5
ORDERS = 50.0
"""A second beside the hits."""
LONGER = 4
"""Rounds of the lag take so many times as long as others: an order in a hundred is to be several of them."""
GIVING_WAY = 19
"""The load looks for what is due all the time; its processor time is that which nobody else wants."""
BEHIND_A_PROXY = ("--trusted-proxies", "127.0.0.1/32")
"""Of what ships and of what does not: to look for the client's address in each request costs something too."""
LAG_AT_MOST_MS = 500.0
SHIPPING_AT_LEAST = 0.9
"""Of an edge's throughput without it."""
LOOK = 0.02
LIMIT = 120.0
BOOKED = func.count(schema.conversions.c.number)


def measure(bench: Bench) -> Result:
    result = Result()
    try:
        with ExitStack() as running:
            database = running.enter_context(sql_servers.running("postgresql", *scaled.TUNED)).create()
            redis, port = servers.start_redis(bench)
            running.callback(servers.end, redis)
            books = engine.open_reader(engine.parse(database))
            running.callback(books.dispose)
            _measure(bench, result, books, database, redis, f"redis://127.0.0.1:{port}")
    except (Missing, sql_servers.NotInstalled) as missing:
        result.left_out.append(str(missing))
    return result


def _measure(
    bench: Bench, result: Result, books: Engine, database: str, redis: subprocess.Popen[bytes], url: str
) -> None:
    data = registry.copy(bench.base, bench.directory / "shipping")
    migrate = ["migrate", "--data", str(data.root), "--to", database, "--machines"]
    subprocess.run([sys.executable, "-m", "tuike", *migrate], check=True, stdout=subprocess.DEVNULL)
    joined = ["--database", database, "--redis", url]
    edge = servers.start_tuike(bench, "tuike, shipping", data=data, options=[*joined, *BEHIND_A_PROXY])
    with servers.stopping(edge):
        cookies = visitors.returning(edge)
        clicks = workload.redirects(cookies, _links(), posts=journals.LABELS)
        followed = visitors.write(bench, "followed", _from_everywhere(clicks))
        # of people who have no thousands of clicks: an order looks at its visitor's
        bought = workload.clicks(visitors.returning(edge))
        with _processor(bench, data.secret, joined) as processor:
            _wait(books, scaled.HITS, edge.answered)
            rate = HALF * _capacity(bench, edge, followed, books)
            rounds = [_lags(bench, edge, followed, rate, books, bought) for _ in range(bench.settings.rounds)]
            lags = [some for some, _ in rounds]
            orders = sum(map(len, lags))
            _wait(books, BOOKED, orders)
            alone = servers.start_tuike(bench, options=BEHIND_A_PROXY)
            with servers.stopping(alone):
                Load(bench, alone, followed).finish()  # it knows as many addresses as what ships
                edge.workers = machine.children(edge.process.pid)
                pixels = visitors.pixels(bench, cookies)
                # Redis stands for another machine: of the load's core it has what the load leaves, which is more than
                # it needs, and what the load cannot ask because of it is no cost of shipping
                os.sched_setscheduler(redis.pid, os.SCHED_IDLE, os.sched_param(0))
                for number in range(bench.settings.rounds):
                    _wait(books, scaled.HITS, edge.answered - orders)
                    measured = _ships(bench, alone, edge, pixels, processor.pid)
                    result.rounds += [{"round": number, **one} for one in measured]
            _wait(books, scaled.HITS, edge.answered - orders)
        result.count("hits folded beside orders", edge.answered - orders, scaled.count(books, scaled.HITS))
        result.count("orders booked beside hits", orders, scaled.count(books, BOOKED))
        result.figures += _of_lags(lags, statistics.median(reached for _, reached in rounds))
    for server in (alone, edge):
        result.count(f"hits, {server.name}", server.answered, server.recorded())
        result.faults += server.faults
    result.figures.append(_of_shipping(result.rounds))


@contextmanager
def _processor(bench: Bench, secret: str, joined: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A folder and a bookkeeper on the edge's core."""
    command = [sys.executable, "-m", "tuike", "process", "--data", str(bench.directory / "processor"), *joined]
    environment = {SECRET_VARIABLE: secret}
    log = bench.directory / "processor.log"
    process, _ = servers.spawn([*command, "--folders", "1"], log, bench.cores.server, environment=environment)
    try:
        yield process
    finally:
        servers.end(process)


def _ships(bench: Bench, alone: Server, edge: Server, pixels: Path, processor: int) -> tuple[Json, Json]:
    """One after the other. What ships has all that was shipped before in the books: the longer packets wait for their
    reader, the rarer are the next, and the less they cost."""
    with _standing_still(processor):
        with _standing_still(edge.process.pid):
            first = Load(bench, alone, pixels).finish()
        return first, Load(bench, edge, pixels).finish()


@contextmanager
def _standing_still(process: int) -> Iterator[None]:
    """It and its children: others have the core for themselves."""
    processes = [process, *machine.children(process)]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def _links() -> list[str]:
    """Some are followed much more than others, as in the journals of `drain` and `scaled`."""
    chance = random.Random(5)
    links = workload.LINKS
    return [links[int(len(links) * chance.random() ** journals.POPULARITY)] for _ in range(workload.VARIANTS)]


def _from_everywhere(requests: bytes) -> bytes:
    """Each from an address of its own, as the proxy before an edge says it: an order looks at its address's clicks."""
    heads = requests.split(b"\r\n\r\n")[:-1]
    said = [b"%b\r\nX-Forwarded-For: 10.0.%d.%d\r\n\r\n" % (head, *divmod(n, 256)) for n, head in enumerate(heads)]
    return b"".join(said)


def _capacity(bench: Bench, edge: Server, hits: Path, books: Engine) -> float:
    """Hits a second that the processor takes in when there are more."""
    before, began = edge.answered, time.monotonic()
    Load(bench, edge, hits, rate=MUCH, seconds=bench.settings.seconds * LONGER, nice=GIVING_WAY).finish()
    _wait(books, scaled.HITS, edge.answered)
    return (edge.answered - before) / (time.monotonic() - began)


def _lags(
    bench: Bench, edge: Server, hits: Path, rate: float, books: Engine, clicks: Sequence[str]
) -> tuple[list[float], float]:
    """Of orders beside hits, the seconds from each one's answer until a look finds it in the books; and how many hits a
    second there were."""
    load = Load(bench, edge, hits, rate=rate, seconds=bench.settings.seconds * LONGER, nice=GIVING_WAY)
    began = time.monotonic()
    connection = http.client.HTTPConnection(edge.host, timeout=servers.START_LIMIT)
    answered: dict[str, float] = {}
    lags: list[float] = []
    seen = scaled.count(books, func.max(schema.conversions.c.number))
    orders = int(bench.settings.seconds * LONGER * ORDERS)
    # a look is one statement: it is made beside what is measured
    with books.connect().execution_options(isolation_level="AUTOCOMMIT") as looking:
        while len(lags) < orders:
            if len(answered) < orders and time.monotonic() >= began + len(answered) / ORDERS:
                id = f"order-{os.getpid()}-{time.monotonic_ns()}"
                _order(connection, id, clicks[len(answered) % len(clicks)])
                answered[id] = time.monotonic()
                edge.answered += 1
            for number, id in _booked(looking, seen):
                lags.append(time.monotonic() - answered[id])
                seen = number
            if time.monotonic() > began + LIMIT:
                left = f"{orders - len(lags)} of {orders} orders"
                raise servers.ServerFailed(f"{left} are not booked after {LIMIT:.0f} s")
            time.sleep(LOOK)
    connection.close()
    return lags, load.finish()["requests_per_second"]


def _order(connection: http.client.HTTPConnection, id: str, click: str) -> None:
    order = {"oid": id, "pid": workload.PRODUCTS[0], "click_id": click, "amount": "10.00"}
    order["currency"] = workload.CURRENCY
    form = workload.postback(order, int(time.time()))
    connection.request("POST", "/postback", form, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    if answer.status != 202:
        raise servers.ServerFailed(f"an order was answered with {answer.status}: {answer.read()!r}")
    answer.read()


def _booked(books: Connection, after: int) -> list[tuple[int, str]]:
    """The numbers and ids of orders above a number, in their order."""
    number, id = schema.conversions.c.number, schema.conversions.c.order_id
    rows = books.execute(select(number, id).where(number > after).order_by(number))
    return [(int(row[0]), str(row[1])) for row in rows]


def _of_lags(lags: Sequence[Sequence[float]], rate: float) -> Iterator[Figure]:
    note = f"{rate:,.0f} hits/s and {ORDERS:.0f} orders/s beside; looked every {LOOK * 1000:.0f} ms"
    for name, share, most in (("p50", 0.5, None), ("p99", 0.99, LAG_AT_MOST_MS)):
        values = tuple(sorted(some)[int(len(some) * share)] * 1000 for some in lags)
        yield Figure(f"from an order's answer to the books, {name}", "ms", values, at_most=most, note=note)


def _of_shipping(rounds: Sequence[Json]) -> Figure:
    alone, ships = rounds[0::2], rounds[1::2]
    rates = ([measured["requests_per_second"] for measured in some] for some in (ships, alone))
    cpu = [statistics.median(measured["server_cpu_us"] for measured in some) for some in (alone, ships)]
    note = f"CPU of a hit {cpu[0]:.1f} µs, with all of the shipping machine's processes {cpu[1]:.1f}"
    return Figure("an edge that ships against one alone", "times", ratios(*rates), SHIPPING_AT_LEAST, note=note)


def _wait(books: Engine, what: ColumnElement[int], least: int) -> None:
    end = time.monotonic() + LIMIT
    while (there := scaled.count(books, what)) < least:
        if time.monotonic() > end:
            raise servers.ServerFailed(f"{least - there} of {least} are not in the books after {LIMIT:.0f} s")
        time.sleep(LOOK)
