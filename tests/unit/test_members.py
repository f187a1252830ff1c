"""The machines of an instance in SQL: who lives, who is gone for good, and what is lost with them."""

from collections.abc import Iterator

import pytest
from sqlalchemy import URL, Connection, insert, select, update

from tuike.clock import wall
from tuike.stores import engine, members, migrations, position
from tuike.stores.schema import edges, producers
from tuike.verify import hits

ONE, TWO = f"{1:016x}", f"{2:016x}"


@pytest.fixture
def books(database: URL) -> Iterator[Connection]:
    made = engine.open_writer(database)
    migrations.upgrade(made)
    with made.begin() as connection:
        yield connection
    made.dispose()


def produce(books: Connection, incarnation: str, machine: str = "a", state: str = "live") -> None:
    row = {"incarnation": incarnation, "producer": "edge-0", "machine": machine, "first_seen": 1, "state": state}
    books.execute(insert(producers).values(seq=9, note="", **row))


def report(books: Connection, machine: str, number: int, state: members.State = "serving") -> bool:
    return members.report(books, machine, number, f"http://{machine}.test", state)


def silence(books: Connection, machine: str) -> None:
    old = members.now(books) - members.LIVE_MS - 1
    books.execute(update(edges).where(edges.c.machine == machine).values(seen=old))


def test_the_clock_is_the_databases(books: Connection) -> None:
    assert abs(members.now(books) - wall()) < 60_000


def test_a_write_waits_for_the_slowest_of_the_edges_that_live(books: Connection) -> None:
    assert members.reached(books) is None
    report(books, "a", 7)
    report(books, "b", 5)
    report(books, "admin", 1, "journal")
    assert members.reached(books) == 5
    silence(books, "b")
    assert members.reached(books) == 7
    report(books, "a", 8, "stopped")
    assert members.reached(books) is None
    found = [(machine.name, machine.number, machine.url, machine.live) for machine in members.machines(books)]
    assert found == [
        ("a", 8, "http://a.test", False),
        ("admin", 1, "http://admin.test", True),
        ("b", 5, "http://b.test", False),
    ]


def test_a_machine_that_lives_is_not_retired(books: Connection) -> None:
    report(books, "a", 1)
    produce(books, ONE)
    with pytest.raises(members.Lives):
        members.retire(books, "a")
    with pytest.raises(members.NotThere):
        members.retire(books, "elsewhere")
    assert members.all_lost(books) == []


def test_a_burnt_machine_is_retired_once_and_what_it_had_is_lost(books: Connection) -> None:
    report(books, "a", 1)
    produce(books, ONE)
    produce(books, TWO, state="closed")
    produce(books, f"{3:016x}", machine="b")
    for partition, seq in enumerate((40, 31, 50)):
        seen = position.read(books, "hits", partition)
        position.advance(books, seen, {1: seq, 2: seq})
    silence(books, "a")
    (lost,) = members.retire(books, "a", "it burnt")
    assert (lost.machine, lost.incarnation, lost.first, lost.last, lost.note) == (
        "a",
        ONE,
        32,
        members.OPEN,
        "it burnt",
    )
    assert members.retire(books, "a") == []
    assert members.all_lost(books) == [lost]
    assert hits.lost(books) == f"a {ONE} from event 32 on"
    states = books.execute(select(producers.c.state).order_by(producers.c.incarnation)).scalars().all()
    assert states == ["lost", "closed", "live"]
    assert not report(books, "a", 2)
    assert members.is_retired(books, "a")


def test_a_machine_that_only_its_producers_tell_of_can_be_retired(books: Connection) -> None:
    produce(books, ONE)
    assert [row.first for row in members.retire(books, "a")] == [1]
    assert members.is_retired(books, "a")


def test_books_belong_to_the_first_secret_that_claims_them(books: Connection) -> None:
    members.check_secret(books, "s1")
    members.claim(books, "s1")
    members.claim(books, "s1")
    for asks in (members.claim, members.check_secret):
        with pytest.raises(members.OtherSecret):
            asks(books, "s2")
