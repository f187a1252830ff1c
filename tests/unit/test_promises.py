"""Whom the bookkeeper waits for, and for how long."""

from collections.abc import Collection
from pathlib import Path

import pytest

from tuike.books.backlog import Late
from tuike.promises import LATE_AFTER_S, SEEN_MS, TOUCHED, Promises, of_hits
from tuike.stores import engine, migrations, position
from tuike.stores.members import Machine, State
from tuike.stores.position import Fold
from tuike.transport.entries import ENDED

NOW = 9_000_000


@pytest.fixture
def promises(tmp_path: Path) -> Promises:
    books = engine.open_writer(engine.of_file(tmp_path / "books.sqlite"))
    migrations.upgrade(books)
    with books.begin() as connection:
        made = Promises(connection, 0.0)
    books.dispose()
    return made


def machine(state: State = "serving", seen: int = NOW) -> Machine:
    return Machine("m", 0, seen, "", state, live=True)


def watermark(promises: Promises, mark: int, tick: float) -> int:
    """By what incarnation 7 has promised everywhere; 0: nobody has heard of it."""
    marks = {7: mark} if mark else {}
    return promises.look([marks, marks], [marks, marks], marks, {7: 3} if mark else {}, (), NOW, tick)


def test_a_machine_that_serves_and_says_nothing_is_waited_for_and_not_for_ever(promises: Promises) -> None:
    promises.expect([machine()], NOW, 1.0)
    assert watermark(promises, 0, 2.0) == 0, "it was never heard"
    promises.hear("m", [7], {7: "edge-0"}, 0, 3.0, 500)
    assert watermark(promises, 600, 3.0) == 500, "it may have one that began then and that it has not named"
    promises.hear("m", [7], {7: "edge-0"}, 0, 3.5, 700)
    assert watermark(promises, 600, 3.5) == 600
    assert watermark(promises, ENDED, 4.0) == 700, "all of it has ended, and it serves"
    promises.expect([machine("stopped")], NOW, 5.0)
    assert watermark(promises, 0, 5.0) == NOW, "it has stopped"
    promises.expect([machine("starting")], NOW, 6.0)
    assert watermark(promises, 0, 7.0) == 700, "it starts again, and what it has now is not heard yet"
    promises.expect([machine()], NOW, 6.0 + LATE_AFTER_S)
    assert watermark(promises, 0, 6.0 + LATE_AFTER_S) == NOW, "its shipper says nothing"
    promises.hear("m", [], {}, 0, 40.0, 800)
    assert watermark(promises, 0, 40.0) == 800, "and is there again"


def test_a_machine_that_comes_back_after_long_is_waited_for_anew(promises: Promises) -> None:
    promises.expect([machine()], NOW, 0.0)
    promises.hear("m", [7], {7: "edge-0"}, 0, 0.0, 500)
    for tick in (SEEN_MS / 1_000, LATE_AFTER_S + 1):
        promises.expect([machine()], NOW + round(tick * 1_000), tick)
    assert watermark(promises, 400, LATE_AFTER_S + 1) == NOW, "it is away"
    promises.expect([machine("starting", NOW + 60_000)], NOW + 60_000, 60.0)
    assert watermark(promises, 400, 60.0) == 500


def test_an_older_machine_that_promises_nothing_of_new_ones_holds_nobody_up(promises: Promises) -> None:
    promises.expect([machine()], NOW, 1.0)
    promises.hear("m", [7], {7: "edge-0"}, 0, 1.0)
    assert watermark(promises, 500, 1.0) == 500


def test_a_promise_holds_when_the_touches_are_there_and_an_end_when_the_sums_are(tmp_path: Path) -> None:
    books = engine.open_writer(engine.of_file(tmp_path / "books.sqlite"))
    migrations.upgrade(books)

    def move(fold: Fold, marks: dict[int, int]) -> None:
        position.advance(connection, position.read(connection, fold, 5), {1: 1}, marks=marks)

    with books.begin() as connection:
        move("hits", {7: 100, 8: 100})
        move("touches", {7: 200, 8: ENDED, 9: 50})
        touched, summed = of_hits(connection)
        assert (touched[5], summed[5]) == ({7: 200, 8: TOUCHED, 9: 50}, {7: 100, 8: 100})
        move("hits", {7: 100, 8: ENDED})
        touched, summed = of_hits(connection)
        assert (touched[5], summed[5]) == ({7: 200, 8: ENDED, 9: 50}, {7: 100, 8: ENDED})
        assert (touched[6], summed[6]) == ({}, {})
    books.dispose()


