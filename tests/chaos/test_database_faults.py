"""The books' server killed, away or full: the edge answers all the same, and every hit and order is applied once."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pymysql

import sql_servers
from instance import Instance, running, tuike
from sql_servers import Server
from waiting import until

KILLS = 3
BETWEEN = 50
"""Clicks between two faults."""
AWAY_S = 6.0
"""For so long it is away: what is tried, and no condition to wait for."""
SLOWEST_S = 1.0
"""What an answer of the edge may take on a loaded machine; with the database in its way it would take longer."""


class Crowd:
    """Clicks, and an order now and then, until told to stop; what was answered, and how slowly."""

    def __init__(self, instance: Instance) -> None:
        self.clicks = self.orders = 0
        self.slowest = 0.0
        self.failed: list[object] = []
        self._instance = instance
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Crowd":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def goes_on(self) -> None:
        """Waits for some more clicks to be answered."""
        wanted = self.clicks + BETWEEN
        until(lambda: self.clicks >= wanted, f"{BETWEEN} more clicks")

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.005):
            number += 1
            began = time.monotonic()
            try:
                status, _, _ = self._instance.click("/c/go")
                self.clicks += status == 302
                if number % 10 == 0:
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    order, _ = self._instance.postback(oid=f"o{number}", pid="tea", amount="10.00", aff="alice")
                    self.orders += order in (200, 202)
                    if order >= 400:
                        self.failed.append(order)
                if status != 302:
                    self.failed.append(status)
            except (urllib.error.URLError, OSError) as error:
                self.failed.append(error)
            self.slowest = max(self.slowest, 0.0 if number % 10 == 0 else time.monotonic() - began)


def prove(instance: Instance, crowd: Crowd, where: tuple[str, ...]) -> None:
    """Once the server is back: all of it is in the books, once; and nobody at the edge has noticed."""
    assert crowd.failed == []
    assert crowd.slowest < SLOWEST_S
    assert crowd.clicks > 0 and crowd.orders > 0

    def summed() -> bool:
        try:
            report = instance.get("reports/summary")
        except AssertionError:  # the books cannot be read yet
            return False
        return bool((report["clicks"], report["conversions"]) == (crowd.clicks, crowd.orders))

    until(summed, f"{crowd.clicks} clicks and {crowd.orders} orders to be in the reports")
    assert "books" not in ready(instance)
    assert instance.stop() == 0
    assert tuike("verify", *where).returncode == 0
    assert "no difference" in tuike("replay", *where).stdout


def ready(instance: Instance) -> Any:
    with urllib.request.urlopen(f"{instance.admin}/readyz") as answer:
        return json.load(answer)


def shop(instance: Instance) -> None:
    instance.merchant()
    instance.product()
    instance.promoter("alice")
    instance.post("links", code="go", promoter="alice", product="tea")


def test_a_server_killed_in_mid_transaction_again_and_again_loses_nothing(own_server: Server, tmp_path: Path) -> None:
    where = ("--data", str(tmp_path / "data"), "--database", own_server.create())
    with running(tmp_path / "data", "--workers", "1", *where[2:]) as instance:
        shop(instance)
        with Crowd(instance) as crowd:
            for _ in range(KILLS):
                crowd.goes_on()
                own_server.kill()
                own_server.start()
            crowd.goes_on()
        prove(instance, crowd, where)


def test_a_server_that_is_away_is_said_and_waited_for(own_server: Server, tmp_path: Path) -> None:
    where = ("--data", str(tmp_path / "data"), "--database", own_server.create())
    with running(tmp_path / "data", "--workers", "1", *where[2:]) as instance:
        shop(instance)
        with Crowd(instance) as crowd:
            own_server.kill()
            until(lambda: ready(instance).get("books", "").startswith("away: "), "readyz to say it")
            assert "affiliate_books_away 1" in instance.metrics()
            status, problem = instance.call("GET", "conversions")
            assert (status, problem["code"]) == (503, "books_unavailable")
            time.sleep(AWAY_S)
            own_server.start()
        prove(instance, crowd, where)


def test_an_instance_starts_and_counts_with_its_server_away(own_server: Server, tmp_path: Path) -> None:
    where = ("--data", str(tmp_path / "data"), "--database", own_server.create())
    with running(tmp_path / "data", "--workers", "1", *where[2:]) as instance:
        shop(instance)
        assert instance.stop() == 0
        own_server.kill()
        instance.start()
        with Crowd(instance) as crowd:
            crowd.goes_on()
            own_server.start()
        prove(instance, crowd, where)


def test_a_server_without_a_connection_to_spare_is_waited_for(own_server: Server, tmp_path: Path) -> None:
    url = own_server.create()
    where = ("--data", str(tmp_path / "data"), "--database", url)
    with running(tmp_path / "data", "--workers", "1", *where[2:]) as instance:
        shop(instance)
        with Crowd(instance) as crowd:
            own_server.kill()
            own_server.start()
            hoard = _take_all(own_server)
            time.sleep(AWAY_S)
            for connection in hoard:
                connection.close()
        prove(instance, crowd, where)


def _take_all(server: Server) -> list[Any]:
    """Connections until the server gives no more."""
    taken: list[Any] = []
    how: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "user": "tuike", "password": sql_servers.PASSWORD}
    connect: Callable[..., Any] = psycopg.connect if server.name == "postgresql" else pymysql.connect
    if server.name == "postgresql":
        how["dbname"] = "postgres"
    while True:
        try:
            taken.append(connect(**how))
        except (psycopg.OperationalError, pymysql.err.OperationalError):
            return taken
