"""Decisions about money that are about no order: settlements, payouts, and the ledger's own (money.md, section 5)."""

from collections.abc import Callable
from typing import Any

from tuike.books.booking import Desk, Place
from tuike.books.records import Effect, Outcome, Request
from tuike.books.settlement import Settlements

Body = dict[str, Any]
Decided = tuple[Outcome, Effect | None, str]
"""The outcome, what moves, and what it concerns for the audit (empty: nothing)."""


class Payments:
    """Decides where nothing is unposted: all that was decided before can be read from the tables."""

    def __init__(self, desk: Desk, settlements: Settlements) -> None:
        self._desk = desk
        self._settlements = settlements
        self._operations: dict[str, Callable[[Place, str, Body], Decided]] = {"settlement.run": self._settle}

    def decide(self, place: Place, event: str, request: Request) -> Decided:
        operation = self._operations.get(request.op)
        if operation is None:
            return Outcome.refused("unknown_op", f"there is no decision {request.op!r}"), None, ""
        return operation(place, event, request.data)

    def _settle(self, place: Place, event: str, data: Body) -> Decided:
        as_of = data.get("as_of") or place.received
        if as_of > place.received:
            return (
                Outcome.refused("as_of_in_future", "a settlement releases what is due by now, at the latest"),
                None,
                "",
            )
        outcome, effect = self._settlements.start(place, event, as_of)
        return outcome, effect, f"settlement:{event}"
