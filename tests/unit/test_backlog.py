"""What was read and is not in the books: what of it is due, and what is promised of it meanwhile."""

from typing import Any

import msgspec

from tuike.books.backlog import Backlog, Late
from tuike.books.records import Message
from tuike.transport.entries import ENDED

ON_TIME, CUT_OFF, ALSO_CUT_OFF = 7, 8, 9


def order(incarnation: int, seq: int, received: int) -> tuple[int, int, str, dict[str, Any]]:
    fields = {"kind": "order", "merchant": "m", "at": 0, "id": f"{incarnation:016x}{seq:016x}", "received": received}
    return incarnation, seq, f"edge-{incarnation}", fields


def taken(backlog: Backlog, watermark: int, late: Late, limit: int = 10) -> list[tuple[int, int]]:
    return [(item.incarnation, item.received) for item in backlog.take_orders(watermark, limit, late)]


def test_books_promise_what_is_older_than_the_first_order_that_waits() -> None:
    backlog = Backlog()
    backlog.add(order(7, seq, 100 * seq) for seq in (1, 2, 3))
    read = {7: 350, 8: ENDED}
    assert backlog.marks(read) == {7: 100, 8: ENDED}
    backlog.applied(backlog.take_orders(250, 10))
    assert backlog.marks(read) == {7: 300, 8: ENDED}
    assert backlog.upto({7: 9}) == {7: 2}
    backlog.applied(backlog.take_orders(350, 10))
    assert backlog.marks(read) == read


def test_late_orders_wait_until_all_that_are_late_have_caught_up_and_others_do_not() -> None:
    backlog = Backlog()
    backlog.add([order(CUT_OFF, 1, 100), order(CUT_OFF, 2, 200), order(ON_TIME, 1, 300), order(ON_TIME, 2, 600)])
    both = frozenset({CUT_OFF, ALSO_CUT_OFF})
    assert taken(backlog, 500, Late(both, 50)) == [(ON_TIME, 300)]
    backlog.add([order(ALSO_CUT_OFF, 1, 150)])
    assert taken(backlog, 500, Late(both, 120)) == [(CUT_OFF, 100)]
    assert taken(backlog, 700, Late(both, 250)) == [(ALSO_CUT_OFF, 150), (CUT_OFF, 200), (ON_TIME, 600)]


def test_what_an_incarnation_says_keeps_its_order_though_it_has_caught_up_and_others_have_not() -> None:
    backlog = Backlog()
    backlog.add([order(CUT_OFF, 1, 100)])
    assert taken(backlog, 500, Late(frozenset({CUT_OFF, ALSO_CUT_OFF}), 50)) == []
    backlog.add([order(CUT_OFF, 2, 600), order(ON_TIME, 1, 600)])
    alone = frozenset({ALSO_CUT_OFF})
    assert taken(backlog, 700, Late(alone, 50)) == [(ON_TIME, 600)]
    assert taken(backlog, 700, Late(alone, 101)) == [(CUT_OFF, 100)]
    assert taken(backlog, 700, Late(alone, 601)) == [(CUT_OFF, 600)]
    backlog.add([order(CUT_OFF, 3, 750)])
    assert taken(backlog, 800, Late(alone, 601)) == [(CUT_OFF, 750)], "it has none left that are late"


def test_what_comes_after_its_time_is_late_though_its_incarnation_has_caught_up() -> None:
    backlog = Backlog()
    assert taken(backlog, 500, Late()) == []
    backlog.add([order(CUT_OFF, 1, 400), order(CUT_OFF, 2, 501)])
    assert taken(backlog, 510, Late(frozenset({ALSO_CUT_OFF}), 50)) == []
    assert taken(backlog, 510, Late()) == [(CUT_OFF, 400), (CUT_OFF, 501)]
    backlog.add([order(CUT_OFF, 3, 400)])
    assert taken(backlog, 510, Late()) == [(CUT_OFF, 400)], "nobody is late with it"


def test_nothing_late_is_due_above_the_watermark() -> None:
    backlog = Backlog()
    backlog.add([order(CUT_OFF, 1, 400)])
    assert taken(backlog, 500, Late(frozenset({CUT_OFF}), 50)) == []
    assert taken(backlog, 300, Late()) == [], "sums are asked for now, which are not there"
    assert taken(backlog, 500, Late()) == [(CUT_OFF, 400)]


def test_late_orders_are_due_when_nobody_is_late_any_more() -> None:
    backlog = Backlog()
    backlog.add([order(CUT_OFF, 1, 100), order(CUT_OFF, 2, 200), order(CUT_OFF, 3, 900)])
    late = Late(frozenset({CUT_OFF}), 0)
    assert taken(backlog, 500, late) == []
    assert taken(backlog, 500, Late(), limit=1) == [(CUT_OFF, 100)]
    assert taken(backlog, 500, Late()) == [(CUT_OFF, 200)]
    assert len(backlog) == 3, "none of them was applied"


def test_an_import_that_comes_late_waits_with_its_closing_mark() -> None:
    backlog = Backlog()
    incarnation, seq, _, row = order(CUT_OFF, 1, 100)
    backlog.add([(incarnation, seq, "import-1", row), (incarnation, 2, "import-1", row | {"kind": "close"})])
    late = Late(frozenset({CUT_OFF}), 50)
    assert taken(backlog, 500, late) == []
    assert len(taken(backlog, 500, late._replace(caught_up=101))) == 2


def test_who_is_forgotten_is_so_in_an_import_that_waits_for_its_closing_mark() -> None:
    def forget(message: Message) -> Message:
        return msgspec.structs.replace(message, visitor="fresh")

    backlog = Backlog()
    incarnation, seq, _, row = order(CUT_OFF, 1, 100)
    backlog.add([(incarnation, seq, "import-1", row | {"visitor": "old"})])
    backlog.rewrite(forget)
    backlog.add([(incarnation, 2, "import-1", row | {"kind": "close"})])
    assert [item.message.visitor for item in backlog.take_orders(500, 1)] == ["fresh"]
