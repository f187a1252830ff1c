"""Whom the bookkeeper waits for, and for how long."""

from pathlib import Path

from tuike.promises import LATE_AFTER_S, Promises
from tuike.stores import engine, migrations
from tuike.transport.entries import ENDED


def test_a_machine_that_serves_and_says_nothing_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    books = engine.open_writer(engine.of_file(tmp_path / "books.sqlite"))
    migrations.upgrade(books)
    with books.begin() as connection:
        promises = Promises(connection, 0.0)
    books.dispose()

    def watermark(mark: int, tick: float) -> int:
        marks = {7: mark} if mark else {}
        return promises.look([marks, marks], marks, {7: 3} if mark else {}, (), 9_000, tick)

    promises.expect(["m"], 1.0)
    assert watermark(0, 2.0) == 0, "it was never heard"
    promises.hear("m", [7], {7: "edge-0"}, 0, 3.0)
    assert watermark(500, 3.0) == 500
    assert watermark(ENDED, 4.0) >= 500
    promises.expect([], 5.0)
    assert watermark(0, 5.0) == 9_000, "it has stopped"
    promises.expect(["m"], 6.0)
    assert watermark(0, 7.0) == 0, "it serves again, and what it has now is not heard yet"
    promises.expect(["m"], 6.0 + LATE_AFTER_S)
    assert watermark(0, 6.0 + LATE_AFTER_S) == 9_000
