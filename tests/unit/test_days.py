"""The ledger's days: closed when they are over, each with the root of the tree over its entries."""

import hashlib
from pathlib import Path

import pytest
from process_kit import forget
from sqlalchemy import select

from proof_kit import DAY, START, World, clicked
from tuike import _core
from tuike.books import days as days_module
from tuike.books.days import Days
from tuike.stores import engine, schema, tiles
from tuike.verify import verify

TODAY = START // DAY


@pytest.fixture
def world(tmp_path: Path) -> World:
    return clicked(tmp_path)


def closed(world: World) -> list[tuple[int, int, int, int]]:
    """Day (counted from today), first and last transfer, leaves."""
    rows = world.rows(select(schema.days).order_by(schema.days.c.day))
    return [(row["day"] - TODAY, row["first"], row["last"], row["leaves"]) for row in rows]


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, as it is written there."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + root_of(leaves[:half]) + root_of(leaves[half:])).digest()


def entries(world: World, first: int, last: int) -> list[tiles.Entry]:
    books = engine.open_reader(world.data.database)
    with books.begin() as connection:
        found: list[tiles.Entry] = []
        while more := tiles.entries_after(connection, found[-1][:2] if found else (first, -1), last):
            found += more
    books.dispose()
    return found


def test_a_day_is_closed_once_it_is_over(world: World) -> None:
    world.order("o1")
    world.drain()
    assert closed(world) == []
    world.now += DAY
    world.drain()
    assert closed(world) == [(0, 1, 1, 5)]
    world.drain()
    assert closed(world) == [(0, 1, 1, 5)]


def test_a_day_without_transfers_is_none(world: World) -> None:
    world.order("o1")
    world.drain()
    world.now += 3 * DAY
    world.order("o2")
    world.drain()
    world.now += DAY
    world.drain()
    assert closed(world) == [(0, 1, 1, 5), (3, 2, 2, 5)]


def test_what_is_posted_after_midnight_is_of_the_new_day_whenever_it_was_received(world: World) -> None:
    """The bookkeeper was down over midnight: what waited is of the day in which it was posted."""
    world.order("o1")
    world.drain()
    world.order("o2")
    world.now += DAY
    world.drain()
    assert closed(world) == [(0, 1, 1, 5)]
    world.now += DAY
    world.drain()
    assert closed(world) == [(0, 1, 1, 5), (1, 2, 2, 5)]


def test_a_bookkeeper_that_was_stopped_over_midnight_closes_the_old_day(world: World) -> None:
    world.order("o1")
    world.drain()
    world.processor.close()
    world.now += DAY
    world.start()
    world.order("o2")
    world.drain()
    assert closed(world) == [(0, 1, 1, 5)]


def test_a_clock_that_goes_back_opens_no_day_twice(world: World) -> None:
    world.order("o1")
    world.drain()
    world.now += DAY
    world.drain()
    world.now -= DAY
    world.order("o2")
    world.drain()
    world.restart()
    world.now += 2 * DAY
    world.drain()
    assert [day for day, *_ in closed(world)] == [0, 1]
    world.proved()


def test_the_root_is_that_of_the_tree_over_the_days_entries_in_booking_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tile, orders in ((8, 1), (8, 7), (1024, 40)):
        monkeypatch.setattr(tiles, "TILE", tile)
        first = world.rows(select(schema.transfers))[-1:]
        world.click("alice")
        for number in range(orders):
            world.order(f"{world.now}-{number}")
        world.drain()
        world.now += DAY
        world.drain()
        row = world.rows(select(schema.days).order_by(schema.days.c.day.desc()).limit(1))[0]
        assert row["first"] == (first[0]["number"] + 1 if first else 1)
        found = entries(world, row["first"], row["last"])
        assert row["leaves"] == len(found)
        assert row["root"] == root_of(_core.ledger_leaves(world.data.secret, found)).hex()


def test_a_day_of_many_tiles_is_closed_in_several_steps_beside_booking(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "TILE", 8)
    monkeypatch.setattr(days_module, "TILES_PER_STEP", 2)
    for number in range(20):
        world.order(f"o{number}")
    world.drain()
    world.now += DAY
    world.order("next")
    for producer in (world.edge, world.admin):
        producer.writer.tick(world.now + 1)
    world.now += 1
    world.processor.step()
    assert closed(world) == [], "its tiles take more than one step"
    assert len(world.rows(select(schema.conversions))) == 21, "and hold nobody up"
    world.drain()
    assert closed(world) == [(0, 1, 20, 100)]
    assert len(world.rows(select(schema.tiles))) == 13
    world.proved()


class Killed(BaseException):
    """Stands for kill -9 at a chosen place."""


@pytest.mark.parametrize("dies_at", range(4))
def test_a_day_whose_closing_is_killed_is_closed_once(
    world: World, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    monkeypatch.setattr(tiles, "TILE", 8)
    monkeypatch.setattr(days_module, "TILES_PER_STEP", 2)
    for number in range(8):
        world.order(f"o{number}")
    world.drain()
    world.now += DAY
    calls = 0
    resume, step = Days.resume, Days.step

    def dies(self: Days, *args: object) -> object:
        nonlocal calls
        calls += 1
        if calls > dies_at:
            raise Killed
        return step(self, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        if dies_at == 3:  # journalled and posted, not committed
            patch.setattr(Days, "resume", lambda self, connection: (_ for _ in ()).throw(Killed()))
        else:
            patch.setattr(Days, "step", dies)
        with pytest.raises(Killed):
            world.drain()
    assert Days.resume is resume
    forget(world.processor)
    world.start()
    world.drain()
    assert closed(world) == [(0, 1, 8, 40)]
    world.proved()


def test_salts_are_the_instances_own(tmp_path: Path) -> None:
    roots = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name)
        world.shop()
        world.promoters()
        world.click("alice")
        world.order("o1")
        world.drain()
        world.now += DAY
        world.drain()
        world.stop()
        assert verify(world.data).fault is None
        roots.append(world.rows(select(schema.days))[0]["root"])
    assert roots[0] != roots[1]
