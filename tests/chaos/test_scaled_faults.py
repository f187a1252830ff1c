"""Whatever fails between an edge's journal and the books on other machines, each event is applied once."""

import gc
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import redis_servers
from redis_servers import RedisServer
from scaled import Scaled, Story, compare
from tuike import bookkeeping, promises
from tuike import folder as folding
from tuike.clock import Clock
from tuike.folder import Folder
from tuike.stores import engine, position
from tuike.stores.position import PositionMoved
from tuike.stores.schema import producers
from tuike.stores.touches import SqlTouches
from tuike.transport import shipper as shipping
from waiting import PATIENCE, until

EVENTS = 150


class Killed(BaseException):
    """Stands for kill -9 at a chosen place."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_servers.running() as server:
        yield server


@pytest.fixture
def scaled(tmp_path: Path, server: RedisServer) -> Iterator[Scaled]:
    """Two machines, two folders, a bookkeeper, with something on its way."""
    story = Story(tmp_path, 7)
    scaled = Scaled(story, engine.of_file(tmp_path / "books.sqlite"), server.url)
    scaled.folder(), scaled.folder(), scaled.candidate()
    story.registry()
    story.go_on(EVENTS)
    scaled.steps(3)
    yield scaled
    scaled.close()


def ends_well(scaled: Scaled, tmp_path: Path) -> None:
    """All that follows is applied too, and the books are those of one processor."""
    scaled.story.go_on(EVENTS)
    scaled.steps(2)
    scaled.story.close()
    scaled.drain()
    compare(scaled.story, tmp_path, scaled.database)


# --- Redis -----------------------------------------------------------------------------------------


def test_redis_that_is_killed_and_comes_back_empty(scaled: Scaled, server: RedisServer, tmp_path: Path) -> None:
    for _ in range(3):
        scaled.story.go_on(EVENTS)
        scaled.steps(2)
        server.kill()
        scaled.story.go_on(EVENTS)
        scaled.steps(2)
        server.start()
        scaled.steps(2)
    assert scaled.failures
    ends_well(scaled, tmp_path)


def test_a_shipper_that_is_to_stop_while_redis_is_away_ships_what_is_left_when_it_is_back(
    scaled: Scaled, server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    until(lambda: not scaled.step(), "all that is there is applied")
    scaled.story.go_on(EVENTS)
    scaled.story.close()
    server.kill()
    stop = threading.Event()
    stop.set()
    ending = [
        threading.Thread(target=shipping.run, args=(one, stop, Clock(tmp_path / "clock"))) for one in scaled.shippers
    ]
    for one in ending:
        one.start()
    until(lambda: caplog.text.count("waiting: ") >= len(ending), "they notice")
    server.start()
    for one in ending:
        one.join(PATIENCE)
    scaled.shippers = []
    scaled.drain()
    compare(scaled.story, tmp_path, scaled.database)


def test_streams_that_lose_their_newest_or_all_entries(scaled: Scaled, server: RedisServer, tmp_path: Path) -> None:
    with server.client() as client:
        for lost in ("tuike:{03}:hits", "tuike:{64}:orders", "tuike:{03}:committed", "tuike:{64}:committed"):
            scaled.story.go_on(EVENTS)
            for one in scaled.shippers:
                one.step(1, time.monotonic())
            newest: Any = client.xrevrange(lost, count=1) if lost.endswith("s") else []
            for id, _ in newest:
                client.xdel(lost, id)
            scaled.steps(2)
            client.delete(lost)
            scaled.steps(2)
    ends_well(scaled, tmp_path)


def test_ids_that_run_backwards_after_a_failover(scaled: Scaled, server: RedisServer, tmp_path: Path) -> None:
    """The streams begin anew; readers stand at ids that come again only much later."""
    with server.client() as client:
        for folder in scaled.folders:
            for held in folder._held.values():
                held.cursor = b"9999999999999-0"
        client.flushall()
    ends_well(scaled, tmp_path)


def test_redis_without_memory_for_a_while(scaled: Scaled, server: RedisServer, tmp_path: Path) -> None:
    with server.client() as client:
        client.config_set("maxmemory", "1mb")
        scaled.story.go_on(EVENTS)
        scaled.steps(10)
        assert scaled.failures
        client.config_set("maxmemory", "0")
    ends_well(scaled, tmp_path)


def test_a_master_of_a_cluster_that_is_killed_and_its_replica_takes_over(tmp_path: Path) -> None:
    """What the replica had not got is sent again; then another is killed."""
    with redis_servers.cluster(replicas=1) as servers:
        story = Story(tmp_path, 13)
        url = "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
        scaled = Scaled(story, engine.of_file(tmp_path / "books.sqlite"), url)
        scaled.folder(), scaled.folder(), scaled.candidate()
        story.registry()
        for _ in range(2):
            story.go_on(EVENTS)
            scaled.steps(5)
            story.go_on(EVENTS)
            dead = next(server for server in servers if server.is_master)
            dead.kill()
            failed = scaled.failures
            until(lambda failed=failed: scaled.step() or scaled.failures > failed, "somebody notices")
            before = sum(folder.folded for folder in scaled.folders)
            until(lambda: (scaled.step(), time.sleep(0.05), all_go_on(scaled))[-1], "the replica takes over")
            assert sum(folder.folded for folder in scaled.folders) >= before
            dead.start()
            until(lambda dead=dead: not dead.is_master, "the dead one is back as a replica")
        story.close()
        scaled.drain(lambda: time.sleep(0.01))
        scaled.close()
        compare(story, tmp_path, scaled.database)
        gc.collect()


def all_go_on(scaled: Scaled) -> bool:
    """Whether a round went without a failure."""
    before = scaled.failures
    scaled.steps(2)
    return scaled.failures == before


# --- the database ----------------------------------------------------------------------------------


def test_a_database_restored_to_an_earlier_time_is_caught_up_from_the_journals(
    scaled: Scaled, server: RedisServer, tmp_path: Path
) -> None:
    """As docs/SCALING.md has it: all parts stopped, Redis emptied. Producers have ended since the backup."""
    backup, live = tmp_path / "backup.sqlite", tmp_path / "books.sqlite"
    scaled.steps(20)
    with closing(sqlite3.connect(live)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    scaled.story.go_on(2 * EVENTS)
    scaled.steps(60)
    scaled.close()
    for path in tmp_path.glob("books.sqlite*"):
        path.unlink()
    backup.rename(live)
    with server.client() as client:
        client.flushall()
    scaled.shippers = [scaled.shipper(machine) for machine in scaled.story.machines]
    scaled.folders, scaled.candidates = [], []
    scaled.rob()
    scaled.folder(), scaled.candidate()
    ends_well(scaled, tmp_path)


# --- folders ---------------------------------------------------------------------------------------


def test_a_folder_killed_in_its_transaction(scaled: Scaled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any) -> None:
        raise Killed

    scaled.story.go_on(EVENTS)
    with monkeypatch.context() as patch:
        patch.setattr(SqlTouches, "put", dies)
        with pytest.raises(Killed):
            scaled.steps(20)
    (dead, *scaled.folders) = scaled.folders
    dead._engine.dispose()
    scaled.folder()
    ends_well(scaled, tmp_path)


def test_two_folders_that_believe_they_hold_the_same_partitions(
    scaled: Scaled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is paused between reading and committing, another takes its partitions, and it wakes up."""
    first, second = scaled.folders
    commit = Folder._commit
    moved = []

    def paused(self: Folder, tick: float) -> bool:
        if self is first and any(held.reading.entries for held in self._held.values()):
            monkeypatch.setattr(Folder, "_commit", commit)
            scaled.rob()
            for later in range(3):
                second._next_leases = 0.0
                second.step(tick + later)
            assert len(second.partitions) == 64
            try:
                return commit(self, tick)
            except PositionMoved as error:
                moved.append(error)
                raise
        return commit(self, tick)

    monkeypatch.setattr(Folder, "_commit", paused)
    scaled.story.go_on(EVENTS)
    scaled.steps(20)
    assert moved, "the paused folder found that it had been replaced"
    ends_well(scaled, tmp_path)


