"""A settlement whose processor is killed again and again ends as one that nobody disturbed."""

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from books import books, differences
from tuike import _core
from tuike.clock import wall
from tuike.data import Data
from tuike.process import Processor
from waiting import until

ORDERS = 10_000
KILLS = 6
SEED = 20251129
STEPS_AT_MOST = 10_000
LEVELS = [{"level": 1, "value": "5"}, {"level": 2, "value": "3"}, {"level": 3, "value": "1"}]
LEDGER = """SELECT t.number, t.conversion, t.step, t.currency, t.at, hex(t.hash), a.name, e.amount
            FROM transfers t JOIN entries e ON e.transfer = t.number JOIN accounts a ON a.id = e.account
            ORDER BY t.number, e.position"""


def test_a_settlement_killed_anywhere_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    sold(tmp_path / "quiet")
    shutil.copytree(tmp_path / "quiet", tmp_path / "killed")
    fold(tmp_path / "quiet")
    chance = random.Random(SEED)
    steps = {progress(tmp_path / "killed")}
    for kill in range(KILLS):
        kill_once(tmp_path / "killed", chance, at_once=kill == 0)
        steps.add(progress(tmp_path / "killed"))
    assert len(steps) > 2, "no kill came in the middle of the run"
    fold(tmp_path / "killed")
    assert read(tmp_path / "killed", LEDGER) == read(tmp_path / "quiet", LEDGER)
    for query in (
        "SELECT * FROM settlements",
        "SELECT * FROM releases ORDER BY 1",
        "SELECT * FROM outcomes ORDER BY 1",
    ):
        assert read(tmp_path / "killed", query) == read(tmp_path / "quiet", query), query
    assert not differences(books(tmp_path / "quiet"), books(tmp_path / "killed"))
    assert read(tmp_path / "killed", "SELECT count(*) FROM dues") == [(0,)]
    assert read(tmp_path / "killed", "SELECT status, released FROM settlements") == [("done", ORDERS)]


def sold(path: Path) -> None:
    """Orders of three levels that may all be released, and a settlement that is asked for and not begun."""
    data = Data.open(path, create=True)
    chance = random.Random(SEED)
    secret = _core.seal(data.secret, "merchant", b"postback key", bytes(12))
    rule = {"type": "percentage", "value": "10", "levels": LEVELS}
    product = {"id": "tea", "merchant": "shop", "name": "Tea", "url": "https://s.example/", "commission": rule}
    events = [
        write("merchant.create", id="shop", name="Shop", currency="CNY", settlement="T+0", secret=secret),
        write("product.create", **product),
        *(
            write("promoter.create", id=f"p{n}", name="P", **({"parent": f"p{n // 3}"} if n else {}))
            for n in range(300)
        ),
    ]
    for number in range(ORDERS):
        order = {"kind": "order", "merchant": "shop", "pid": "tea", "oid": f"o{number}", "currency": "CNY"}
        events.append(
            order | {"amount": chance.randrange(100, 100_000), "aff": f"p{chance.randrange(300)}", "source": "postback"}
        )
    journal(data, 1, events)
    fold(path)
    body = json.dumps({"op": "settlement.run", "data": {}, "actor": "test"}).encode()
    journal(data, 2, [{"kind": "decision", "body": body}])


def write(op: str, **body: Any) -> dict[str, Any]:
    return {"kind": "registry", "body": json.dumps({"op": op, "data": body, "actor": "test"}).encode()}


def journal(data: Data, incarnation: int, events: list[dict[str, Any]]) -> None:
    writer = _core.Writer(str(data.journal), "edge-0", incarnation)
    for number, event in enumerate(events, start=1):
        now = wall()
        id = f"{incarnation:016x}{number:016x}"
        writer.append([_core.encode_event({"id": id, "at": now, "received": now} | event)])
    writer.close(wall())


def fold(path: Path) -> None:
    """A processor that works until there is nothing to do."""
    processor = Processor(Data.open(path))
    idle = 0
    for _ in range(STEPS_AT_MOST):
        idle = 0 if processor.step() else idle + 1
        if idle > 2 and not processor.waiting:
            processor.close()
            return
    pytest.fail("the processor does not come to rest")


def kill_once(path: Path, chance: random.Random, *, at_once: bool) -> None:
    before = progress(path)
    command = [sys.executable, "-m", "tuike", "process", "--data", str(path)]
    processor = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not at_once:
        until(lambda: progress(path) != before or before[0] == "done", "the settlement to go on")
    time.sleep(chance.uniform(0, 0.15))  # the moment is what is random here
    processor.send_signal(signal.SIGKILL)
    processor.wait()


def progress(path: Path) -> tuple[str, int]:
    """The run's status and how many orders it has released."""
    rows = read(path, "SELECT status, released FROM settlements")
    return rows[0] if rows else ("asked for", 0)


def read(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{path / 'books.sqlite'}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()
