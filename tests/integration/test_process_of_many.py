"""`tuike process` on one machine of several: what runs, what it says when it cannot, and how it stops."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

import redis_servers
from ports import free_port
from redis_servers import RedisServer
from scaled import SECRET
from sql_servers import Server
from tuike import retention
from tuike.books.settings import DAY_MS
from tuike.stores import engine
from tuike.stores.schema import leases
from waiting import PATIENCE, until

COMMAND = [sys.executable, "-m", "tuike", "process"]
ENVIRONMENT = os.environ | {"TUIKE_SECRET": SECRET}


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with redis_servers.running() as server:
        yield server


@pytest.fixture
def database(sql_server: Callable[[str], Server]) -> Iterator[str]:
    server = sql_server("postgresql")
    url = server.create()
    yield url
    server.drop(url)


def held(database: str) -> dict[str, str]:
    books = engine.open_reader(engine.parse(database))
    try:
        if not engine.exists(engine.parse(database)):
            return {}
        with books.begin() as connection:
            return {row.name: row.holder for row in connection.execute(select(leases)) if row.holder}
    finally:
        books.dispose()


def kept(database: str) -> int:
    books = engine.open_reader(engine.parse(database))
    with books.begin() as connection:
        noted = retention.noted(connection)
    books.dispose()
    return noted.get("hits", 0)


def shared(database: str) -> bool:
    now = held(database)
    folders = {holder for name, holder in now.items() if name.startswith("partition-")}
    return len(now) == 64 + 2 + 1 and len(folders) == 2


@pytest.mark.parametrize("transport", ["redis", "none"])
def test_folders_and_a_bookkeeper_run_and_give_back_what_they_hold(
    tmp_path: Path, database: str, redis_server: RedisServer, transport: str
) -> None:
    options = ["--data", str(tmp_path / "data"), "--database", database, "--folders", "2"]
    options += ["--redis", redis_server.url] if transport == "redis" else []
    port = free_port()
    options += ["--metrics-port", str(port), "--retention-days", "90"]
    log = tmp_path / "log"
    with log.open("wb") as out:
        running = subprocess.Popen([*COMMAND, *options], env=ENVIRONMENT, stdout=out, stderr=out)
    try:
        until(lambda: running.poll() is not None or shared(database), "two folders share the partitions")
        assert "3 processes" in log.read_text()
        assert asked(port, "/healthz") == '{"status": "ok"}'
        assert asked(port, "/readyz") == '{"status": "ready"}'
        metrics = asked(port, "/metrics").splitlines()
        leases = [line for line in metrics if line.startswith("affiliate_lease{")]
        assert len(leases) == 64 + 2 + 1
        assert f'affiliate_lease{{lease="books",holder="{held(database)["books"]}"}} 1' in leases
        assert {"affiliate_books_away 0", "affiliate_folded_hits_total 0"} <= set(metrics)
        until(lambda: kept(database) == 90 * DAY_MS, "it to be said how long hits are kept")
    finally:
        running.send_signal(signal.SIGTERM)
        code = running.wait(60)
    assert code == 0, log.read_text()
    assert held(database) == {}


def test_processes_that_start_while_all_of_redis_is_away_wait_for_it(tmp_path: Path, database: str) -> None:
    log = tmp_path / "log"

    def all_wait() -> bool:
        return running.poll() is not None or log.read_text().count("waiting: ") >= 3

    with redis_servers.cluster() as servers:
        for server in servers:
            server.kill()
        options = ["--data", str(tmp_path / "data"), "--database", database, "--folders", "2"]
        options += ["--redis", f"redis+cluster://127.0.0.1:{servers[0].port}"]
        with log.open("wb") as out:
            running = subprocess.Popen([*COMMAND, *options], env=ENVIRONMENT, stdout=out, stderr=out)
        try:
            until(all_wait, "two folders and a bookkeeper to wait for Redis")
            for server in servers:
                server.start()
            until(lambda: running.poll() is not None or shared(database), "two folders share the partitions")
        finally:
            running.send_signal(signal.SIGTERM)
            code = running.wait(60)
    assert code == 0, log.read_text()


def asked(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        text: str = answer.read().decode()
        return text


def refusal(*options: str) -> str:
    done = subprocess.run(
        [*COMMAND, *options], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in (1, 2), done.stderr
    return done.stderr.splitlines()[-1]


def test_what_cannot_be_is_said_in_one_line(tmp_path: Path, database: str, redis_server: RedisServer) -> None:
    data = ["--data", str(tmp_path / "data")]
    assert re.search("--redis and --folders go with --database", refusal(*data, "--redis", redis_server.url))
    with redis_servers.running() as wrong, wrong.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        said = refusal(*data, "--database", database, "--redis", wrong.url, "--folders", "1")
    assert re.search("maxmemory-policy is allkeys-lru", said), said
    said = refusal(*data, "--database", database, "--redis", "http://nowhere", "--folders", "1")
    assert re.search("redis\\+cluster", said), said
