"""Real kills under real load: what was answered is counted once, and the books are those of a quiet run."""

import json
import os
import random
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from books import books, differences, outcomes
from instance import Instance, running, signed, tuike, until

KILLS = 10
SEED = 20251123
CLIENTS = 4
AHEAD = 8
CATCH_UP = 120.0
"""Seconds that a busy machine may take to fold what was left behind."""
ENDED_INCARNATIONS = 100
"""More than a run leaves behind."""
ORDER_EVERY = 50
"""One request of so many is an order."""


class Load(threading.Thread):
    """A client that keeps what was acknowledged: labels of clicks and views, ids of orders."""

    def __init__(self, instance: Instance, name: str) -> None:
        super().__init__(daemon=True)
        self.instance = instance
        self.label = name
        self.stopping = threading.Event()
        self.hits: list[str] = []
        self.orders: list[str] = []
        self.sent = 0

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.instance.edge_port), timeout=5) as connection:
                    connection.settimeout(5)
                    self._talk(connection)
            except OSError:
                time.sleep(0.005)  # the edge is down: no condition to wait for but that it answers again

    def _talk(self, connection: socket.socket) -> None:
        file = connection.makefile("rb")
        while not self.stopping.is_set():
            labels = [self._next() for _ in range(AHEAD)]
            connection.sendall(b"".join(self._request(label) for label in labels))
            for label in labels:
                status, headers, body = _answer(file)
                if status == 202:
                    self.orders.append(json.loads(body)["event_id"])
                elif status in (200, 302) and "tuike-recorded" not in headers:
                    self.hits.append(label)
                if headers.get("connection") == "close":
                    return

    def _next(self) -> str:
        self.sent += 1
        return f"{self.label}-{self.sent}"

    def _request(self, label: str) -> bytes:
        number = int(label.rsplit("-", 1)[1])
        if number % ORDER_EVERY == 0:
            pairs = {
                "merchant": "shop",
                "ts": str(int(time.time())),
                "oid": label,
                "pid": "tea",
                "amount": "100.00",
                "aff": "bo",
            }
            target = f"/postback?{signed(self.instance.secrets['shop'], **pairs)}"
        elif number % 2:
            target = f"/c/L?sub1={label}"
        else:
            target = f"/p.gif?aff=ann&pid=tea&sub1={label}"
        return f"GET {target} HTTP/1.1\r\nHost: edge.example\r\n\r\n".encode()


def _answer(file: socket.SocketIO) -> tuple[int, dict[str, str], bytes]:
    status = file.readline()
    if not status.endswith(b"\r\n"):
        raise ConnectionError("cut off")
    headers = {}
    while (line := file.readline()) != b"\r\n":
        if not line.endswith(b"\r\n"):
            raise ConnectionError("cut off")
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", 0))
    body = file.read(length)
    if len(body) != length:
        raise ConnectionError("cut off")
    return int(status.split()[1]), headers, body


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    with running(tmp_path / "data", "--workers", "2") as instance:
        instance.merchant()
        instance.product(
            commission={
                "type": "percentage",
                "value": "10.0",
                "levels": [{"level": 1, "value": "5.0"}, {"level": 2, "value": "3.0"}],
            }
        )
        instance.promoter("ann")
        instance.promoter("bo", "ann")
        instance.post("links", code="L", promoter="ann", product="tea", channel="web")
        yield instance


def _load(instance: Instance) -> list[Load]:
    clients = [Load(instance, f"{os.getpid()}c{n}") for n in range(CLIENTS)]
    for client in clients:
        client.start()
    return clients


def _finish(clients: list[Load]) -> None:
    for client in clients:
        client.stopping.set()
    for client in clients:
        client.join()


def _prove(instance: Instance, clients: list[Load], tmp_path: Path) -> None:
    """Every acknowledged hit is there once, every order has its outcome, a quiet run of the same events is equal."""
    orders = {event for client in clients for event in client.orders}
    until(lambda: orders <= outcomes(instance.data).keys(), "the orders booked", CATCH_UP)
    until(lambda: ", 0 hits not folded yet" in tuike("verify", "--data", instance.data).stdout, "all folded", CATCH_UP)
    proof = tuike("verify", "--data", instance.data)
    events = [json.loads(line) for line in tuike("journal", "cat", "--data", instance.data).stdout.splitlines()]
    recorded = Counter(event["sub1"] for event in events if event["kind"] in ("click", "view"))
    acknowledged = {label for client in clients for label in client.hits}
    assert acknowledged, "the load got no answer at all"
    assert acknowledged <= recorded.keys(), "an acknowledged hit is lost"
    assert set(recorded.values()) == {1}
    summary = instance.get("reports/summary")
    assert summary["impressions"] + summary["clicks"] == recorded.total(), proof.stdout
    became = outcomes(instance.data)
    assert {became[event] for event in orders} == {"applied"}
    assert instance.stop() == 0
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    for name in ("version", "secret"):
        shutil.copy2(instance.data / name, quiet / name)
    shutil.copytree(
        instance.data / "journal", quiet / "journal", ignore=lambda _, names: [n for n in names if n == "books"]
    )
    _fold_all(quiet)
    assert not differences(books(instance.data), books(quiet))


def _fold_all(data: Path) -> None:
    """A processor of its own folds a copy of the journal, undisturbed."""
    from tuike.data import Data
    from tuike.process import Processor

    processor = Processor(Data.open(data, create=True))
    idle = 0
    while idle < ENDED_INCARNATIONS or processor.waiting:  # an empty read may lie between two of them
        idle = 0 if processor.step() else idle + 1
    processor.close()


def test_ten_kills_of_everything_lose_nothing_that_was_answered(instance: Instance, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    clients = _load(instance)
    for _ in range(KILLS):
        before = sum(len(client.hits) for client in clients)
        until(lambda before=before: sum(len(c.hits) for c in clients) > before, "the load to run again")
        time.sleep(chance.uniform(0.02, 0.6))  # the moment is what is random here
        instance.kill()
        instance.start()
    _finish(clients)
    _prove(instance, clients, tmp_path)


@pytest.mark.parametrize("part", ["process", "edge"])
def test_a_killed_part_is_started_again_and_nothing_is_lost(part: str, instance: Instance, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    clients = _load(instance)
    for _ in range(3):
        before = sum(len(client.hits) for client in clients)
        until(lambda before=before: sum(len(c.hits) for c in clients) > before + 500, "the load to run on")
        victim = chance.choice(instance.children(part))
        os.kill(victim, signal.SIGKILL)
        until(
            lambda victim=victim: (
                len(now := instance.children(part)) == (2 if part == "edge" else 1) and victim not in now
            ),
            f"a new {part}",
        )
    _finish(clients)
    until(instance.ready, "the instance to be ready")
    _prove(instance, clients, tmp_path)
