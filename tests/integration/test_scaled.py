"""The scaled form makes of the same journals the same books, sums and touches as one processor does."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, select

import redis_servers
from redis_servers import RedisServer
from scaled import VISITORS, Scaled, Story, compare
from tuike.erasing import Journals
from tuike.replay.logs import TableLog
from tuike.stores import engine
from tuike.stores.schema import booked, conversions, erasures
from tuike.stores.touches import SqlTouches
from tuike.verify.booked import Records
from waiting import until


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_servers.running() as server:
        yield server


@pytest.fixture
def redis_url(server: RedisServer) -> str:
    with server.client() as client:
        client.flushall()
    return server.url


def test_scaled_and_embedded_make_the_same_of_the_same_journals(tmp_path: Path, database: URL, redis_url: str) -> None:
    story = Story(tmp_path, 1)
    scaled = Scaled(story, database, redis_url)
    scaled.folder(), scaled.folder(), scaled.candidate(), scaled.candidate()
    story.registry()
    for _ in range(10):
        story.go_on(200)
        for _ in range(5):
            scaled.step()
    story.close()
    scaled.drain()
    scaled.close()
    compare(story, tmp_path, database)


def test_each_machine_erases_its_own_journal_and_the_books_are_those_of_one(
    tmp_path: Path, database: URL, redis_url: str
) -> None:
    story = Story(tmp_path, 2)
    scaled = Scaled(story, database, redis_url)
    scaled.folder(), scaled.candidate()
    story.registry()
    story.go_on(600)
    person = VISITORS[0]
    body = json.dumps({"op": "person.erase", "data": {}, "actor": "test"}).encode()
    story.machines[0].append(0, {"kind": "registry", "visitor": person, "body": body})
    story.close()
    scaled.drain()
    names = [machine.name for machine in story.machines]
    books = engine.open_writer(database)
    journals = [Journals(books, machine.journal, machine.name) for machine in story.machines]

    def state() -> Any:
        scaled.step()
        for journal in journals:
            journal.step(time.time_ns() // 1_000_000, lambda connection: None, lambda connection: names)
        with books.begin() as connection:
            return connection.execute(select(erasures)).one()

    until(lambda: state().state == "done", "the erasure to be done")
    done = state()
    assert done.touches > 0 and done.orders > 0 and (done.subject, done.fresh) == ("", "")
    with books.begin() as connection:
        touches = SqlTouches(books)
        touches.begin(connection)
        assert touches.path("visitor", "shop", person, 0, 1 << 50) == []
        records = [bytes(record) for record in connection.scalars(select(booked.c.record))]
        assert not any(person.encode() in record for record in records)
        assert not any(person in proof for proof in connection.scalars(select(conversions.c.evidence)))
        Records(connection, TableLog(connection), max(connection.scalars(select(booked.c.number)))).check()
    for journal in journals:
        journal.close()
    books.dispose()
    scaled.close()
    segments = [path.read_bytes() for machine in story.machines for path in machine.journal.rglob("*.seg")]
    assert not any(bytes.fromhex(person) in segment for segment in segments)
    compare(story, tmp_path, database)
