"""Shippers and the producers behind them: what they send, when they rest, and whom nobody waits for."""

import itertools
import json
import shutil
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from redis_servers import RedisServer
from scaled import EVENTS, VISITORS, Scaled, Story, compare
from tuike import bookkeeping, promises
from tuike import folder as folding
from tuike.clock import Clock
from tuike.erasing import LOOK_MS
from tuike.stores import engine, position
from tuike.stores import erasures as erasing
from tuike.stores.schema import booked, conversions, erasures, producers
from tuike.transport import shipper as shipping
from tuike.transport.shipper import Shipper
from tuike.verify import people
from waiting import PATIENCE, until


def test_a_shipper_killed_and_started_again_with_redis_empty(
    scaled: Scaled, redis_server: RedisServer, tmp_path: Path
) -> None:
    for _ in range(3):
        scaled.story.go_on(EVENTS)
        scaled.shippers[0].step(1, time.monotonic())
        with redis_server.client() as client:
            client.flushall()
        scaled.shippers = [scaled.shipper(machine) for machine in scaled.story.machines]
        scaled.steps(3)
    scaled.ends_well(tmp_path)


def are_to_stop(scaled: Scaled, tmp_path: Path) -> list[threading.Thread]:
    """The shippers, at work, each in a thread of its own."""
    stop, clock = threading.Event(), Clock(tmp_path / "clock")
    stop.set()
    ending = [threading.Thread(target=shipping.run, args=(one, stop, clock)) for one in scaled.shippers]
    for one in ending:
        one.start()
    return ending


