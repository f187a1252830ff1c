"""Decisions about money that are about no order: settlements, payouts, and the ledger's own (money.md, section 5)."""

from collections.abc import Callable, Mapping
from typing import Any

from tuike.books.booking import Desk, Place
from tuike.books.contests import Contests
from tuike.books.payouts import Payouts
from tuike.books.records import Decision, Outcome, Refusal, Request
from tuike.books.settlement import Settlements
from tuike.books.treasury import Treasury

Body = dict[str, Any]
Operation = Callable[[Place, str, Body], Decision]


class Payments:
    """Decides where nothing is unposted: all that was decided before can be read from the tables."""

    def __init__(self, desk: Desk, settlements: Settlements, payout_minimum: Mapping[str, int]) -> None:
        payouts, treasury, contests = Payouts(desk, payout_minimum), Treasury(desk), Contests(desk)
        self._operations: dict[str, Operation] = {
            "settlement.run": settlements.start,
            "settlement.note": settlements.note,
            "payout.create": payouts.create,
            "payout.paid": payouts.paid,
            "payout.failed": payouts.failed,
            "payout.note": payouts.note,
            "contest.create": contests.create,
            "contest.close": contests.close,
            "ledger.fund": treasury.fund,
            "ledger.prize": treasury.prize,
            "ledger.adjust": treasury.adjust,
            "ledger.write_off": treasury.write_off,
            "ledger.remit": treasury.remit,
        }

    def decide(self, place: Place, event: str, request: Request) -> Decision:
        operation = self._operations.get(request.op)
        if operation is None:
            return Decision(Outcome.refused("unknown_op", f"there is no decision {request.op!r}"))
        try:
            return operation(place, event, request.data)
        except Refusal as refusal:
            return Decision(refusal.outcome)
