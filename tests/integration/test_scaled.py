"""The scaled form makes of the same journals the same books, sums and touches as one processor does."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, func, select

import redis_servers
from redis_servers import RedisServer
from scaled import SECRET, VISITORS, Machine, Scaled, Story, compare
from tuike import _core
from tuike.bookkeeping import LOOK_S
from tuike.data import Data
from tuike.erasing import Journals
from tuike.replay.logs import TableLog
from tuike.stores import engine, members
from tuike.stores.schema import booked, conversions, erasures, hit_counts, outcomes
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
    journals = [Journals(books, Data(machine.root, SECRET), machine.name) for machine in story.machines]

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


@pytest.fixture
def books(database: URL) -> Iterator[Engine]:
    made = engine.open_writer(database)
    yield made
    made.dispose()


def report(books: Engine, machines: list[Machine], state: members.State = "serving") -> None:
    with books.begin() as connection:
        for machine in machines:
            members.report(connection, machine.name, 1, "", state)


def booked_orders(books: Engine) -> int:
    with books.begin() as connection:
        return connection.scalar(select(func.count()).select_from(conversions)) or 0


@pytest.mark.parametrize("begins", ["a producer's successor", "an edge that starts again"])
def test_an_order_waits_for_a_click_that_an_edge_took_in_its_first_moments(
    tmp_path: Path, database: URL, redis_url: str, books: Engine, begins: str
) -> None:
    story = Story(tmp_path, 3)
    scaled = Scaled(story, database, redis_url, now=lambda: story.now)
    scaled.folder(), scaled.candidate()
    old, new = story.machines
    report(books, [old, new])
    story.registry()
    new.close()

    def ended() -> bool:
        scaled.step()
        keeper = scaled.candidates[0].books
        return keeper is not None and len(keeper._promises.closed) == 2

    until(ended, "one edge's producers to end")
    new.writers.clear()
    if begins == "an edge that starts again":
        report(books, [new], "stopped")
        scaled.steps(100)
        report(books, [new], "starting")
    shipper = scaled.shippers.pop()  # it has not looked yet when the order is at the other edge
    new.start(0)
    click = story.id()
    hit = {"kind": "click", "aff": "alice", "pid": "tea", "merchant": "shop", "visitor": VISITORS[0], "counted": True}
    new.append(0, hit | {"id": click})
    order = {"kind": "order", "merchant": "shop", "pid": "tea", "oid": "o1", "currency": "CNY", "amount": 9_900}
    old.append(0, order | {"source": "postback", "click": click})
    for _ in range(20):
        story.tick(), old.promise()
        scaled.steps(10)
        time.sleep(LOOK_S)
    assert booked_orders(books) == 0
    scaled.shippers.append(shipper)
    story.close(), story.tick()
    scaled.drain()
    with books.begin() as connection:
        (row,) = connection.execute(select(conversions)).all()
    assert (row.status, click in row.evidence) == ("approved", True)
    scaled.close()
    compare(story, tmp_path, database)


def test_what_a_retired_edge_brings_after_all_is_taken_in_once(
    tmp_path: Path, database: URL, redis_url: str, books: Engine
) -> None:
    story = Story(tmp_path, 4)
    scaled = Scaled(story, database, redis_url)
    scaled.folder(), scaled.candidate()
    story.registry()
    story.go_on(200)
    scaled.steps(50)
    gone = story.machines[1]
    with books.begin() as connection:
        assert len(members.retire(connection, gone.name)) == 2
    gone.start(0)  # cut off from SQL, and its own successor is none that anybody knows
    story.go_on(400, restarts=False)
    journal = [(producer, number) for producer, number, _ in _core.incarnations(str(gone.journal))]
    with books.begin() as connection:
        (found,) = members.come_back(connection, gone.name, journal)
        assert members.come_back(connection, gone.name, journal) == []
    assert (found.machine, found.first, found.last, found.note) == (gone.name, 1, members.OPEN, "it came back")
    story.close()

    def applied() -> bool:
        scaled.step()
        with books.begin() as connection:
            hits = connection.scalar(select(func.sum(hit_counts.c.hits))) or 0
            answers = connection.scalar(select(func.count()).select_from(outcomes)) or 0
        return int(hits) + answers == story.events

    until(applied, "all to be applied")
    with books.begin() as connection:
        assert {row.incarnation for row in members.all_lost(connection)} == {f"{number:016x}" for _, number in journal}
    scaled.close()
    compare(story, tmp_path, database)
