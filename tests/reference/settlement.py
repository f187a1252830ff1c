"""Release (money.md section 5): from pending to available, for approved orders whose period has ended.

Decided: orders are released in order of (due, booking). With `release_when: funded` one is released only while what
the released orders of that merchant and currency stand at in all (promoters' and platform's lines) stays at or below
what was funded; the first that does not fit stops those behind it, for this run. It is measured by what it would
stand at after its second look, which it has only when it is released.
"""

from reference.booking import Order, account
from reference.clock import DAY, due
from reference.orders import Orders


class Settlement(Orders):
    def due_at(self, order: Order) -> int:
        """The first local period end after the hold, which is counted from the later of order and approval."""
        assert order.approved_at is not None
        merchant = self.merchant_of(order)
        days = max(self.product_of(order).hold_days, merchant.refund_days)
        hold_end = max(order.at, order.approved_at) + days * DAY
        return due(hold_end, merchant.settlement, merchant.timezone)

    def settle(self, as_of: int, *, now: int | None = None) -> str:
        """Releases what is due at `as_of` (inclusive); twice is once. In the future of `now`: `future_as_of`."""
        if now is not None and as_of > now:
            return "future_as_of"
        stopped = set()
        for order in self.releasable(as_of):
            purse = (order.merchant, order.currency)
            if purse in stopped:
                continue
            if self.merchant_of(order).release_when == "funded" and not self.funded_for(order):
                stopped.add(purse)
                continue
            standing = self.after_second_look(order)
            for line, original in zip(order.lines, self.second_look(order), strict=True):
                line.original = original
            self.stand_at(order, "second_look", standing)
            self.release(order)
        return ""

    def releasable(self, as_of: int) -> list[Order]:
        approved = [x for x in self.orders.values() if x.status == "approved" and x.lines and not x.released]
        return sorted((x for x in approved if self.due_at(x) <= as_of), key=lambda x: (self.due_at(x), x.booked))

    def funded_for(self, order: Order) -> bool:
        released = [x for x in self.orders.values() if x.released]
        standing = sum(x.pool for x in released if (x.merchant, x.currency) == (order.merchant, order.currency))
        return standing + sum(self.after_second_look(order)) <= self.funded(order.merchant, order.currency)

    def funded(self, merchant: str, currency: str) -> int:
        payable = f"merchant:{merchant}:payable"
        return sum(
            amount
            for transfer in self.transfers
            if transfer.step == "fund" and transfer.currency == currency
            for name, amount in transfer.entries
            if name == payable
        )

    def release(self, order: Order) -> None:
        for line in order.lines:
            if line.promoter:
                entries = [(account(line, "pending"), -line.standing)]
                entries += self.into_available(line.promoter, order.currency, line.standing)
                self.post("release", order.key, order.currency, entries)
        order.released = True
