"""The books alone: orders with splits of three levels, ledger, evidence and rollups, booked into SQLite.

`python bench/books.py [ORDERS ...]` measures it by itself, in this process; see `--orders` of `bench/run.py`.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import func, select

import registry
import settlement
from part import Bench, Figure, Result
from tuike.data import Data
from tuike.stores import engine, schema
from tuike.submission import Submission

SHARE = 5
"""The smaller books have this part of the orders."""
TAIL = 10
"""The last orders that are looked at by themselves are this part of all."""
AT_LEAST = {1_000_000: 5_000.0, 20_000_000: 3_000.0}
"""Orders a second, by the size of the books."""
SIZES = (200_000, 1_000_000)


@dataclass(frozen=True)
class Mark:
    """So many orders are booked at this moment. Seconds of the clock, and of processor time."""

    orders: int
    clock: float
    cpu: float


@dataclass(frozen=True)
class Booked:
    """How it went, from the first order to the last, and over the last tenth of them."""

    whole: tuple[Mark, Mark]
    tail: tuple[Mark, Mark]

    @property
    def rate(self) -> float:
        begin, end = self.whole
        return (end.orders - begin.orders) / (end.clock - begin.clock)

    def note(self) -> str:
        (begin, end), (before, after) = self.whole, self.tail
        spent = (end.cpu - begin.cpu) / (end.orders - begin.orders)
        last = after.orders - before.orders
        rate, later = last / (after.clock - before.clock), (after.cpu - before.cpu) / last
        return (
            f"{1 / spent:,.0f} by CPU ({spent * 1e6:.0f} µs each); last tenth {rate:,.0f} orders/s, "
            f"{1 / later:,.0f} by CPU"
        )


def measure(bench: Bench) -> Result:
    result = Result()
    orders = bench.settings.booked
    for size in (orders // SHARE, orders):
        data = registry.copy(bench.base, bench.directory / f"{size}")
        booked = book(data, size)
        target = min(((most, rate) for most, rate in AT_LEAST.items() if size <= most), default=(0, 3_000.0))[1]
        figure = Figure(f"orders into books of {size:,}", "orders/s", (booked.rate,), target, note=booked.note())
        result.figures.append(figure)
        credited, transfers, off = counts(data)
        result.count(f"orders that were credited, of {size:,}", size, credited)
        result.count(f"transfers of {size:,} orders", size, transfers)
        result.count(f"minor units by which the ledger of {size:,} orders is off", 0, off)
    return result


def book(data: Data, size: int) -> Booked:
    """Journals the orders first, then has them booked by the processor, in this process."""
    with Submission(data, "bench-orders") as submission:
        submission.append([settlement.settling_at_once()])
        given = settlement.orders(size)
        for start in range(0, size, settlement.CHUNK):
            submission.append([next(given) for _ in range(min(settlement.CHUNK, size - start))])
        marks = [_mark(0)]
        submission.wait(lambda more: marks.append(_mark(marks[-1].orders + more)))
    last = marks[-1]
    begin = next(mark for mark in reversed(marks[:-1]) if mark.orders <= last.orders - size // TAIL)
    return Booked((marks[0], last), (begin, last))


def counts(data: Data) -> tuple[int, int, int]:
    """Orders that were credited, transfers, and what all entries sum to."""
    books = engine.reader(data.books)
    try:
        with books.connect() as connection:
            credited = connection.scalar(select(func.count(func.distinct(schema.shares.c.conversion))))
            transfers = connection.scalar(select(func.count()).select_from(schema.transfers))
            off = connection.scalar(select(func.sum(schema.entries.c.amount)))
    finally:
        books.dispose()
    return credited or 0, transfers or 0, off or 0


def _mark(orders: int) -> Mark:
    return Mark(orders, time.perf_counter(), time.process_time())


def main(sizes: Sequence[int]) -> None:
    for size in sizes:
        with TemporaryDirectory() as path:
            data = registry.make(Path(path) / "data")
            booked = book(data, size)
            assert counts(data) == (size, size, 0), f"of {size} orders: {counts(data)}"
        print(f"{size:,} orders: {booked.rate:,.0f} orders/s; {booked.note()}", flush=True)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
