"""How long reports take over the sums of 100 million events: 30 days of quarter-hours, asked of the admin API."""

import http.client
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode

from sqlalchemy import insert, select

import machine
import registry
import servers
from part import Bench, Figure, Json, Result
from servers import ServerFailed
from stencil import journal
from tuike import _core
from tuike.data import Data
from tuike.stores import engine, rollups, schema
from workload import CURRENCY, MERCHANT, PRODUCTS, PROMOTERS

DAYS = 30
DAYS_QUICK = 2
DAY = 86_400
QUARTER = 900
PAIRS = 300
"""Links that have hits in a quarter-hour."""
HITS = 116
"""Hits of each of them; in 30 days 100 million."""
VISITORS = 80
"""How many people they are."""
LABELLED = 2
"""One in so many has a label besides."""
ORDERED = 10
"""One in so many has orders."""
SKETCHES = 512
SUMS = (
    schema.rollups,
    schema.order_rollups,
    schema.hit_days,
    schema.order_days,
    schema.hit_cuts,
    schema.order_cuts,
)
ASKED = 15
PATIENCE = 10.0
"""Seconds after which a report is not asked for again."""
AT_MOST_MS = 200.0
ADMIN = "127.0.0.1"

Row = tuple[int, str, str, str, str, int, str, int, int, int, int, bytes]


def measure(bench: Bench) -> Result:
    result = Result()
    data = registry.copy(bench.base, bench.directory / "reports")
    days = DAYS_QUICK if bench.settings.quick else DAYS
    end = int(time.time()) // DAY * DAY
    summed = fill(data, days, end, sketches(bench))
    port = servers.free_port()
    log = bench.directory / "admin.log"
    command = [sys.executable, "-m", "tuike", "admin", "--data", str(data.root), "--admin-port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, preexec_fn=machine.pin(bench.cores.server))
    try:
        servers.until(lambda: servers.accepts(port), process, log)
        token = data.admin_token.read_text().strip()
        paths = _get(port, token, "/v1/openapi.json")["paths"]
        period = {"from": _day(end - days * DAY), "to": _day(end - DAY)}
        whole = _get(port, token, f"/v1/reports/summary?{urlencode(period)}")
        result.count("hits in the report's sums", summed, whole["impressions"] + whole["clicks"])
        for name, path, query in (
            ("reports/summary", "/v1/reports/summary", {}),
            ("reports/summary by day", "/v1/reports/summary", {"group_by": "day"}),
            ("reports/summary by promoter", "/v1/reports/summary", {"group_by": "promoter"}),
            ("reports/summary by product", "/v1/reports/summary", {"group_by": "product"}),
            ("reports/summary of a promoter", "/v1/reports/summary", {"promoter": PROMOTERS[7]}),
            ("reports/trend by day", "/v1/reports/trend", {}),
            ("reports/trend by day in Shanghai", "/v1/reports/trend", {"tz": "Asia/Shanghai"}),
            ("reports/trend by day in Kathmandu", "/v1/reports/trend", {"tz": "Asia/Kathmandu"}),
            ("reports/trend by hour", "/v1/reports/trend", {"interval": "hour"}),
            ("reports/leaderboard", "/v1/reports/leaderboard", {"metric": "clicks"}),
            ("reports/anomalies", "/v1/reports/anomalies", {}),
        ):
            if path not in paths:
                result.left_out.append(f"{name}: not in this version")
                continue
            times = _times(port, token, f"{path}?{urlencode(period | query)}")
            what = f"{name} over {summed // 1_000_000} million events"
            result.figures.append(Figure(what, "ms", times, at_most=AT_MOST_MS))
    finally:
        servers.end(process)
    return result


def fill(data: Data, days: int, end: int, drawn: list[bytes]) -> int:
    """Writes a day's sums as the processor would, and the other days alike; how many hits they stand for. `end` in
    seconds."""
    books = engine.open_writer(data.database)
    first = end - days * DAY
    rows = [row for quarter in range(first, first + DAY, QUARTER) for row in _rows(quarter, drawn)]
    with books.begin() as connection:
        rollups.add_rollups(connection, rows)
        rollups.add_orders(connection, [_ordered(row) for row in rows[::ORDERED]])
    for table in SUMS:
        with books.begin() as connection:
            for day in range(1, days):
                later = [column + day * DAY if column.name == "bucket" else column for column in table.columns]
                of_first = select(*later).where(table.c.bucket >= first, table.c.bucket < first + DAY)
                connection.execute(insert(table).from_select([column.name for column in table.columns], of_first))
    books.dispose()
    return days * DAY // QUARTER * PAIRS * HITS


def _rows(quarter: int, drawn: list[bytes]) -> Iterator[Row]:
    """The rows of a quarter-hour: `PAIRS` of all hits, some of a label besides."""
    chance = random.Random(quarter)
    clicks = HITS // 3
    views = HITS - clicks
    for number in range(PAIRS):
        where = (quarter, MERCHANT, PRODUCTS[number % len(PRODUCTS)], PROMOTERS[number], "web")
        yield *where, 0, "", views, clicks, 1, 0, chance.choice(drawn)
        if number % LABELLED == 0:
            yield *where, 1, f"post-{chance.randrange(5)}", views, clicks, 1, 0, chance.choice(drawn)


def _ordered(row: Row) -> tuple[object, ...]:
    """The sums of orders beside a row of hits: two conversions of its bucket and dimensions."""
    return *row[:7], CURRENCY, 2, 19_800, 2_970


def sketches(bench: Bench) -> list[bytes]:
    """Sketches of as many visitors as a row has."""
    chance = random.Random(5)
    now = time.time_ns() // 1_000_000
    click = {"kind": "click", "at": now, "received": now, "merchant": MERCHANT, "pid": PRODUCTS[0], "counted": True}
    payloads = [
        _core.encode_event(click | {"aff": f"p{number}", "visitor": chance.randbytes(16).hex()})
        for number in range(SKETCHES)
        for _ in range(VISITORS)
    ]
    root = str(bench.directory / "sketches")
    journal(root, "edge-0", payloads, now)
    batch = _core.Follower(root).read({}, len(payloads), now)
    return [row[-1] for row in batch.rollups()]


def _get(port: int, token: str, path: str) -> Json:
    connection = http.client.HTTPConnection(ADMIN, port, timeout=servers.START_LIMIT)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    body: Json = json.loads(answer.read())
    connection.close()
    if answer.status != 200:
        raise ServerFailed(f"{path}: {answer.status} {body}")
    return body


def _times(port: int, token: str, path: str) -> tuple[float, ...]:
    """Milliseconds of each request."""
    times: list[float] = []
    while len(times) < ASKED and sum(times) < PATIENCE * 1000:
        began = time.perf_counter()
        _get(port, token, path)
        times.append((time.perf_counter() - began) * 1000)
    return tuple(times)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