def test_partitions_are_shared_anew_when_folders_come_and_go(scaled: Scaled, tmp_path: Path) -> None:
    def shared(count: int) -> Callable[[], bool]:
        def is_it() -> bool:
            scaled.step()
            held = [folder.partitions for folder in scaled.folders]
            return (
                len(held) == count and sorted(chain.from_iterable(held)) == list(range(64)) and min(map(len, held)) > 0
            )

        return is_it

    until(shared(2), "two share the partitions", 20)
    scaled.folder()
    until(shared(3), "three share the partitions", 20)
    scaled.folders.pop().close()
    until(shared(2), "two share the partitions again", 20)
    ends_well(scaled, tmp_path)


# --- the bookkeeper --------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["before the decision", "before the commit"])
def test_a_bookkeeper_killed_in_its_transaction(
    scaled: Scaled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def dies(*_: Any, **__: Any) -> None:
        raise Killed

    scaled.story.go_on(EVENTS)
    with monkeypatch.context() as patch:
        if place == "before the decision":
            patch.setattr(bookkeeping.Bookkeeper, "apply", dies)
        else:
            patch.setattr(position, "advance", dies)
        with pytest.raises(Killed):
            scaled.steps(100)
    (dead,) = scaled.candidates
    dead._engine.dispose()
    scaled.candidates = []
    scaled.rob()
    scaled.candidate()
    ends_well(scaled, tmp_path)


def test_a_bookkeeper_that_was_paused_finds_that_it_was_replaced(scaled: Scaled, tmp_path: Path) -> None:
    until(lambda: scaled.step() or scaled.candidates[0].books is not None, "somebody keeps the books")
    (paused,) = scaled.candidates
    scaled.candidates = []
    scaled.rob()
    other = scaled.candidate()
    scaled.story.go_on(EVENTS)
    until(lambda: scaled.step() or other.books is not None, "another keeps the books")
    scaled.candidates.insert(0, paused)
    paused._next = 1e18
    until(lambda: scaled.step() or paused.books is None, "the paused one finds out", 20)
    ends_well(scaled, tmp_path)


def test_a_standby_keeps_the_books_within_ten_seconds(scaled: Scaled, tmp_path: Path) -> None:
    until(lambda: scaled.step() or scaled.candidates[0].books is not None, "somebody keeps the books")
    (dead,) = scaled.candidates
    scaled.candidates = []
    standby = scaled.candidate()
    until(lambda: scaled.step() or standby.books is not None, "the standby keeps the books", 10)
    dead._engine.dispose()
    ends_well(scaled, tmp_path)


# --- shippers and producers ------------------------------------------------------------------------


def test_a_shipper_killed_and_started_again_with_redis_empty(
    scaled: Scaled, server: RedisServer, tmp_path: Path
) -> None:
    for _ in range(3):
        scaled.story.go_on(EVENTS)
        scaled.shippers[0].step(1, time.monotonic())
        with server.client() as client:
            client.flushall()
        scaled.shippers = [scaled.shipper(machine) for machine in scaled.story.machines]
        scaled.steps(3)
    ends_well(scaled, tmp_path)


def test_a_shipper_waits_where_nobody_reads(
    tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "AHEAD_BYTES", 2_000)
    monkeypatch.setattr(shipping, "READ_LIMIT", 200)
    monkeypatch.setattr(bookkeeping, "UNCOMMITTED_BYTES", 500)
    story = Story(tmp_path, 3, machines=1)
    scaled = Scaled(story, engine.of_file(tmp_path / "books.sqlite"), server.url)
    scaled.candidate()
    story.registry()
    story.go_on(3_000)
    scaled.steps(50)
    (one,) = scaled.shippers
    assert one.uncommitted < 200 * 1_000
    assert one.shipped < 3_000
    scaled.folder()
    story.close()
    scaled.drain()
    compare(story, tmp_path, scaled.database)
    scaled.close()


def test_what_nobody_reads_for_long_goes_in_ever_fewer_and_larger_packets(tmp_path: Path, server: RedisServer) -> None:
    """A quarter of an hour of it; who is alive is told all the while, and at the end there is no pause."""
    story = Story(tmp_path, 3, machines=1)
    scaled = Scaled(story, engine.of_file(tmp_path / "books.sqlite"), server.url)
    story.registry()
    (one,) = scaled.shippers
    seconds, steps = 900, 5
    begin = time.monotonic() - seconds - 1
    for step in range(seconds * steps):
        if step % steps == 0:
            story.go_on(3)
        one.step(scaled.now(), begin + step / steps)
    with server.client() as client:
        most = max(client.xlen(f"tuike:{{{partition:02}}}:hits") for partition in range(64))
        assert 100 < most < 600
        assert client.xlen("tuike:{64}:orders") > seconds / (shipping.STILL_S + 2 / steps)
        story.go_on(3)
        shipped = one.shipped
        assert not one.step(scaled.now(), begin + seconds)
        assert one.step(scaled.now(), begin + seconds, last=True)
        assert one.shipped > shipped
    scaled.folder(), scaled.candidate()
    ends_well(scaled, tmp_path)


def test_an_import_longer_than_what_may_be_ahead_reaches_its_closing_mark(
    tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its orders wait for the mark, and must not keep the shipper from sending it; not even past a takeover."""
    monkeypatch.setattr(shipping, "AHEAD_BYTES", 20_000)
    monkeypatch.setattr(shipping, "READ_LIMIT", 50)
    monkeypatch.setattr(bookkeeping, "UNCOMMITTED_BYTES", 10_000)
    story = Story(tmp_path, 3, machines=1)
    scaled = Scaled(story, engine.of_file(tmp_path / "books.sqlite"), server.url)
    scaled.folder(), scaled.candidate()
    story.registry()
    story.go_on(EVENTS)
    rows = story.rows_of_an_import(1_000)
    until(lambda: scaled.step() or scaled.candidates[0].books is not None, "somebody keeps the books")
    for part in (rows[:600], rows[600:]):
        story.machines[0].import_rows(part)
        until(lambda: scaled.step() or not scaled.shippers[0].more, "the rows are sent")
        scaled.candidates.pop().close()
        scaled.candidate()
    story.machines[0].import_rows([{"kind": "close"}])
    story.close()
    scaled.drain()
    compare(story, tmp_path, scaled.database)
    scaled.close()


def test_positions_forget_who_is_wholly_applied_and_nothing_comes_twice(
    tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and with all that keeps anything started again: even an import's rows that wait for its mark."""
    monkeypatch.setattr(folding, "CLOSED_FOR_S", 0.0)
    monkeypatch.setattr(bookkeeping, "CLOSED_FOR_S", 0.0)
    story = Story(tmp_path, 5)
    scaled = Scaled(story, engine.of_file(tmp_path / "books.sqlite"), server.url)
    scaled.folder(), scaled.candidate()
    story.registry()
    story.go_on(EVENTS)
    story.machines[0].import_rows(story.rows_of_an_import(50))
    for again in range(4):
        story.go_on(EVENTS)
        scaled.steps(40)
        if again % 2:
            with server.client() as client:
                client.flushall()
        scaled.shippers = [scaled.shipper(machine) for machine in story.machines]
        scaled.candidates.pop().close()
        scaled.folders.pop().close()
        scaled.folder(), scaled.candidate()
    story.machines[0].import_rows([{"kind": "close"}])
    story.close()
    scaled.drain()

    def kept() -> int:
        scaled.step()
        with scaled.folders[0]._engine.begin() as connection:
            return sum(len(place.upto) for place in position.read_all(connection))

    for folder in scaled.folders:
        folder._next_leases = folder._next_closed = 0.0
    until(lambda: kept() == 0, "positions without what is closed", 20)
    scaled.steps(5)
    shippers = [scaled.shipper(machine) for machine in story.machines]
    scaled.shippers = shippers
    scaled.steps(5)
    assert [one.shipped for one in shippers] == [0, 0]
    compare(story, tmp_path, scaled.database)
    scaled.close()


def test_who_is_silent_is_away_and_waited_for_again_when_it_has_caught_up(
    scaled: Scaled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promises, "LATE_AFTER_S", 1.0)
    silent, talking = scaled.shippers
    scaled.shippers = [talking]
    scaled.story.go_on(EVENTS, restarts=False)

    def states() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        with scaled.candidates[0]._engine.begin() as connection:
            for row in connection.execute(select(producers)):
                found.setdefault(row.machine, set()).add(row.state)
        return found

    def away() -> bool:
        scaled.step()
        return "away" in states().get("m0", set()) and "live" not in states()["m0"]

    until(away, "the silent machine is away")
    books = scaled.candidates[0].books
    assert books is not None
    until(lambda: scaled.step() or not books.waiting, "orders of others wait no more")
    scaled.shippers = [silent, talking]
    until(lambda: scaled.step() or "away" not in states()["m0"], "it is waited for again")
