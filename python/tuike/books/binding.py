"""Whose customer a buyer is (money.md, section 4, *Binding*)."""

from typing import Literal

from tuike import _core
from tuike.books.records import Message
from tuike.books.touches import Hit, Touches
from tuike.books.verdicts import Judge

Kind = Literal["cust", "visitor"]


def binding_click(order: Message, merchant: str, visitor: str, judge: Judge, touches: Touches) -> Hit | None:
    """The click that the buyer is bound by at the order's instant. The customer that the order names is asked first;
    where no click binds that one, the visitor."""
    mode, protection = judge.settings.binding, judge.settings.protection
    if mode is None:
        return None
    buyers: tuple[tuple[Kind, str], ...] = (("cust", order.cust), ("visitor", visitor))
    for kind, key in buyers:
        if not key:
            continue
        clicks = [hit for hit in touches.bindings(kind, merchant, key, order.at) if not judge.never(hit)]
        place = _core.bound(mode, [click["at"] for click in clicks], protection)
        if place is not None:
            return clicks[place]
    return None
