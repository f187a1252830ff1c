"""Load on a cluster, and the proof that every acknowledged hit and order was applied exactly once."""

import itertools
import os
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from cluster import Cluster
from load import NAMES, Load, acknowledged
from receiving import Received
from scaled import COMPARED, gather
from tuike import _core, promises
from tuike.data import Data
from tuike.process import Processor
from tuike.stores import engine, members
from tuike.stores.schema import conversions, outcomes, producers, rollups
from waiting import until

CLIENTS = 2
"""At each edge; where one does not answer they go to the next."""
BREATH = 0.15
CLICKS = 50
GOES_ON = 60
"""Hits that are answered before a fault, and after its repair."""
LAG_S = 2.0
"""A lag that is normal on a busy machine."""
NORMAL_S = 30.0
"""Within this of the repair, and what the backlog takes, the lag has to be normal."""
BUSY = 6.0
"""How much longer a machine with other work may take."""
SLOWEST_S = 1.0
"""p99 of an answer on a busy machine; on a quiet one it is below 50 ms."""
VERIFY_S = 300.0


def begin(cluster: Cluster) -> list[Load]:
    """Clients at work. Their orders name clicks of each other, so most often of another edge."""
    ports = [cluster.port(name) for name in cluster.names("edge-")]
    clicks: deque[str] = deque(maxlen=CLICKS)
    clients = []
    for number in range(CLIENTS * len(cluster.edges)):
        first = number % len(cluster.edges)
        name = f"{os.getpid()}s{next(NAMES)}"
        clients.append(Load(cluster, name, ports=ports[first:] + ports[:first], clicks=clicks, breath=BREATH))
    for client in clients:
        client.start()
    return clients


@contextmanager
def under_load(cluster: Cluster) -> Iterator[list[Load]]:
    clients = begin(cluster)
    try:
        yield clients
    finally:
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join()


def goes_on(clients: list[Load]) -> None:
    """Waits for some more answers."""
    before = acknowledged(clients)
    until(lambda: acknowledged(clients) > before + GOES_ON, f"{GOES_ON} more hits")


def p99(clients: list[Load], since: Sequence[int] = ()) -> float:
    """Of all answers to hits, or of those since each client had so many: seconds."""
    firsts = since or [0] * len(clients)
    took = sorted(itertools.chain.from_iterable(c.took[first:] for c, first in zip(clients, firsts, strict=True)))
    return took[len(took) * 99 // 100]


def lag(cluster: Cluster) -> float:
    """Seconds that the books are behind; infinite while they cannot be asked, or somebody is not waited for."""
    try:
        with cluster.books() as connection:
            away = connection.scalar(select(func.count()).where(producers.c.state == "away"))
            behind = members.now(connection) - promises.committed(connection)
    except DBAPIError:
        return float("inf")
    return float("inf") if away else behind / 1000


def recovers(cluster: Cluster) -> float:
    """Waits until the lag is normal; the seconds that took."""
    began = time.monotonic()
    until(lambda: lag(cluster) < LAG_S, "the lag to be normal", NORMAL_S * BUSY)
    return time.monotonic() - began


def journals(cluster: Cluster) -> list[Path]:
    """The data directories of machines that have a journal."""
    names = [*cluster.names("edge-"), "admin"]
    return [cluster.data / name for name in names if (cluster.data / name).is_dir()]


def all_applied(cluster: Cluster) -> None:
    """Waits until all that was received so far is in the books; nobody may be at work any more."""
    with cluster.books() as connection:
        now = members.now(connection)
    there = {
        f"{incarnation:016x}"
        for machine in journals(cluster)
        for _, incarnation, _ in _core.incarnations(str(machine / "journal"))
    }

    def done() -> bool:
        with cluster.books() as connection:
            away = connection.scalar(select(func.count()).where(producers.c.state == "away"))
            known = set(connection.scalars(select(producers.c.incarnation)))
            return not away and there <= known and promises.committed(connection) > now

    until(done, "all to be applied", NORMAL_S * BUSY)


def prove(cluster: Cluster, clients: list[Load], slowest: float = SLOWEST_S) -> None:
    """The clients saw no failure of the edges, and what they were told came true."""
    all_applied(cluster)
    assert [status for client in clients for status in client.failed] == []
    assert p99(clients) < slowest
    with cluster.books() as connection:
        hits = func.sum(rollups.c.impressions + rollups.c.clicks)
        by_label = select(rollups.c.label, hits.label("hits")).where(rollups.c.label_number == 1).group_by("label")
        counted = {row.label: int(row.hits) for row in connection.execute(by_label)}
        became = {row.event_id: row.status for row in connection.execute(select(outcomes))}
    answered = {label for client in clients for label in client.hits}
    assert answered, "the load got no answer at all"
    assert not answered - counted.keys(), "acknowledged hits are lost"
    assert {label: hits for label, hits in counted.items() if hits != 1} == {}
    orders = [event for client in clients for event in client.orders]
    assert orders, "no order was accepted"
    assert Counter(became.get(event, "lost") for event in orders) == {"applied": len(orders)}


def prove_webhook(cluster: Cluster, received: Received) -> None:
    """Each order was told, in the books' order and under its own id, once or again; nobody may be at work any more."""
    with cluster.books() as connection:
        made = [(f"evt_{row.number}", row.id) for row in connection.execute(select(conversions).order_by("number"))]
    until(lambda: len(received.firsts()) >= len(made), "all orders to be told", NORMAL_S * BUSY)
    assert [(id, body["data"]["id"]) for id, body in received.firsts().items()] == made


def prove_books(cluster: Cluster, folder: Path) -> None:
    """The books are those of one processor that nobody disturbed, over the same journals, and `verify` finds nothing;
    nobody may be at work any more."""
    all_applied(cluster)
    machines = journals(cluster)
    secret = (cluster.data / "secret").read_text()
    quiet = Data.open(folder, create=True, environment={"TUIKE_SECRET": secret})
    gather([machine / "journal" for machine in machines], quiet.journal)
    processor = Processor(quiet)
    while processor.step() or processor.more or processor.waiting:
        pass
    processor.close()
    alone, many = engine.open_reader(quiet.database), engine.open_reader(engine.parse(cluster.database))
    with alone.begin() as one, many.begin() as other:
        for name, query in COMPARED.items():
            left, right = ([tuple(row) for row in books.execute(text(query))] for books in (one, other))
            assert left == right, (
                name,
                *([row for row in a if row not in b][:5] for a, b in ((left, right), (right, left))),
            )
    alone.dispose(), many.dispose()
    for machine in machines:
        command = [sys.executable, "-m", "tuike", "verify", "--data", str(machine), "--database", cluster.database]
        environment = os.environ | {"TUIKE_SECRET": secret}
        proof = subprocess.run(command, capture_output=True, text=True, timeout=VERIFY_S, env=environment)
        assert proof.returncode == 0, (machine.name, proof.stdout, proof.stderr)
