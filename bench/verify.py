"""How fast `tuike verify` proves books: orders of three levels, accrued and released, their day closed.

`python bench/verify.py [ENTRIES ...]` measures it by itself, by default at two sizes, to see whether time grows.
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
from tuike.process import Processor, clock
from tuike.stores import engine, schema
from tuike.verify import verify

SIZES = (200_000, 1_000_000)
QUICK = (20_000, 100_000)
ENTRIES_PER_ORDER = 11
"""Five of the accrual, six of the release; an order of a promoter without parents has fewer."""
EACH_AT_MOST = 12.0
"""Microseconds an entry: ten million in two minutes."""
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Proved:
    """How it went. `seconds` are of all checks."""

    entries: int
    seconds: float
    cpu: float
    """Seconds of processor time."""

    @property
    def each(self) -> float:
        return self.seconds / self.entries * 1e6

    def note(self) -> str:
        return f"{self.entries:,} entries in {self.seconds:.1f} s; {self.cpu / self.entries * 1e6:.1f} µs CPU an entry"


def measure(bench: Bench) -> Result:
    result = Result()
    for size in QUICK if bench.settings.quick else SIZES:
        data = registry.copy(bench.base, bench.directory / f"{size}")
        proved, fault = prove(data, size)
        if fault:
            result.faults.append(fault)
        name = f"verify of {size:,} entries"
        result.figures.append(Figure(name, "µs/entry", (proved.each,), at_most=EACH_AT_MOST, note=proved.note()))
    return result


def prove(data: Data, size: int) -> tuple[Proved, str]:
    """Makes books of about so many entries, then proves them; also the fault, where there was one."""
    settlement.settle(data, size // ENTRIES_PER_ORDER)
    _close_day(data)
    entries = _entries(data)
    began, spent = time.perf_counter(), time.process_time()
    report = verify(data)
    proved = Proved(entries, time.perf_counter() - began, time.process_time() - spent)
    return proved, report.text() if report.fault else ""


def _close_day(data: Data) -> None:
    processor = Processor(data, now=lambda: clock() + DAY_MS)
    while processor.step():
        pass
    processor.close()


def _entries(data: Data) -> int:
    books = engine.reader(data.books)
    try:
        with books.connect() as connection:
            return connection.scalar(select(func.count()).select_from(schema.entries)) or 0
    finally:
        books.dispose()


def main(sizes: Sequence[int]) -> None:
    for size in sizes:
        with TemporaryDirectory() as path:
            proved, fault = prove(registry.make(Path(path) / "data"), size)
        assert not fault, fault
        print(f"{proved.each:.2f} µs an entry: {proved.note()}")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
