"""How fast `tuike verify` proves books: orders of three levels, accrued and released, their day closed.

`python bench/verify.py [ENTRIES ...]` measures it by itself, by default at two sizes, to see whether time grows.
"""

import hashlib
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import func, select

import registry
import settlement
from part import Bench, Figure, Result
from tuike.clock import wall
from tuike.data import Data
from tuike.process import Processor
from tuike.stores import engine, schema
from tuike.verify import verify

SIZES = (1_000_000, 10_000_000)
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
        rate = self.entries / self.seconds
        cpu = self.cpu / self.entries * 1e6
        return f"{self.entries:,} entries in {self.seconds:.1f} s, {rate:,.0f} entries/s; {cpu:.1f} µs CPU an entry"


def measure(bench: Bench) -> Result:
    result = Result()
    for size in QUICK if bench.settings.quick else SIZES:
        data = registry.copy(bench.base, bench.directory / f"{size}")
        proved, fault = prove(data, size)
        if fault:
            result.faults.append(fault)
        name = f"verify of {size:,} entries"
        result.figures.append(Figure(name, "µs/entry", (proved.each,), at_most=EACH_AT_MOST, note=proved.note()))
        plain = plainly(data)
        note = "pure Python; the ledger alone: balances and chain"
        result.figures.append(Figure(f"plain loop over {size:,} entries", "µs/entry", (plain.each,), note=note))
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


def plainly(data: Data) -> Proved:
    """The obvious way without tuike: a loop over the entries that sums and hashes. It proves the ledger alone."""
    began, spent = time.perf_counter(), time.process_time()
    books = sqlite3.connect(f"file:{data.books}?mode=ro", uri=True)
    try:
        names = {id: (name, balance) for id, name, balance in books.execute("SELECT id, name, balance FROM accounts")}
        hashes = books.execute("SELECT number, currency, hash FROM transfers ORDER BY number")
        lines = books.execute("SELECT transfer, account, amount FROM entries ORDER BY transfer, position")
        balances: Counter[int] = Counter()
        entries, before, line = 0, bytes(32), next(lines, None)
        for number, currency, kept in hashes:
            total, text = 0, f"{number}\n"
            while line is not None and line[0] == number:
                _, account, amount = line
                text += f"{names[account][0]}\t{currency}\t{amount}\n"
                balances[account] += amount
                total, entries, line = total + amount, entries + 1, next(lines, None)
            before = hashlib.sha256(before + text.encode()).digest()
            assert total == 0 and before == kept, f"transfer {number}"
        assert all(balances[id] == balance for id, (_, balance) in names.items())
    finally:
        books.close()
    return Proved(entries, time.perf_counter() - began, time.process_time() - spent)


def _close_day(data: Data) -> None:
    processor = Processor(data, now=lambda: wall() + DAY_MS)
    while processor.step():
        pass
    processor.close()


def _entries(data: Data) -> int:
    books = engine.open_reader(data.database)
    try:
        with books.connect() as connection:
            return connection.scalar(select(func.count()).select_from(schema.entries)) or 0
    finally:
        books.dispose()


def main(sizes: Sequence[int]) -> None:
    for size in sizes:
        with TemporaryDirectory() as path:
            data = registry.make(Path(path) / "data")
            proved, fault = prove(data, size)
            assert not fault, fault
            print(f"{plainly(data).each:.2f} µs an entry: a plain loop, the ledger alone")
        print(f"{proved.each:.2f} µs an entry: {proved.note()}")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
