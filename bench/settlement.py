"""How fast a settlement releases orders: orders of three levels, booked by the real processor, settled by it.

`python bench/settlement.py [ORDERS ...]`: by default 20,000 and 100,000 orders, to see whether time grows with them.
"""

import json
import random
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from registry import make
from tuike import settling
from tuike.data import Data
from tuike.submission import Submission
from workload import CURRENCY, MERCHANT, PRODUCTS, PROMOTERS

SIZES = (20_000, 100_000)
CHUNK = 2_000
SEED = 1


def main(sizes: list[int]) -> None:
    for size in sizes:
        with TemporaryDirectory() as path:
            data = make(Path(path) / "data")
            began = time.perf_counter()
            sell(data, size)
            booked, spent = time.perf_counter(), time.process_time()
            settlement = settling.run(data, None)
            seconds, spent = time.perf_counter() - booked, time.process_time() - spent
            assert settlement["released"] == size, settlement
            print(
                f"{size:,} orders: booked in {booked - began:.1f} s, released in {seconds:.1f} s: "
                f"{size / seconds:,.0f}/s, {seconds / size * 1e6:.1f} µs each ({spent / size * 1e6:.1f} µs of a core)"
            )


def sell(data: Data, size: int) -> None:
    """Orders that may be released at once: signed ones, each of a promoter that it names."""
    chance = random.Random(SEED)
    with Submission(data, "bench-orders") as submission:
        events = [_settle_at_once()]
        for number, event in enumerate(_orders(size, chance), 1):
            events.append(event)
            if len(events) >= CHUNK or number == size:
                submission.append(events)
                events = []
        submission.wait()


def _orders(size: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(size):
        now = time.time_ns() // 1_000_000
        order = {"kind": "order", "id": secrets.token_hex(16), "at": now, "merchant": MERCHANT, "oid": f"o{number}"}
        order |= {"pid": chance.choice(PRODUCTS), "aff": chance.choice(PROMOTERS), "source": "postback"}
        yield order | {"amount": chance.randrange(1_000, 100_000), "currency": CURRENCY, "counted": True}


def _settle_at_once() -> dict[str, Any]:
    write = {"op": "merchant.update", "data": {"id": MERCHANT, "settlement": "T+0"}, "actor": "bench"}
    now = time.time_ns() // 1_000_000
    return {"kind": "registry", "id": secrets.token_hex(16), "at": now, "body": json.dumps(write).encode()}


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or list(SIZES))
