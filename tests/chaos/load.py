"""Load on an instance that keeps account of what was answered, and the proof that it all came true."""

import itertools
import json
import os
import shutil
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from books import books, differences, outcomes
from instance import Instance, running, signed, tuike
from tuike.data import Data
from tuike.process import Processor
from waiting import PATIENCE, until

CLIENTS = 4
AHEAD = 8
BREATH = 0.01
"""Seconds between them: each hit has a label of its own, so a row in the books, and all are proven."""
CATCH_UP = 300.0
"""Seconds that a busy machine may take to fold what was left behind."""
ENDED_INCARNATIONS = 100
"""More than a run leaves behind."""
ORDER_EVERY = 50
"""One request of so many is an order."""
NAMES = itertools.count()


@contextmanager
def shop(data: Path, *options: str) -> Iterator[Instance]:
    """A running instance with what the load needs."""
    with running(data, "--workers", "2", *options) as instance:
        stock(instance)
        yield instance


def stock(instance: Instance) -> None:
    """What the load needs."""
    instance.merchant()
    levels = [{"level": 1, "value": "5.0"}, {"level": 2, "value": "3.0"}]
    instance.product(commission={"type": "percentage", "value": "10.0", "levels": levels})
    instance.promoter("ann")
    instance.promoter("bo", "ann")
    instance.post("links", code="L", promoter="ann", product="tea", channel="web")


class Load(threading.Thread):
    """A client that keeps what was acknowledged: labels of clicks and views, ids of orders. It goes to the first of
    `ports` that answers; its orders name clicks in `clicks`, to which it adds its own."""

    def __init__(
        self,
        instance: Instance,
        name: str,
        padding: int = 0,
        ports: Sequence[int] = (),
        clicks: deque[str] | None = None,
        breath: float = BREATH,
    ) -> None:
        super().__init__(daemon=True)
        self.instance = instance
        self.label = name
        self.ports = ports or (instance.edge_port,)
        self.clicks = clicks
        self.breath = breath
        self.padding = "".join(f"&sub{n}={'x' * padding}" for n in range(2, 6)) if padding else ""
        self.stopping = threading.Event()
        self.hits: list[str] = []
        self.orders: list[str] = []
        self.unrecorded = 0
        self.refused = 0
        self.failed: list[int] = []
        """The status of each hit that got one of 500 and more."""
        self.cut_off = 0
        self.took: list[float] = []
        """Seconds of each answer to a hit, from when it was asked for, with those ahead of it."""
        self.sent = 0

    def run(self) -> None:
        for port in itertools.cycle(self.ports):
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
                    self._talk(connection)
            except OSError:
                self.cut_off += 1
                time.sleep(0.005)  # the edge is down: no condition to wait for but that it answers again
            if self.stopping.is_set():
                return

    def _talk(self, connection: socket.socket) -> None:
        file = connection.makefile("rb")
        while not self.stopping.is_set():
            labels = [self._next() for _ in range(AHEAD)]
            requests = b"".join(self._request(label) for label in labels)
            asked = time.monotonic()
            connection.sendall(requests)
            for label in labels:
                status, headers, body = _answer(file)
                self._account(label, status, headers, body, time.monotonic() - asked)
                if headers.get("connection") == "close":
                    return
            time.sleep(self.breath)

    def _account(self, label: str, status: int, headers: dict[str, str], body: bytes, took: float) -> None:
        if _is_order(label):
            if status == 202:
                self.orders.append(json.loads(body)["event_id"])
            self.refused += status == 503
            return
        self.took.append(took)
        if headers.get("tuike-recorded") == "0":
            self.unrecorded += 1
        elif status in (200, 302):
            self.hits.append(label)
            if self.clicks is not None and status == 302:
                self.clicks.append(headers["location"].rpartition("click_id=")[2])
        elif status >= 500:
            self.failed.append(status)

    def _next(self) -> str:
        self.sent += 1
        return f"{self.label}-{self.sent}"

    def _request(self, label: str) -> bytes:
        if _is_order(label):
            pairs = {
                "merchant": "shop",
                "ts": str(int(time.time())),
                "oid": label,
                "pid": "tea",
                "amount": "100.00",
                "aff": "bo",
            }
            if self.clicks:
                pairs["click_id"] = self.clicks[-1]
            target = f"/postback?{signed(self.instance.secrets['shop'], **pairs)}"
        elif int(label.rsplit("-", 1)[1]) % 2:
            target = f"/c/L?sub1={label}{self.padding}"
        else:
            target = f"/p.gif?aff=ann&pid=tea&sub1={label}{self.padding}"
        return f"GET {target} HTTP/1.1\r\nHost: edge.example\r\n\r\n".encode()


def _is_order(label: str) -> bool:
    return int(label.rsplit("-", 1)[1]) % ORDER_EVERY == 0


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


def begin(instance: Instance, padding: int = 0) -> list[Load]:
    """Clients at work; each hit carries four labels of `padding` bytes."""
    clients = [Load(instance, f"{os.getpid()}c{next(NAMES)}", padding) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    return clients


def finish(clients: list[Load]) -> None:
    for client in clients:
        client.stopping.set()
    for client in clients:
        client.join()


def acknowledged(clients: list[Load]) -> int:
    return sum(len(client.hits) for client in clients)


def prove(instance: Instance, clients: list[Load], tmp_path: Path) -> None:
    """Every acknowledged hit is there once, every order has its outcome, a quiet run of the same events is equal."""
    orders = {event for client in clients for event in client.orders}
    until(lambda: orders <= outcomes(instance.data).keys(), "the orders booked", CATCH_UP)
    until(lambda: ", 0 hits not folded yet" in tuike("verify", "--data", instance.data).stdout, "all folded", CATCH_UP)
    proof = tuike("verify", "--data", instance.data)
    events = [json.loads(line) for line in tuike("journal", "cat", "--data", instance.data).stdout.splitlines()]
    recorded = Counter(event["sub1"] for event in events if event["kind"] in ("click", "view"))
    answered = {label for client in clients for label in client.hits}
    assert answered, "the load got no answer at all"
    assert answered <= recorded.keys(), "an acknowledged hit is lost"
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
    processor = Processor(Data.open(data, create=True))
    idle = 0
    while idle < ENDED_INCARNATIONS or processor.waiting:  # an empty read may lie between two of them
        idle = 0 if processor.step() else idle + 1
    processor.close()
