"""A folder commits touches as they come and their sums later: whatever happens in between, each hit is counted once,
and orders do not wait for sums."""

import json
import threading
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, Table, func, select

from instance import NO_FRAUD
from redis_servers import RedisServer
from scaled import EVENTS, VISITORS, Scaled, Story
from tuike import folder
from tuike.folder import Folder
from tuike.stores import engine
from tuike.stores.schema import conversions, erasures, hit_counts
from tuike.stores.touches import SqlTouches
from waiting import PATIENCE, until


@pytest.fixture
def scaled(tmp_path: Path, database: URL, redis_server: RedisServer) -> Iterator[Scaled]:
    """Two machines, a folder, a bookkeeper, with something on its way."""
    scaled = Scaled(Story(tmp_path, 17), database, redis_server.url)
    scaled.folder(), scaled.candidate()
    scaled.story.registry()
    yield scaled
    scaled.close()


@pytest.fixture
def books(database: URL) -> Iterator[Engine]:
    made = engine.open_writer(database)
    yield made
    made.dispose()


@pytest.fixture
def no_sums(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Until it is undone, folders commit touches and no sums."""
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "_add_up", lambda *_: False)
        yield patch


def rows(books: Engine, table: Table) -> int:
    with books.begin() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def path(books: Engine, visitor: str) -> list[dict[str, Any]]:
    touches = SqlTouches(books)
    with books.begin() as connection:
        touches.begin(connection)
        return touches.path("visitor", "shop", visitor, 0, 1 << 50)


def goes_on(scaled: Scaled) -> None:
    scaled.step()
    scaled.story.tick()
    scaled.story.promise()


def small_portions(patch: pytest.MonkeyPatch) -> None:
    """There are sums under way all the time, and each step writes a little of them."""
    for name, value in (("GATHER_S", 0.0), ("SUMS_S", 0.0), ("FOLDED_BYTES", 1), ("PORTION", 1)):
        patch.setattr(folder, name, value)


def replace_the_folder(scaled: Scaled) -> None:
    """The old one is gone without a word, and its leases have ended."""
    (dead,) = scaled.folders
    dead._engine.dispose()
    scaled.folders.clear()
    scaled.rob()
    scaled.folder()


def test_an_order_is_booked_before_the_sums_of_its_click_are_there(
    scaled: Scaled, books: Engine, no_sums: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scaled.story.go_on(EVENTS, restarts=False)

    def booked() -> bool:
        goes_on(scaled)
        return rows(books, conversions) > 0

    until(booked, "an order in the books")
    assert rows(books, hit_counts) == 0
    no_sums.undo()
    scaled.ends_well(tmp_path)


def test_orders_that_may_be_judged_by_clicks_an_hour_wait_for_sums(
    scaled: Scaled, books: Engine, no_sums: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fraud = NO_FRAUD | {"max_flood_score": 1}
    body = json.dumps({"op": "product.update", "data": {"id": "tea", "fraud": fraud}, "actor": "test"}).encode()
    scaled.story.machines[0].append(0, {"kind": "registry", "body": body})
    scaled.story.go_on(EVENTS, restarts=False)
    last = scaled.story.now

    def all_touched() -> bool:
        goes_on(scaled)
        keeper = scaled.candidates[0].books
        return keeper is not None and keeper.waiting > 0 and keeper.watermark > last

    until(all_touched, "the touches of all hits")
    assert rows(books, conversions) == 0
    no_sums.undo()
    scaled.ends_well(tmp_path)


def test_a_folder_killed_between_touches_and_sums(
    scaled: Scaled, books: Engine, no_sums: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def touched() -> bool:
        scaled.step()
        return scaled.folders[0].folded > EVENTS // 2

    for _ in range(2):
        scaled.story.go_on(EVENTS)
        until(touched, "touches of the new hits")
        replace_the_folder(scaled)
    assert rows(books, hit_counts) == 0
    no_sums.undo()
    scaled.ends_well(tmp_path)


def test_a_folder_that_is_to_stop_while_it_is_to_give_partitions_back_ends_with_its_sums(
    scaled: Scaled, books: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = scaled.folders
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "_add_up", lambda *_: False)
        scaled.story.go_on(EVENTS)
        until(lambda: (scaled.step(), one.folded > EVENTS // 2)[-1], "touches")
    one._crowded = True
    ending = threading.Thread(target=one.close, daemon=True)
    ending.start()
    ending.join(PATIENCE)
    assert not ending.is_alive() and rows(books, hit_counts) > 0
    scaled.folders.clear()
    scaled.folder()
    scaled.ends_well(tmp_path)


def test_an_erasure_waits_until_all_that_was_received_before_it_is_in_the_sums(
    scaled: Scaled, books: Engine, no_sums: pytest.MonkeyPatch
) -> None:
    """Hits that are written again are in other partitions, whose sums would have them twice, or lack them."""
    person = VISITORS[0]
    scaled.story.go_on(4 * EVENTS, restarts=False)
    body = json.dumps({"op": "person.erase", "data": {}, "actor": "test"}).encode()
    scaled.story.machines[0].append(0, {"kind": "registry", "visitor": person, "body": body})

    def booked() -> bool:
        goes_on(scaled)
        return rows(books, conversions) > 0 and rows(books, erasures) > 0

    until(booked, "orders in the books, and the erasure")
    for _ in range(20):
        goes_on(scaled)
    assert path(books, person) and rows(books, hit_counts) == 0
    no_sums.undo()
    until(lambda: (goes_on(scaled), path(books, person) == [])[-1], "the touches to be written again")
    replace_the_folder(scaled)
    scaled.story.close()
    scaled.drain()
    assert path(books, person) == []


def test_sums_are_not_left_open_over_a_step_that_may_be_long(
    scaled: Scaled, books: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After one that was: a server ends a transaction in which nothing is said for some seconds."""
    small_portions(monkeypatch)
    monkeypatch.setattr(folder, "SLOW_S", 0.0)
    (one,) = scaled.folders
    scaled.story.go_on(EVENTS)

    def summed() -> bool:
        scaled.step()
        assert one._sums is None
        return rows(books, hit_counts) > 0

    until(summed, "sums")
    scaled.ends_well(tmp_path)


def test_partitions_are_given_back_though_there_are_always_sums_under_way(
    scaled: Scaled, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small_portions(monkeypatch)

    def shared(count: int) -> Callable[[], bool]:
        def is_it() -> bool:
            scaled.story.go_on(5)
            scaled.step()
            held = [one.partitions for one in scaled.folders]
            return sorted(chain.from_iterable(held)) == list(range(64)) and len(held) == count and all(held)

        return is_it

    until(shared(1), "one has all partitions")
    scaled.folder()
    until(shared(2), "two share the partitions")
    scaled.ends_well(tmp_path)
