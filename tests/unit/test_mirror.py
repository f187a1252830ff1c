"""The mirror: the registry log of a machine without books, kept true from SQL."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, select

from tuike import _core, mirror, retention
from tuike.books import entries, registry_log
from tuike.books.bookkeeper import NUMBER_KEY
from tuike.books.edge_registry import EdgeNews
from tuike.clock import Clock, steady, wall
from tuike.data import Data
from tuike.mirror import Mirror
from tuike.stores import engine, members, meta, migrations, position, registry_changes, schema
from tuike.transport.entries import PARTITIONS
from waiting import until

SECRET = "5a" * 32


class Books:
    """The books of an instance, as a bookkeeper on another machine writes them."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.engine = engine.open_writer(self.url)
        migrations.upgrade(self.engine)
        self.news = EdgeNews(SECRET, lambda count: bytes(count))
        self.number = 0
        self.tell()

    def tell(self, *changed: entries.Entry) -> None:
        """A registry write: what of it edges must hear, with the number that it gets."""
        self.number += 1
        with self.engine.begin() as connection:
            if self.news.is_due(wall()):
                self.news.begin(connection, wall())
            meta.write(connection, NUMBER_KEY, str(self.number))
            self.news.tell(connection, list(changed), self.number, wall())

    def do(self, statement: Any) -> list[Any]:
        with self.engine.begin() as connection:
            found = connection.execute(statement)
            return list(found) if found.returns_rows else []


@pytest.fixture
def books(database: URL) -> Iterator[Books]:
    books = Books(database)
    yield books
    books.engine.dispose()


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data.open(tmp_path / "edge", create=True, environment={"TUIKE_SECRET": SECRET})


@pytest.fixture
def here(data: Data, books: Books) -> Iterator[Mirror]:
    made = Mirror(data, books.url, url="http://edge.test")
    yield made
    made.close()


def told(data: Data) -> list[tuple[str, int]]:
    """What the registry log says, in turn, and under which numbers."""
    incarnation = max((data.registry / "registry").iterdir(), key=lambda path: path.stat().st_mtime)
    events = [_core.decode_event(payload) for _, payload in _core.JournalReader(str(incarnation), 0)]
    return [(json.loads(event["body"])["t"], event.get("registry", 0)) for event in events]


def settle(here: Mirror) -> None:
    here.step(called=True)
    until(lambda: (here.step(), here.pause == mirror.POLL_S)[-1], "the registry to be whole")


def test_it_looks_within_a_second_and_more_often_where_nobody_can_call_it(here: Mirror) -> None:
    settle(here)
    assert here.pause == mirror.POLL_S
    here.step(heard=True)
    assert mirror.POLL_S < here.pause == mirror.HEARD_S < 1


ALICE = {"t": "promoter", "id": "alice", "status": "active"}


def test_it_begins_with_a_snapshot_and_goes_on_with_what_is_told(data: Data, books: Books, here: Mirror) -> None:
    settle(here)
    assert told(data) == [("key", 1)] * 3 + [("snapshot", 1), ("ready", 1)]
    books.tell(ALICE)
    books.tell()
    here.step(called=True)
    assert told(data)[-2:] == [("promoter", 2), ("number", 3)]
    here.step(called=True)
    assert told(data)[-1] == ("number", 3)


def test_it_says_how_far_the_machine_has_come(data: Data, books: Books, here: Mirror) -> None:
    settle(here)
    books.tell(ALICE)
    here.step(called=True)
    (row,) = books.do(select(schema.edges))
    assert (row.machine, row.number, row.url, row.state) == (data.machine, 2, "http://edge.test", "serving")
    with books.engine.begin() as connection:
        assert members.reached(connection) == 2
        assert abs(row.seen - wall()) < 60_000


def test_one_that_is_older_than_what_is_kept_begins_anew(data: Data, books: Books, here: Mirror) -> None:
    settle(here)
    books.tell(ALICE)
    books.tell(ALICE)
    with books.engine.begin() as connection:
        registry_changes.prune(connection, wall() + registry_changes.KEPT_MS + 60_000)
    settle(here)
    assert told(data) == [("key", 3)] * 3 + [("snapshot", 3), ("ready", 3)]


