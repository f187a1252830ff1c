"""Whatever fails between an edge's journal and the books on other machines, each event is applied once."""

import gc
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import redis_servers
from redis_servers import RedisServer
from scaled import EVENTS, Scaled, Story, compare
from tuike import bookkeeping
from tuike.folder import Folder
from tuike.stores import engine, position
from tuike.stores.position import PositionMoved
from tuike.stores.touches import SqlTouches
from waiting import until


class Killed(BaseException):
    """Stands for kill -9 at a chosen place."""


# --- Redis -----------------------------------------------------------------------------------------


def test_redis_that_is_killed_and_comes_back_empty(scaled: Scaled, redis_server: RedisServer, tmp_path: Path) -> None:
    for _ in range(3):
        scaled.story.go_on(EVENTS)
        scaled.steps(2)
        redis_server.kill()
        scaled.story.go_on(EVENTS)
        scaled.steps(2)
        redis_server.start()
        scaled.steps(2)
    assert scaled.failures
    scaled.ends_well(tmp_path)


def test_streams_that_lose_their_newest_or_all_entries(
    scaled: Scaled, redis_server: RedisServer, tmp_path: Path
) -> None:
    with redis_server.client() as client:
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
    scaled.ends_well(tmp_path)


def test_ids_that_run_backwards_after_a_failover(scaled: Scaled, redis_server: RedisServer, tmp_path: Path) -> None:
    """The streams begin anew; readers stand at ids that come again only much later."""
    with redis_server.client() as client:
        for folder in scaled.folders:
            for held in folder._held.values():
                held.cursor = b"9999999999999-0"
        client.flushall()
    scaled.ends_well(tmp_path)


def test_redis_without_memory_for_a_while(scaled: Scaled, redis_server: RedisServer, tmp_path: Path) -> None:
    with redis_server.client() as client:
        client.config_set("maxmemory", "1mb")
        scaled.story.go_on(EVENTS)
        scaled.steps(10)
        assert scaled.failures
        client.config_set("maxmemory", "0")
    scaled.ends_well(tmp_path)


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
            until(lambda failed=failed: (scaled.step(), scaled.failures > failed)[-1], "somebody notices")
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
    scaled: Scaled, redis_server: RedisServer, tmp_path: Path
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
    with redis_server.client() as client:
        client.flushall()
    scaled.shippers = [scaled.shipper(machine) for machine in scaled.story.machines]
    scaled.folders, scaled.candidates = [], []
    scaled.rob()
    scaled.folder(), scaled.candidate()
    scaled.ends_well(tmp_path)


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
    scaled.ends_well(tmp_path)


def test_two_folders_that_believe_they_hold_the_same_partitions(
    scaled: Scaled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is paused between reading and committing, another takes its partitions, and it wakes up."""
    first, second = scaled.folders
    commit = Folder._commit_touches
    moved = []

    def paused(self: Folder, tick: float) -> bool:
        if self is first and any(held.reading.entries for held in self._held.values()):
            monkeypatch.setattr(Folder, "_commit_touches", commit)
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

    monkeypatch.setattr(Folder, "_commit_touches", paused)
    scaled.story.go_on(EVENTS)
    scaled.steps(20)
    assert moved, "the paused folder found that it had been replaced"
    scaled.ends_well(tmp_path)


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
    scaled.ends_well(tmp_path)


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
    scaled.ends_well(tmp_path)


def test_a_bookkeeper_that_was_paused_finds_that_it_was_replaced(scaled: Scaled, tmp_path: Path) -> None:
    until(lambda: (scaled.step(), scaled.candidates[0].books is not None)[-1], "somebody keeps the books")
    (paused,) = scaled.candidates
    scaled.candidates = []
    scaled.rob()
    other = scaled.candidate()
    scaled.story.go_on(EVENTS)
    until(lambda: (scaled.step(), other.books is not None)[-1], "another keeps the books")
    scaled.candidates.insert(0, paused)
    paused._next = 1e18
    until(lambda: (scaled.step(), paused.books is None)[-1], "the paused one finds out", 20)
    scaled.ends_well(tmp_path)


def test_a_standby_keeps_the_books_within_ten_seconds(scaled: Scaled, tmp_path: Path) -> None:
    until(lambda: (scaled.step(), scaled.candidates[0].books is not None)[-1], "somebody keeps the books")
    (dead,) = scaled.candidates
    scaled.candidates = []
    standby = scaled.candidate()
    until(lambda: (scaled.step(), standby.books is not None)[-1], "the standby keeps the books", 10)
    dead._engine.dispose()
    scaled.ends_well(tmp_path)
