"""10 million links and 10 million promoters: how long an edge worker takes to know them, in how much memory, and
whether its hits are slower then than with a thousand."""

import json
import secrets
import shutil
import time
from collections.abc import Iterator

import machine
import registry
import servers
import visitors
import workload
from generator import Load
from part import Bench, Figure, Result, ratios
from servers import Server, stopping
from tuike import _core
from tuike.books import entries, registry_log
from tuike.data import Data
from tuike.stores import engine

MANY = 10_000_000
MANY_QUICK = 100_000
VARIANTS = 65_536
"""Requests that are sent in turn: so many codes do not fit into the processor's nearest caches."""
BYTES_A_LINK = 1024
"""Memory that there should be before we begin: a link, a promoter and their tables while they grow."""
START_LIMIT = 600.0
SECONDS_AT_MOST = 10.0
ALL_AT_MOST = 1.5
OWN_AT_MOST = 0.1
"""GiB more than with a thousand links; what is not a worker's own is there once per machine."""
HITS_AT_LEAST = 0.9
GIB = 1 << 30
INCARNATION = 1


def measure(bench: Bench) -> Result:
    result = Result()
    many = MANY_QUICK if bench.settings.quick else MANY
    if machine.available_memory() < many * BYTES_A_LINK:
        result.left_out.append(f"{many:,} links: not begun with less than {many * BYTES_A_LINK / GIB:.0f} GiB free")
        return result
    data = registry.copy(bench.base, bench.directory / "many")
    _fill(data, many)
    began = time.monotonic()
    small = servers.start_tuike(bench, "a thousand links")
    usual = time.monotonic() - began
    with stopping(small):
        began = time.monotonic()
        large = servers.start_tuike(bench, f"{many:,} links", data=data, limit=START_LIMIT)
        seconds = time.monotonic() - began - usual
        with stopping(large):
            before, after = (machine.memory(server.workers[0]) for server in (small, large))
            hits = list(_hits(bench, result, small, large, many))
    for server in (small, large):
        result.count(f"hits with {server.name}", server.answered, server.recorded())
        result.faults += server.faults
    once, own = (max(0, more) / GIB for more in (after.mapped - before.mapped, after.own - before.own))
    what, peak = f"{many:,} links and promoters", f"peak {after.peak / GIB:.2f} GiB"
    result.figures = [
        Figure(f"{what}: load", "s", (seconds,), at_most=SECONDS_AT_MOST),
        Figure(f"{what}: memory with one worker", "GiB", (once + own,), at_most=ALL_AT_MOST, note=peak),
        Figure(f"{what}: of it that worker's own, not shared", "GiB", (own,), at_most=OWN_AT_MOST),
        *hits,
    ]
    return result


def _hits(bench: Bench, result: Result, small: Server, large: Server, many: int) -> Iterator[Figure]:
    """Both kinds of hits on both servers, in alternating rounds."""
    cookies = visitors.returning(small)
    numbers = range(0, many, max(1, many // VARIANTS))
    promoters, links = [f"p{number:09}" for number in numbers], [f"l{number:09}" for number in numbers]
    for request, few_requests, many_requests in (
        ("pixel", workload.pixels(cookies, variants=VARIANTS), workload.pixels(cookies, promoters, VARIANTS)),
        ("redirect", workload.redirects(cookies, variants=VARIANTS), workload.redirects(cookies, links, VARIANTS)),
    ):
        turns = (
            (small, visitors.write(bench, f"{request}-few", few_requests)),
            (large, visitors.write(bench, f"{request}-many", many_requests)),
        )
        rates: tuple[list[float], list[float]] = ([], [])
        for number in range(bench.settings.rounds):
            for (server, path), own in zip(turns, rates, strict=True):
                measured = Load(bench, server, path, seconds=bench.settings.seconds / 2).finish()
                result.rounds.append({"round": number, "request": request, **measured})
                own.append(measured["requests_per_second"])
        values = ratios(rates[1], rates[0])
        yield Figure(f"{request} with {many:,} links against a thousand", "times", values, HITS_AT_LEAST)


def _fill(data: Data, many: int) -> None:
    """Writes the edges' registry anew: what it says of keys, merchants and products, and `many` promoters and links.

    As `EdgeRegistry` would from the books, which would have to be filled first, row by row."""
    books = engine.open_reader(data.database)
    with books.connect() as connection:
        few = list(entries.few(connection))
    books.dispose()
    shutil.rmtree(data.registry / registry_log.PRODUCER)
    writer = _core.Writer(str(data.registry), registry_log.PRODUCER, INCARNATION, durability="process")
    path = data.registry / registry_log.PRODUCER / f"{INCARNATION:016x}" / registry_log.SNAPSHOT
    builder = _core.SnapshotBuilder(str(path), secrets.token_bytes(registry_log.HASH_KEY_BYTES), many, many)
    for add, row in ((builder.add_promoters, _promoter), (builder.add_links, _link)):
        for first in range(0, many, registry_log.ROWS_PER_CALL):
            add([row(number) for number in range(first, min(many, first + registry_log.ROWS_PER_CALL))])
    builder.finish()
    now = time.time_ns() // 1_000_000
    events = [
        {"kind": "registry", "at": now, "received": now, "registry": 1, "body": json.dumps(entry).encode()}
        for entry in (*few, entries.SNAPSHOT, entries.READY)
    ]
    writer.append([_core.encode_event(event) for event in events])
    writer.close(now)


def _promoter(number: int) -> str:
    return f'["p{number:09}","active"]'


def _link(number: int) -> str:
    product = workload.PRODUCTS[number % len(workload.PRODUCTS)]
    return f'["l{number:09}","p{number:09}","{product}","","web","","","","","","",null,"active"]'