def test_too_many_changes_are_a_beginning(
    data: Data, books: Books, here: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(here)
    monkeypatch.setattr(registry_changes, "MOST", 1)
    books.tell(ALICE, ALICE)
    settle(here)
    assert told(data)[-2:] == [("snapshot", 2), ("ready", 2)]


def test_keys_of_another_day_are_told_and_those_of_old_days_are_not(data: Data, books: Books, here: Mirror) -> None:
    settle(here)
    day = wall() // 86_400_000
    with books.engine.begin() as connection:
        books.news.begin(connection, wall() + 86_400_000)
    here.step(called=True)
    assert told(data)[-1] == ("key", 1)
    (first, *_) = books.do(select(schema.daily_keys.c.day).order_by(schema.daily_keys.c.day))
    assert first.day == day
    books.do(schema.daily_keys.insert().values(day=day - 2, key="gone"))
    here._anew = True
    settle(here)
    assert told(data)[:4] == [("key", 1)] * 4


def test_a_snapshot_that_fails_leaves_the_last_one_and_is_made_again(
    data: Data, books: Books, here: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(here)
    books.tell(ALICE)

    def fails(*_: Any) -> int:
        raise OSError("the database went away")

    with monkeypatch.context() as patch:
        patch.setattr(registry_log, "_write_snapshot", fails)
        here._anew = True
        with pytest.raises(OSError, match="went away"):
            settle(here)
    (kept,) = (data.registry / "registry").iterdir()
    assert told(data)[-1] == ("ready", 1)
    settle(here)
    assert told(data)[-1] == ("ready", 2)
    assert not kept.exists()


def test_the_books_of_another_instance_are_not_taken(data: Data, books: Books, here: Mirror) -> None:
    with books.engine.begin() as connection:
        members.claim(connection, "another")
    with pytest.raises(members.OtherSecret):
        here.step()
    assert not (data.registry / "registry").exists()


def test_a_retired_machine_says_no_more(data: Data, books: Books, here: Mirror) -> None:
    settle(here)
    books.do(schema.edges.update().values(seen=0))
    with books.engine.begin() as connection:
        members.retire(connection, data.machine)
    books.tell(ALICE)
    with pytest.raises(mirror.Retired):
        here.step(called=True)


def test_a_machine_says_that_it_stops_when_the_books_know_of_all_that_its_journal_has(data: Data, books: Books) -> None:
    _core.Writer(str(data.journal), "edge-0", 7).close(1)
    for known in (False, True):
        here = Mirror(data, books.url)
        settle(here)
        if known:
            row = {"incarnation": f"{7:016x}", "producer": "edge-0", "machine": data.machine, "first_seen": 1}
            books.do(schema.producers.insert().values(state="live", seq=0, note="", **row))
        here.close()
        assert books.do(select(schema.edges.c.state))[0].state == ("stopped" if known else "serving")


def test_an_admin_has_a_journal_and_holds_nobody_up(data: Data, books: Books) -> None:
    admin = Mirror(data, books.url, serves=False)
    admin.step()
    with books.engine.begin() as connection:
        assert members.reached(connection) is None
        (machine,) = members.machines(connection)
    assert (machine.state, machine.live) == ("journal", True)
    admin.close()
    assert not (data.registry / "registry").exists()
    assert books.do(select(schema.edges.c.state))[0].state == "stopped"


# --- the clock -------------------------------------------------------------------------------------


def test_what_was_measured_is_kept_while_it_can_be_true(tmp_path: Path) -> None:
    ours, theirs = Clock(tmp_path / "clock"), Clock(tmp_path / "clock")
    assert abs(ours() - wall()) < 1_000
    ahead = wall() + 600_000
    ours.measured(ahead, steady(), steady())
    assert 590_000 < ours() - wall() < 610_000
    assert theirs.base is None
    theirs.look()
    assert theirs.base == ours.base
    base = ours.base
    assert base is not None
    ours.measured(steady() + base + 30, steady() - 50, steady() + 50)
    assert ours.base == base
    ours.measured(steady() + base + 100_000, steady(), steady())
    assert ours.base > base + 90_000


def test_what_another_start_of_the_machine_measured_counts_no_more(tmp_path: Path) -> None:
    (tmp_path / "clock").write_text("another-boot 5")
    assert Clock(tmp_path / "clock").base is None


def test_the_mirror_measures_the_databases_clock(data: Data, here: Mirror) -> None:
    here.step()
    assert abs(Clock(data.clock)() - wall()) < 1_000
    assert data.clock.exists()


# --- people ----------------------------------------------------------------------------------------


def test_hits_that_the_books_say_are_past_their_keeping_lose_whom_they_were_about(
    data: Data, books: Books, here: Mirror
) -> None:
    hit = {"kind": "click", "at": wall(), "received": wall(), "merchant": "shop", "visitor": "ab" * 16, "counted": True}
    writer = _core.Writer(str(data.journal), "edge-0", 7)
    writer.append([_core.encode_event(hit)])
    writer.close(wall())
    here.step()
    assert here._retention.wait() == 0, "nothing is said yet"
    with books.engine.begin() as connection:
        retention.note(connection, 30, 0, wall() + 31 * registry_log.DAY_MS)
    for parts in (PARTITIONS - 1, PARTITIONS):
        with books.engine.begin() as connection:
            for partition in range(parts) if parts < PARTITIONS else (PARTITIONS - 1,):
                position.advance(connection, position.read(connection, "hits", partition), {7: 1})
        here._kept = float("-inf")
        here.step()
        assert here._retention.wait() == parts // PARTITIONS, "one partition has not come to it"
    ((_, _, path),) = _core.incarnations(str(data.journal))
    (left,) = [_core.decode_event(payload) for _, payload in _core.JournalReader(path)]
    assert "visitor" not in left and left["counted"]
