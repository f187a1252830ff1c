"""The whole path behind the edge: the processor drains a journal that was written before, on one core.

It folds clicks into touches and rollups, attributes the orders, splits them over three levels and posts them."""

import subprocess
import sys
import time
from dataclasses import dataclass

from sqlalchemy import Engine, func, select

import journals
import machine
import registry
import servers
from cpu import Sampler
from part import Bench, Figure, Result
from servers import Missing, ServerFailed
from stencil import journal
from tuike.data import Data
from tuike.stores import engine, position, schema

PRODUCER = "edge-0"
ONE_CORE_AT_LEAST = 40_000.0
TWO_CORES_AT_LEAST = 60_000.0
GROWTH_AT_MOST = 1.2
"""Memory is to be the same, however many events there are."""
SHARE = 5
"""The smaller journal has this part of the events."""
LOOK = 0.1
"""Seconds between looks at where it is."""
SAMPLED = 5.0
LIMIT = 3_600.0
MIB = 1 << 20


@dataclass(frozen=True)
class Drained:
    """How it went."""

    events: int
    seconds: float
    """From the processor's start to the last event's effect."""
    starting: float
    """Of these, until it begins to fold: it looks first at what the books have not got."""
    cpu: float
    """Seconds of processor time."""
    peak: int
    """Most memory of its own at any look, bytes."""

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def measure(bench: Bench) -> Result:
    result = Result()
    events = bench.settings.drained
    one, two = (bench.cores.server,), (bench.cores.server, bench.cores.load)
    small = _drain(bench, result, events // SHARE, one)
    large = _drain(bench, result, events, one, sampled=True)
    both = _drain(bench, result, events // SHARE, two)
    result.figures += [
        _rate("one core", small, ONE_CORE_AT_LEAST),
        _rate("one core", large, ONE_CORE_AT_LEAST),
        _rate("two cores", both, TWO_CORES_AT_LEAST),
        Figure(f"memory of the processor, {small.events:,} events", "MiB", (small.peak / MIB,)),
        Figure(f"memory of the processor, {large.events:,} events", "MiB", (large.peak / MIB,)),
        Figure(
            f"its memory with {SHARE} times the events", "times", (large.peak / small.peak,), at_most=GROWTH_AT_MOST
        ),
    ]
    return result


def _rate(where: str, drained: Drained, at_least: float) -> Figure:
    each = drained.cpu / drained.events * 1e6
    note = f"{drained.seconds:.1f} s, {drained.starting:.1f} of them the start; {each:.1f} µs CPU an event"
    return Figure(f"drain of {drained.events:,} events, {where}", "events/s", (drained.rate,), at_least, note=note)


def _drain(bench: Bench, result: Result, events: int, cores: tuple[int, ...], *, sampled: bool = False) -> Drained:
    """Writes a journal, has it drained, and looks whether everything arrived."""
    what = f"{events:,} events on {len(cores)} cores"
    data = registry.copy(bench.base, bench.directory / what)
    now = time.time_ns() // 1_000_000
    incarnation = journal(str(data.journal), PRODUCER, journals.payloads(events, now), now)
    books = engine.open_reader(data.database)
    log = bench.directory / f"{what}.log"
    command = [sys.executable, "-m", "tuike", "process", "--data", str(data.root)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, preexec_fn=machine.pin(*cores))
    try:
        began = time.monotonic()
        servers.until(lambda: _is_ready(data), process, log, LIMIT)
        starting = time.monotonic() - began
        sampler = Sampler(process.pid, bench.directory, SAMPLED) if sampled else None
        peak = 0
        while not _is_drained(books, incarnation, events):
            if process.poll() is not None or time.monotonic() - began > LIMIT:
                raise ServerFailed(f"the processor does not drain\n{servers.tail(log)}")
            peak = max(peak, machine.memory(process.pid).own)
            time.sleep(LOOK)
        drained = Drained(events, time.monotonic() - began, starting, machine.cpu([process.pid]), peak)
        if sampler is not None:
            _note_parts(sampler, result)
    finally:
        servers.end(process)
    orders = journals.orders(events)
    with books.connect() as connection:
        hits = connection.scalar(select(func.sum(schema.hit_counts.c.hits))) or 0
        credited = select(func.count(func.distinct(schema.shares.c.conversion)))
        booked = connection.scalar(credited) or 0
    books.dispose()
    result.count(f"clicks, {what}", events - orders, int(hits))
    result.count(f"orders that were credited, {what}", orders, booked)
    return drained


def _note_parts(sampler: Sampler, result: Result) -> None:
    try:
        result.details["cpu"] = sampler.finish()
    except Missing as missing:
        result.left_out.append(f"CPU of the drain by part: {missing}")


def _is_ready(data: Data) -> bool | None:
    return data.processor_socket.exists() or None


def _is_drained(books: Engine, incarnation: int, events: int) -> bool:
    with books.connect() as connection:
        return all(position.read(connection, fold).upto.get(incarnation, 0) >= events for fold in ("hits", "books"))
