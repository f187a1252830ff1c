"""What is said about orders: the merchants' messages, claims, decisions (money.md section 2).

Every method returns the reason code, "" where it was applied or changed nothing because it was a repeat.
Further decisions, where money.md is silent:
  * a message without `stamp` (imports, claims, decisions by an admin) has no `ts`: it is never older, and the last
    applied `ts` stays. A partial refund is no status: its `ts` is not looked at.
  * questions are asked in this order: product, status, older_status, final_status, amount_conflict, move.
  * `amount_conflict` sets the whole message aside, its status too; of a rejection the amount is not looked at.
    Amounts are the same only in the same currency (one that is not named is the order's); a message without an amount
    says nothing of it.
  * a merchant's `approved` for an order that is held changes nothing, for it may be a repeat.
  * an order that is booked anew is credited as it was, rated by all else that is known then, and takes a new, last
    place in booking order. Of one that is held and has accrued nothing another amount is noted: it leaves by approval
    or rejection alone.
  * a refund of an order that is pending is no move (`illegal_move`).
"""

from dataclasses import dataclass, replace
from typing import Any

from reference.booking import Booking, Key, Order
from reference.clock import DAY

STATUSES = ("pending", "approved", "rejected", "refunded")
FINAL = ("rejected", "refunded")
REFUND_WAITS = 7 * DAY


@dataclass(frozen=True)
class Refund:
    """A refund's message. `amount` None: all of the order; `currency` "": the order's."""

    id: str
    key: Key
    received: int
    amount: int | None
    currency: str
    refund_id: str
    stamp: int | None


