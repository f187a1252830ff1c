"""How much readers read at a time, and what a bookkeeper promises while orders wait."""

from tuike.books.backlog import Backlog
from tuike.transport.entries import ENDED, Portion


def test_more_is_read_while_there_is_more_and_less_when_it_takes_long() -> None:
    portion = Portion()
    least = portion.packets
    for _ in range(20):
        portion.took(portion.packets, 0.1)
    assert portion.packets == Portion.MOST
    portion.took(portion.packets - 1, 0.1)
    assert portion.packets == Portion.MOST, "not all of it was there"
    for _ in range(20):
        portion.took(portion.packets, 2 * Portion.LONG_S)
    assert portion.packets == least


def test_books_promise_what_is_older_than_the_first_order_that_waits() -> None:
    backlog = Backlog()
    order = {"kind": "order", "merchant": "m", "at": 0}
    backlog.add((7, seq, "edge-0", order | {"id": f"{seq:032x}", "received": 100 * seq}) for seq in (1, 2, 3))
    read = {7: 350, 8: ENDED}
    assert backlog.marks(read) == {7: 100, 8: ENDED}
    backlog.applied(backlog.take_orders(250, 10))
    assert backlog.marks(read) == {7: 300, 8: ENDED}
    assert backlog.upto({7: 9}) == {7: 2}
    backlog.applied(backlog.take_orders(350, 10))
    assert backlog.marks(read) == read