def test_orders_wait_for_touches_and_not_for_an_end_that_lacks_sums(promises: Promises) -> None:
    promises.hear("m", [7, 8], {7: "edge-0", 8: "edge-1"}, NOW, 0.0)
    touched, summed = {7: 500, 8: TOUCHED}, {7: 300, 8: 200}
    orders, upto = {7: 600, 8: ENDED}, {7: 3, 8: 3}
    assert promises.look([touched], [summed], orders, upto, (), NOW, 1.0) == 500
    assert (promises.watermark, promises.summed, promises.closed.keys()) == (500, 200, set())
    assert promises.look([touched | {8: ENDED}], [summed | {8: ENDED}], orders, upto, (), NOW, 1.0) == 500
    assert (promises.watermark, promises.summed, promises.closed.keys()) == (500, 300, {8})


def test_who_was_away_and_is_heard_is_late_until_it_has_caught_up(promises: Promises) -> None:
    promises.hear("m", [7], {7: "edge-0"}, NOW, 0.0)
    promises.hear("n", [8], {8: "edge-1"}, NOW, 0.0)
    later = LATE_AFTER_S + 1

    def late_at(tick: float, mark: int, sums: int) -> tuple[tuple[int, Late], tuple[int, Late]]:
        promises.hear("n", [8], {}, NOW, tick)
        others, marks = {8: 900}, {7: mark}
        promises.look([others | marks], [others | {7: sums}], others | marks, {}, (), NOW, tick)
        return promises.due(in_sums=False), promises.due(in_sums=True)

    on_time, of_sums = (900, Late()), (900, Late(frozenset({7}), 500))
    assert late_at(0.0, 600, 500) == ((600, Late()), (500, Late()))
    assert late_at(later, 600, 500) == (on_time, on_time), "it says nothing, and nobody waits for it"
    promises.hear("m", [7], {}, NOW, later)
    assert late_at(later, 600, 500) == ((900, Late(frozenset({7}), 600)), of_sums)
    assert late_at(later, 950, 500) == (on_time, of_sums)
    assert late_at(later, 950, 950) == (on_time, on_time)
    assert late_at(later, 700, 700)[0] == (900, Late(frozenset({7}), 700))
    assert late_at(2 * later, 700, 700) == (on_time, on_time), "it has fallen silent again"


def test_who_ended_while_it_was_away_is_late_until_its_hits_have_come(promises: Promises) -> None:
    promises.hear("m", [7], {7: "edge-0"}, NOW, 0.0)
    promises.look([{7: 600}], [{7: 600}], {7: 600}, {}, (), NOW, LATE_AFTER_S + 1)
    assert promises.due(in_sums=False) == (NOW, Late())
    promises.hear("m", [7], {}, NOW, LATE_AFTER_S + 2)
    late_until_600 = Late(frozenset({7}), 600)
    for after, touches, late in ((2, 600, late_until_600), (3, TOUCHED, Late()), (2 + LATE_AFTER_S, 600, Late())):
        promises.look([{7: touches}], [{7: 600}], {7: ENDED}, {}, (), NOW, LATE_AFTER_S + after)
        assert promises.due(in_sums=False) == (NOW, late), "its machine is gone" if after > 3 else touches


def test_what_is_whole_has_what_those_bring_for_whom_nobody_waits(promises: Promises) -> None:
    promises.hear("m", [7], {7: "edge-0"}, NOW, 0.0)
    later = LATE_AFTER_S + 1
    for tick, sums, watermark, whole in ((later, 500, 900, 500), (later, 700, 900, 700), (later, ENDED, 950, 950)):
        promises.hear("n", [8], {8: "edge-1"}, NOW, tick)
        others = {8: watermark}
        promises.look([others | {7: sums}], [others | {7: sums}], others | {7: sums}, {}, (), NOW, tick)
        assert (promises.watermark, promises.whole) == (watermark, whole)
    promises.hear("n", [9], {9: "edge-2"}, NOW, later)
    promises.look([others], [others], others, {}, (), NOW, later)
    assert promises.whole == 0, "one that is new may be as late as any"


def test_who_comes_back_has_caught_up_though_what_it_promises_is_a_little_older_than_what_others_do(
    promises: Promises,
) -> None:
    """Looks come every 50 ms, as long as orders wait, and the watermark is never where it was."""
    returned, began = LATE_AFTER_S + 1, NOW
    lags = {7: 500, 8: 300}
    machines = {7: "m", 8: "n"}

    def look(tick: float, speaking: Collection[int]) -> None:
        now = began + round(1_000 * tick)
        for one in speaking:
            promises.hear(machines[one], [one], {one: f"edge-{one}"}, now, tick, now - 100)
        marks = {one: now - lags[one] for one in speaking}
        promises.look([marks], [marks], marks, {}, (), now, tick)

    look(0.0, {7, 8})
    look(returned, ())
    assert {known.state for known in promises._known.values()} == {"away"}
    for step in range(10):
        look(returned + step * 0.05, {7, 8})
    assert {known.state for known in promises._known.values()} == {"live"}
