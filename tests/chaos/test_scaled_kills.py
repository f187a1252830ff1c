"""Real processes of the scaled form, killed and paused under load: each event is applied once, and the books are those
of one processor."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, select

import redis_servers
from redis_servers import RedisServer
from scaled import SECRET, Story, compare
from sql_servers import Server
from tuike import bookkeeping, folder
from tuike.data import Data
from tuike.stores import engine
from tuike.stores.schema import leases, outcomes, producers
from tuike.transport import shipper
from waiting import until

EVENTS = 100


class Part:
    """One process, started again whenever it ends."""

    def __init__(self, name: str, module: str, variable: str, config: Any, log: Path) -> None:
        self.name = name
        self._command = [sys.executable, "-m", module]
        self._environment = os.environ | {variable: msgspec.json.encode(config).decode(), "TUIKE_SECRET": SECRET}
        self._log = log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


class Cluster:
    """Two shippers, two folders, two candidates for the books, on PostgreSQL and Redis."""

    def __init__(self, root: Path, database: str, redis: RedisServer) -> None:
        self.story = Story(root, 11)
        self.redis = redis
        self.url = engine.parse(database)
        self.books: Engine = engine.open_reader(self.url)
        data = Data.open(root / "process", create=True, environment={"TUIKE_SECRET": SECRET})
        log = root / "log"
        self.log = log
        shippers = [
            Part(
                f"shipper {machine.name}",
                "tuike.transport.shipper",
                shipper.VARIABLE,
                shipper.Config(str(machine.journal), machine.name, redis.url, database),
                log,
            )
            for machine in self.story.machines
        ]
        of_folder = folder.Config(database, redis.url)
        folders = [Part(f"folder {n}", "tuike.folder", folder.VARIABLE, of_folder, log) for n in range(2)]
        of_books = bookkeeping.Config(str(data.root), database, redis.url, 3, {})
        candidates = [Part(f"books {n}", "tuike.bookkeeping", bookkeeping.VARIABLE, of_books, log) for n in range(2)]
        self.parts = [*shippers, *folders, *candidates]

    def close(self) -> None:
        for part in self.parts:
            part.kill()
        self.books.dispose()

    def applied(self) -> int:
        with self.books.begin() as connection:
            return len(connection.execute(select(outcomes.c.event_id)).all())

    def holder(self, name: str) -> tuple[str, int]:
        with self.books.begin() as connection:
            row = connection.execute(select(leases).where(leases.c.name == name)).one()
        return row.holder, row.token

    def all_closed(self) -> bool:
        with self.books.begin() as connection:
            states = {row.state for row in connection.execute(select(producers))}
        return states == {"closed"}

    def goes_on(self) -> None:
        """Something more is booked, as a sign that all parts work."""
        before = self.applied()
        self.story.go_on(EVENTS)
        try:
            until(lambda: self.applied() > before, "more in the books", 40)
        except AssertionError as error:
            error.add_note(self.log.read_text()[-4_000:])
            raise


@contextmanager
def _cluster(root: Path, sql_server: Callable[[str], Server]) -> Iterator[Cluster]:
    server = sql_server("postgresql")
    database = server.create()
    with redis_servers.running() as redis:
        cluster = Cluster(root, database, redis)
        try:
            yield cluster
        finally:
            cluster.close()
            server.drop(database)


@pytest.fixture
def cluster(tmp_path: Path, sql_server: Callable[[str], Server]) -> Iterator[Cluster]:
    with _cluster(tmp_path, sql_server) as cluster:
        cluster.story.registry()

        def begun() -> bool:
            return engine.exists(cluster.url) and cluster.applied() > 0

        until(begun, "the first events in the books")
        yield cluster


def ends_well(cluster: Cluster, root: Path) -> None:
    cluster.story.close()
    try:
        until(cluster.all_closed, "all that was journalled is applied", 60)
    except AssertionError as error:
        error.add_note(cluster.log.read_text()[-4_000:])
        raise
    expected = sum(machine.messages for machine in cluster.story.machines)
    until(lambda: cluster.applied() == expected, "all outcomes", 30)
    compare(cluster.story, root, cluster.url)


def test_parts_killed_one_after_the_other(cluster: Cluster, tmp_path: Path) -> None:
    dice = random.Random(5)
    for part in dice.sample(cluster.parts, len(cluster.parts)):
        cluster.story.go_on(EVENTS)
        part.kill()
        cluster.story.go_on(EVENTS)
        part.start()
    cluster.redis.kill()
    cluster.story.go_on(EVENTS)
    cluster.redis.start()
    cluster.goes_on()
    ends_well(cluster, tmp_path)


def test_parts_that_were_paused_wake_up_replaced(cluster: Cluster, tmp_path: Path) -> None:
    """One folder, and whoever keeps the books: the others take over, and then they all believe that they hold it."""
    paused = [part for part in cluster.parts if part.name == "folder 0"]
    keeper = cluster.holder("books")[0]
    paused += [part for part in cluster.parts if part.name.startswith("books") and f"-{part._process.pid}-" in keeper]
    assert len(paused) == 2
    cluster.story.go_on(EVENTS)
    for part in paused:
        part.send(signal.SIGSTOP)
    token = cluster.holder("books")[1]
    cluster.story.go_on(EVENTS)
    until(lambda: cluster.holder("books")[1] > token, "another keeps the books", 15)
    cluster.goes_on()
    for part in paused:
        part.send(signal.SIGCONT)
    for _ in range(3):
        cluster.goes_on()
    ends_well(cluster, tmp_path)