def test_a_shipper_that_is_to_stop_while_redis_is_away_ships_what_is_left_when_it_is_back(
    scaled: Scaled,
    redis_server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(shipping, "DRAIN_S", PATIENCE)
    until(lambda: not scaled.step(), "all that is there is applied")
    scaled.story.go_on(EVENTS)
    scaled.story.close()
    redis_server.kill()
    ending = are_to_stop(scaled, tmp_path)
    until(lambda: caplog.text.count("waiting: ") >= len(ending), "they notice")
    redis_server.start()
    for one in ending:
        one.join(PATIENCE)
    assert not any(one.is_alive() for one in ending)
    scaled.shippers = []
    scaled.drain()
    compare(scaled.story, tmp_path, scaled.database)


def test_a_shipper_that_is_to_stop_while_much_is_on_its_way_ships_the_rest_when_readers_have_come(
    scaled: Scaled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "DRAIN_S", PATIENCE)
    monkeypatch.setattr(shipping, "AHEAD_BYTES", 2_000)
    monkeypatch.setattr(shipping, "READ_LIMIT", 20)
    monkeypatch.setattr(bookkeeping, "UNCOMMITTED_BYTES", 500)
    scaled.story.go_on(EVENTS)
    scaled.story.close()
    ending = are_to_stop(scaled, tmp_path)
    scaled.shippers = []
    until(lambda: (scaled.step(), not any(one.is_alive() for one in ending))[-1], "they end")
    scaled.drain()
    compare(scaled.story, tmp_path, scaled.database)


def test_a_shipper_waits_where_nobody_reads(
    tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "AHEAD_BYTES", 2_000)
    monkeypatch.setattr(shipping, "READ_LIMIT", 200)
    monkeypatch.setattr(bookkeeping, "UNCOMMITTED_BYTES", 500)
    story = Story(tmp_path, 3, machines=1)
    scaled = Scaled(story, engine.of_file(tmp_path / "books.sqlite"), redis_server.url)
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


def test_what_nobody_reads_for_long_goes_in_ever_fewer_and_larger_packets(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """A quarter of an hour of it; who is alive is told all the while, and at the end there is no pause."""
    story = Story(tmp_path, 3, machines=1)
    scaled = Scaled(story, engine.of_file(tmp_path / "books.sqlite"), redis_server.url)
    story.registry()
    (one,) = scaled.shippers
    seconds, steps = 900, 5
    begin = time.monotonic() - seconds - 1
    for step in range(seconds * steps):
        if step % steps == 0:
            story.go_on(3)
        one.step(scaled.now(), begin + step / steps)
    with redis_server.client() as client:
        most = max(client.xlen(f"tuike:{{{partition:02}}}:hits") for partition in range(64))
        assert 100 < most < 600
        assert client.xlen("tuike:{64}:orders") > seconds / (shipping.STILL_S + 2 / steps)
        story.go_on(3)
        later = itertools.count(seconds * steps)
        sent = next(tick for step in later if one.step(scaled.now(), tick := begin + step / steps))
        story.go_on(3)
        shipped = one.shipped
        assert not one.step(scaled.now(), sent + 1 / steps)
        assert one.step(scaled.now(), sent + 1 / steps, last=True)
        assert one.shipped > shipped
    scaled.folder(), scaled.candidate()
    scaled.ends_well(tmp_path)


def test_a_busy_edge_ships_in_fewer_packets_and_another_as_soon_as_ever() -> None:
    """Of a steady rate: where the rests come to."""
    rests = {}
    for rate in (13_000, 39_000, 41_000, 200_000):
        rest = shipping.REST_S
        for _ in range(200):
            rest = shipping.rest_after(int(rate * rest))
        rests[rate] = rest
    assert rests[13_000] == rests[39_000] == shipping.REST_S
    assert rests[41_000] == rests[200_000] == shipping.REST_MOST_S


def test_an_import_longer_than_what_may_be_ahead_reaches_its_closing_mark(
    tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its orders wait for the mark, and must not keep the shipper from sending it; not even past a takeover."""
    monkeypatch.setattr(shipping, "AHEAD_BYTES", 20_000)
    monkeypatch.setattr(shipping, "READ_LIMIT", 50)
    monkeypatch.setattr(bookkeeping, "UNCOMMITTED_BYTES", 10_000)
    story = Story(tmp_path, 3, machines=1)
    scaled = Scaled(story, engine.of_file(tmp_path / "books.sqlite"), redis_server.url)
    scaled.folder(), scaled.candidate()
    story.registry()
    story.go_on(EVENTS)
    rows = story.rows_of_an_import(1_000)
    story.tick()
    story.promise()
    (shipper,) = scaled.shippers
    until(lambda: not scaled.step() and shipper.shipped and not shipper.waiting, "all else is applied")
    for first, end in ((0, 600), (600, 1_000)):
        story.machines[0].import_rows(rows[first:end])
        until(lambda end=end: not scaled.step() and scaled.waiting >= end and not shipper.waiting, "the rows are read")
        scaled.candidates.pop().close()
        scaled.candidate()
        until(lambda end=end: (scaled.step(), scaled.waiting >= end)[-1], "who takes the books over has them")
    story.machines[0].import_rows([{"kind": "close"}])
    story.close()
    scaled.drain()
    compare(story, tmp_path, scaled.database)
    scaled.close()


def test_positions_forget_who_is_wholly_applied_and_nothing_comes_twice(
    tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and with all that keeps anything started again: even an import's rows that wait for its mark."""
    monkeypatch.setattr(folding, "CLOSED_FOR_S", 0.0)
    monkeypatch.setattr(bookkeeping, "CLOSED_FOR_S", 0.0)
    story = Story(tmp_path, 5)
    scaled = Scaled(story, engine.of_file(tmp_path / "books.sqlite"), redis_server.url)
    scaled.folder(), scaled.candidate()
    story.registry()
    story.go_on(EVENTS)
    story.machines[0].import_rows(story.rows_of_an_import(50))
    for again in range(4):
        story.go_on(EVENTS)
        scaled.steps(40)
        if again % 2:
            with redis_server.client() as client:
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


def states(scaled: Scaled) -> dict[str, set[str]]:
    """What the books have incarnations as, by machine."""
    found: dict[str, set[str]] = {}
    with scaled.candidates[0]._engine.begin() as connection:
        for row in connection.execute(select(producers)):
            found.setdefault(row.machine, set()).add(row.state)
    return found


def cut_off(scaled: Scaled, monkeypatch: pytest.MonkeyPatch) -> tuple[Shipper, Shipper]:
    """The shippers of m0, which is not stepped any more and soon late, and of m1."""
    monkeypatch.setattr(promises, "LATE_AFTER_S", 1.0)
    silent, talking = scaled.shippers
    scaled.shippers = [talking]
    return silent, talking


def falls_silent(scaled: Scaled, machine: str) -> None:
    """Once its shipper is not stepped any more."""

    def away() -> bool:
        scaled.step()
        return "away" in states(scaled).get(machine, set()) and "live" not in states(scaled)[machine]

    until(away, "the silent machine is away")


def test_who_is_silent_is_away_and_waited_for_again_when_it_has_caught_up(
    scaled: Scaled, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, talking = cut_off(scaled, monkeypatch)
    scaled.story.go_on(EVENTS, restarts=False)
    falls_silent(scaled, "m0")
    books = scaled.candidates[0].books
    assert books is not None
    until(lambda: (scaled.step(), not books.waiting)[-1], "orders of others wait no more")
    scaled.shippers = [silent, talking]
    until(lambda: (scaled.step(), "away" not in states(scaled)["m0"])[-1], "it is waited for again")


def test_orders_that_come_late_wait_for_the_clicks_that_come_with_them(
    scaled: Scaled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edge was cut off for long. What it acknowledged meanwhile is decided as if it had not been."""
    silent, talking = cut_off(scaled, monkeypatch)
    one, other = scaled.story.machines
    for _ in range(EVENTS):
        one.append(0, scaled.story.hit())
        other.append(0, scaled.story.hit())
        one.append(1, scaled.story.order())
    scaled.story.promise()
    falls_silent(scaled, "m0")
    (candidate,) = scaled.candidates
    assert candidate.books is not None
    applied = candidate.books.applied
    for look in range(5):  # folders are slower than the bookkeeper
        silent.step(scaled.now(), time.monotonic())
        candidate.step(time.monotonic() + look * bookkeeping.LOOK_S)
    assert candidate.books.waiting == EVENTS
    assert candidate.books.applied == applied
    scaled.shippers = [silent, talking]
    scaled.ends_well(tmp_path)


def test_an_erasure_waits_for_who_is_away_and_reaches_what_it_brings(
    scaled: Scaled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it received before the request is decided as if it had been heard, and then written again."""
    silent, talking = cut_off(scaled, monkeypatch)
    person = VISITORS[0]
    one, other = scaled.story.machines
    for _ in range(EVENTS):
        one.append(0, scaled.story.hit())
        one.append(1, scaled.story.order())
    body = json.dumps({"op": "person.erase", "data": {}, "actor": "test"}).encode()
    other.append(0, {"kind": "registry", "visitor": person, "body": body})
    falls_silent(scaled, "m0")
    books = engine.open_writer(scaled.database)

    def state() -> str:
        scaled.step()
        scaled.story.tick()
        scaled.story.promise()
        with books.begin() as connection:
            found: str | None = connection.scalar(select(erasures.c.state))
        return found or ""

    def texts() -> str:
        with books.begin() as connection:
            records = b"".join(connection.scalars(select(booked.c.record)))
            return records.decode() + "".join(connection.scalars(select(conversions.c.evidence)))

    until(lambda: state() == erasing.WAITING, "the books know of it")
    (candidate,) = scaled.candidates
    assert candidate.books is not None
    asked, keeps = scaled.story.now, candidate.books
    until(lambda: state() and keeps.watermark > asked, "all that others received before it is there")
    looked = time.monotonic() + 2 * LOOK_MS / 1_000
    until(lambda: state() != erasing.WAITING or time.monotonic() > looked, "looks at erasures")
    assert state() == erasing.WAITING
    with books.begin() as connection:
        assert people.check(connection) == "0 done, 1 under way: waiting for the books, and for what m0 has"
    scaled.shippers = [silent, talking]
    until(lambda: state() == erasing.JOURNALS, "its tables are written again")
    scaled.story.close()
    scaled.drain()
    assert person not in texts()
    books.dispose()


def test_a_journal_that_lost_its_tail_ends_and_holds_nobody_up(scaled: Scaled, tmp_path: Path) -> None:
    """The machine lost power: readers have more of it than its disk, and of one partition more than of another."""
    one, shipper = scaled.story.machines[0], scaled.shippers[0]
    scaled.story.tick()
    scaled.story.promise()
    until(lambda: not scaled.step() and not shipper.waiting, "all that is there is applied")
    shutil.copytree(one.journal, tmp_path / "kept")
    shipper._next_marks = float("inf")
    one.append(0, scaled.story.hit())
    until(lambda: not scaled.step() and not shipper.waiting, "the tail is folded")
    one.close()
    shutil.rmtree(one.journal)
    shutil.move(tmp_path / "kept", one.journal)
    one.writers.clear()
    one.start(0), one.start(1)
    scaled.shippers = [scaled.shipper(machine) for machine in scaled.story.machines]
    scaled.story.go_on(EVENTS)
    scaled.story.close()
    scaled.drain()
