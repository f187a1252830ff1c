"""A data directory with what the bench's requests name: 1,000 promoters, 50 products, 1,000 links.

`python bench/registry.py DATA` makes one; then `tuike serve --data DATA`.
"""

import json
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuike import _core
from tuike.data import Data
from tuike.submission import Submission
from workload import CURRENCY, LINKS, MERCHANT, MERCHANT_SECRET, PRODUCTS, PROMOTERS

PRODUCER = "bench"
GROUP = 10
"""Promoters invited by each; trees three levels deep and more."""


def make(path: Path) -> Data:
    """Fills an empty directory; returns when the books have applied all of it and the edges' registry is written."""
    data = Data.open(path, create=True)
    with Submission(data, PRODUCER) as submission:
        submission.append([_event(op, body) for op, body in _writes(data)])
        submission.wait()
        if refused := submission.refused():
            raise RuntimeError(f"the books set {len(refused)} entries aside, the first for {refused[0][1]}")
    return data


def copy(base: Path, to: Path) -> Data:
    """An instance like the one in `base`, which nobody may be using."""
    shutil.copytree(base, to)
    return Data.open(to)


def _event(op: str, body: dict[str, Any]) -> dict[str, Any]:
    now = time.time_ns() // 1_000_000
    write = {"op": op, "data": body, "actor": PRODUCER, "idem": None, "fingerprint": None}
    return {
        "kind": "registry",
        "id": secrets.token_hex(16),
        "at": now,
        "received": now,
        "body": json.dumps(write).encode(),
    }


def _writes(data: Data) -> Iterator[tuple[str, dict[str, Any]]]:
    secret = _core.seal(data.secret, "merchant", MERCHANT_SECRET.encode(), secrets.token_bytes(12))
    yield "merchant.create", {"id": MERCHANT, "name": "Bench", "currency": CURRENCY, "secret": secret}
    levels = [{"level": level, "value": value} for level, value in ((1, "10.0"), (2, "3.0"), (3, "1.0"))]
    for id in PRODUCTS:
        url = f"https://shop.example.com/{id}?from={{aff}}&click_id={{click_id}}"
        rule = {"type": "percentage", "value": "15.0", "levels": levels}
        product = {"id": id, "name": id, "merchant": MERCHANT, "category": "bench", "url": url, "commission": rule}
        product["fraud"] = {"min_seconds_to_order": 0}  # the bench orders a moment after its clicks
        yield "product.create", product
    for number, id in enumerate(PROMOTERS):
        parent = {"parent": PROMOTERS[number // GROUP]} if number else {}
        yield "promoter.create", {"id": id, "name": id, "kind": "member", **parent}
    for number, code in enumerate(LINKS):
        promoter, product_id = PROMOTERS[number % len(PROMOTERS)], PRODUCTS[number % len(PRODUCTS)]
        yield "link.create", {"code": code, "promoter": promoter, "product": product_id, "channel": "web"}


if __name__ == "__main__":
    made = make(Path(sys.argv[1]))
    print(f"made; now: tuike serve --data {sys.argv[1]}")
