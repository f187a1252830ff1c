"""A processor that is killed while it drains a backlog, batches of which go into the touch store as whole tables."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from process_kit import Producer, balances, click, order, rows, settle, shop
from sqlalchemy import func, select

from tuike import verify
from tuike.clock import wall
from tuike.data import Data
from tuike.process import READ_LIMIT
from tuike.stores import schema

HITS = READ_LIMIT * 3 // 2
ORDER_EVERY = 1_000
CHUNK = 10_000
# so long that a batch is more than the touch store's write buffer
LINK = "l" * 200
KILLS = 6
SEED = 20261128


def backlog(data: Data) -> None:
    """Clicks of a visitor each, and orders of some of them, all received before anybody reads it."""
    edge = Producer(data)
    edge.append(*shop(data))
    start = wall() - HITS
    for first in range(0, HITS, CHUNK):
        events = []
        for number in range(first, first + CHUNK):
            visitor = f"{number:032x}"
            events.append(click(visitor=visitor, link=LINK, at=start + number, received=start + number))
            if number % ORDER_EVERY == 0:
                events.append(order(f"o{number}", visitor=visitor, at=start + number, received=start + number))
        edge.append(*events)
    edge.close()


def test_a_processor_killed_in_a_backlog_counts_and_books_all_of_it_once(tmp_path: Path) -> None:
    data = Data.open(tmp_path / "data", create=True)
    backlog(data)
    chance = random.Random(SEED)
    for _ in range(KILLS):
        processor = subprocess.Popen([sys.executable, "-m", "tuike", "process", "--data", data.root])
        # the moment is what is random here
        time.sleep(chance.uniform(0.5, 2.5))
        processor.send_signal(signal.SIGKILL)
        processor.wait()
    settle(data)
    (counted,) = rows(data, select(func.sum(schema.hit_counts.c.hits).label("hits")))
    assert counted["hits"] == HITS
    assert balances(data)["promoter:alice:pending"] == HITS // ORDER_EVERY * 1_000
    report = verify.verify(data)
    assert report.fault is None, report.text()