class Orders(Booking):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.waiting: list[Refund] = []
        self.dead: list[Refund] = []

    # --- messages ---

    def order(
        self,
        id: str,
        *,
        received: int,
        pid: str = "",
        at: int | None = None,
        merchant: str = "",
        oid: str = "",
        amount: int | None = None,
        currency: str = "",
        status: str = "approved",
        click: str = "",
        visitor: str = "",
        cust: str = "",
        did: str = "",
        fingerprint: str = "",
        aff: str = "",
        coupon: str = "",
        stamp: int | None = None,
        refund_id: str = "",
        flagged: bool = False,
    ) -> str:
        """The merchant's own word, signed or imported. `id` only names the message in `waiting`. `stamp`: its `ts`,
        in any unit. `flagged`: fraud rules hold it. With status refunded `amount` is what is refunded, None: all."""
        pid = pid or self.clicked_product.get(click, "")
        if code := self.unknown(pid, merchant):
            return code
        if status not in STATUSES:
            return "unknown_status"
        merchant = self.products[pid].merchant
        if not (oid or click):
            return "missing_order_id"
        key = (merchant, oid or click, pid)
        if status == "refunded":
            refund = Refund(id, key, received, amount, currency, refund_id, stamp)
            if self.merchants_order(key) is None:
                self.waiting.append(refund)
                return "waiting"
            return self.apply_refund(self.orders[key], refund)
        if (known := self.merchants_order(key)) is not None:
            return self.repeat(known, amount, currency, status, stamp, received)
        at = received if at is None else at
        currency = currency or self.merchants[merchant].currency
        found = (click, visitor, cust, did, fingerprint, aff, coupon)
        order = Order(*key, at, received, amount, currency, *found, signed=True, stamp=stamp, flagged=flagged)
        claimed = self.orders.get(key)
        if claimed is not None:
            order.claimed_by = claimed.claimed_by
        self.orders[key] = order
        if code := self.first_word(order, status, received):
            self.take_back(key, claimed)
            return code
        self.refund_what_waited(order, received)
        return ""

    def claim(
        self,
        id: str,
        *,
        received: int,
        pid: str = "",
        at: int | None = None,
        oid: str = "",
        amount: int | None = None,
        currency: str = "",
        click: str = "",
        visitor: str = "",
        cust: str = "",
        did: str = "",
        fingerprint: str = "",
        aff: str = "",
        coupon: str = "",
    ) -> str:
        """What a pixel or the script tag says. With `hold` a first claim makes an order held as `pixel`, booked from
        the claim's own identifiers (its `aff` is not one) if it is approved; the merchant's message takes it over."""
        pid = pid or self.clicked_product.get(click, "")
        if code := self.unknown(pid, ""):
            return code
        product = self.products[pid]
        if product.pixel_conversions == "reject":
            return "pixel_rejected"
        if not (oid or click):
            return "missing_order_id"
        key = (product.merchant, oid or click, pid)
        order = self.orders.get(key)
        accepted = product.pixel_conversions == "accept"
        if order is not None and not self.only_claimed(order):
            return self.claimed_anew(order, amount, currency) if accepted else ""
        if order is None:
            at = received if at is None else at
            currency = currency or self.merchants[product.merchant].currency
            found = (click, visitor, cust, did, fingerprint, aff, coupon)
            order = Order(*key, at, received, amount, currency, *found, signed=False, reason="pixel")
            self.orders[key] = order
            if accepted:
                if code := self.first_word(order, "approved", received):
                    self.take_back(key, None)
                    return code
                self.refund_what_waited(order, received)
                return ""
        self.lend(order, visitor or self.click_visitor(click))
        return ""

    def claimed_anew(self, order: Order, amount: int | None, currency: str) -> str:
        """A claim that is an order itself, about one that is there: it changes nothing, and what it says that the
        order is not is set aside."""
        if order.status in FINAL:
            return "final_status"
        same = amount is None or (amount, currency or order.currency) == (order.amount, order.currency)
        return "" if same else "amount_conflict"

    def lend(self, order: Order, visitor: str) -> None:
        """A claim by this visitor about this order. One without a visitor lends nothing and conflicts with nothing;
        one that comes after the order was booked is kept for when it is booked anew."""
        if visitor:
            order.claimed_by.add(visitor)

    # --- decisions ---

    def approve(self, key: Key, *, received: int) -> str:
        """An admin's. A held order is booked now, whatever held it (one held as `fraud` stands booked already)."""
        if key not in self.orders:
            return "unknown_order"
        order = self.orders[key]
        if order.status in FINAL:
            return "final_status"
        if order.status == "approved":
            return ""
        if order.booked:
            self.make_approved(order, received)
        else:
            visitor = order.visitor
            if not order.signed and len(order.claimed_by) > 1:
                order.visitor = ""  # claims that differ lend nothing
            if code := self.book(order, status="approved", now=received, decided=True, credit=order.credit):
                order.visitor = visitor
                return code
            self.refund_what_waited(order, received)
        return ""

    def reject(self, key: Key, *, received: int) -> str:
        """An admin's. The reason of a held order stays, to say why nothing was ever posted."""
        if key not in self.orders:
            return "unknown_order"
        order = self.orders[key]
        if order.status == "refunded":
            return "final_status"
        self.make_rejected(order)
        return ""

    def refund(self, key: Key, *, received: int, amount: int | None = None, refund_id: str = "") -> str:
        """An admin's; `refund_id` is the Idempotency-Key. It does not wait for an unknown order."""
        if key not in self.orders:
            return "unknown_order"
        order = self.orders[key]
        return self.apply_refund(order, Refund("", key, received, amount, "", refund_id, None))

    # --- how they are applied ---

    def unknown(self, pid: str, merchant: str) -> str:
        if merchant and merchant not in self.merchants:
            return "unknown_merchant"
        if pid not in self.products or (merchant and self.products[pid].merchant != merchant):
            return "unknown_product"
        return ""

    def merchants_order(self, key: Key) -> Order | None:
        """The order, unless all that is known of it is a claim that is held."""
        order = self.orders.get(key)
        return None if order is None or self.only_claimed(order) else order

    def only_claimed(self, order: Order) -> bool:
        return not order.signed and order.status == "pending" and order.reason == "pixel"

    def first_word(self, order: Order, status: str, received: int) -> str:
        if status == "rejected":
            order.status, order.reason = "rejected", ""
            return ""
        return self.book(order, status=status, now=received)

    def take_back(self, key: Key, claimed: Order | None) -> None:
        """The order stands as before its message: claimed, or not there at all."""
        if claimed is None:
            del self.orders[key]
        else:
            self.orders[key] = claimed

    def repeat(
        self, order: Order, amount: int | None, currency: str, status: str, stamp: int | None, received: int
    ) -> str:
        """Another message about a known order."""
        currency = currency or order.currency
        if stamp is not None and order.stamp is not None and stamp < order.stamp:
            return "older_status"
        if order.status in FINAL:
            if order.status != status:
                return "final_status"
            order.stamp = order.stamp if stamp is None else stamp
            return ""
        said = status != "rejected" and amount is not None
        changed = said and (amount, currency) != (order.amount, order.currency)
        if changed and order.status == "approved":
            return "amount_conflict"
        if order.status == "approved" and status == "pending":
            return "illegal_move"
        order.stamp = order.stamp if stamp is None else stamp
        if status == "rejected":
            self.make_rejected(order)
            return ""
        if changed and order.held and not order.booked:
            order.amount, order.currency = amount, currency
        elif changed:
            credit = order.credit
            self.unbook(order)
            order.amount, order.currency = amount, currency
            self.book(order, status=status, now=received, credit=credit)
        elif status == "approved" and order.status == "pending" and not order.held:
            self.make_approved(order, received)
        return ""

    def make_approved(self, order: Order, received: int) -> None:
        """The approval's instant is when its message was received."""
        order.status, order.approved_at = "approved", received
        if order.reason == "fraud":
            order.reason = ""

    def make_rejected(self, order: Order) -> None:
        order.status = "rejected"
        self.reverse(order, "reject")

    def apply_refund(self, order: Order, refund: Refund) -> str:
        """A refund without an amount, or without a `refund_id` and of at least the order's amount, is a whole one and a
        status. Any other is partial and needs its `refund_id` (`missing_refund_id`). What exceeds the order's amount
        is set aside (`over_refund`) though the rest is applied; of an order without amount, or of 0, nothing can be
        refunded in part. Another currency than the order's: `amount_conflict`."""
        if order.status == "rejected":
            return "final_status"
        amount, stamp, total = refund.amount, refund.stamp, order.amount or 0
        if refund.refund_id in order.refund_ids:
            return ""
        currency = refund.currency or order.currency
        whole = amount is None or (not refund.refund_id and amount >= total and currency == order.currency)
        if whole and stamp is not None and order.stamp is not None and stamp < order.stamp:
            return "older_status"
        if order.status == "refunded":
            return "" if whole else "over_refund"
        if order.status == "pending":
            return "illegal_move"
        if not whole and not refund.refund_id:
            return "missing_refund_id"
        if amount is not None and currency != order.currency:
            return "amount_conflict"
        if not whole and not total:
            return "over_refund"
        if refund.refund_id:
            order.refund_ids.add(refund.refund_id)
        if whole and stamp is not None:
            order.stamp = stamp
        wanted = total if amount is None else order.refunded + amount
        order.refunded = min(wanted, total)
        if order.refunded == total:
            order.status = "refunded"
        self.reverse(order, "refund")
        return "over_refund" if wanted > total else ""

    def refund_what_waited(self, order: Order, received: int) -> None:
        """Refunds that came before their order, in the order in which they came, if within 7 days of
        what made it known (`received`). Decided: such a one follows its order, whatever their `ts` say."""
        for refund in [x for x in self.waiting if x.key == order.key]:
            self.waiting.remove(refund)
            if refund.received + REFUND_WAITS < received:
                self.dead.append(refund)
            else:
                self.apply_refund(order, replace(refund, stamp=None))

    def dead_letters(self, now: int) -> list[Refund]:
        """Those that waited longer than 7 days."""
        return self.dead + [x for x in self.waiting if x.received + REFUND_WAITS < now]
