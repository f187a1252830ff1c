"""How much readers read at a time."""

from tuike.transport.entries import Portion


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
