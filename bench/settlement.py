"""How fast a settlement releases orders: orders of three levels, booked by the real processor, settled by it.

`python bench/settlement.py [ORDERS ...]` measures it by itself, by default at two sizes, to see whether time grows.
"""

import json
import random
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import registry
from part import Bench, Figure, Result
from tuike import settling
from tuike.data import Data
from tuike.submission import Submission
from workload import CURRENCY, MERCHANT, PRODUCTS, PROMOTERS

SIZES = (20_000, 100_000)
QUICK = (2_000, 10_000)
EACH_AT_MOST = 60.0
"""Microseconds an order: a million in a minute."""
CHUNK = 2_000
SEED = 1


@dataclass(frozen=True)
class Settled:
    """How it went. `seconds` are of the whole command, its start among them."""

    orders: int
    seconds: float
    cpu: float
    """Seconds of processor time."""

    @property
    def each(self) -> float:
        return self.seconds / self.orders * 1e6

    def note(self) -> str:
        rate = self.orders / self.seconds
        return f"{self.seconds:.1f} s, {rate:,.0f} orders/s; {self.cpu / self.orders * 1e6:.1f} µs CPU an order"


def measure(bench: Bench) -> Result:
    result = Result()
    for size in QUICK if bench.settings.quick else SIZES:
        settled, released = settle(registry.copy(bench.base, bench.directory / f"{size}"), size)
        result.count(f"orders of a settlement of {size:,}", size, released)
        name = f"settlement of {size:,} orders"
        result.figures.append(Figure(name, "µs/order", (settled.each,), at_most=EACH_AT_MOST, note=settled.note()))
    return result


def settle(data: Data, size: int) -> tuple[Settled, int]:
    """Sells, then settles; also how many orders were released."""
    _sell(data, size)
    began, spent = time.perf_counter(), time.process_time()
    settlement = settling.run(data, None)
    settled = Settled(size, time.perf_counter() - began, time.process_time() - spent)
    return settled, settlement["released"]


def _sell(data: Data, size: int) -> None:
    """Orders that may be released at once: the merchant's word, each with the promoter that it names."""
    with Submission(data, "bench-orders") as submission:
        submission.append([settling_at_once()])
        given = orders(size)
        for start in range(0, size, CHUNK):
            submission.append([next(given) for _ in range(min(CHUNK, size - start))])
        submission.wait()


def orders(size: int) -> Iterator[dict[str, Any]]:
    """The merchant's word on `size` orders, each with the promoter that it names."""
    chance = random.Random(SEED)
    for number in range(size):
        now = time.time_ns() // 1_000_000
        # as an edge makes ids: they begin with the time, and so do the keys of their outcomes
        id = (now.to_bytes(6) + secrets.token_bytes(10)).hex()
        order = {"kind": "order", "id": id, "at": now, "merchant": MERCHANT, "oid": f"o{number}"}
        order |= {"pid": chance.choice(PRODUCTS), "aff": chance.choice(PROMOTERS), "source": "postback"}
        yield order | {"amount": chance.randrange(1_000, 100_000), "currency": CURRENCY, "counted": True}


def settling_at_once() -> dict[str, Any]:
    """The merchant's orders are due as soon as they are approved."""
    write = {"op": "merchant.update", "data": {"id": MERCHANT, "settlement": "T+0"}, "actor": "bench"}
    now = time.time_ns() // 1_000_000
    return {"kind": "registry", "id": secrets.token_hex(16), "at": now, "body": json.dumps(write).encode()}


def main(sizes: Sequence[int]) -> None:
    for size in sizes:
        with TemporaryDirectory() as path:
            settled, released = settle(registry.make(Path(path) / "data"), size)
        assert released == size, f"{released} of {size} orders were released"
        print(f"{size:,} orders: {settled.each:.1f} µs each; {settled.note()}")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
