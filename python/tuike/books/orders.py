"""Decides what an order, a claim or a decision means for the books (money.md, section 2). Posts nothing."""

from typing import Any

import msgspec

from tuike import _core, views
from tuike.books import booking
from tuike.books.booking import Desk, Place
from tuike.books.candidates import attribute
from tuike.books.flags import Flags, is_given, raised
from tuike.books.fraud import Inspector, purchases_of
from tuike.books.records import (
    FINAL,
    Conversion,
    Effect,
    Message,
    Outcome,
    Refusal,
    Request,
    Standing,
    Waiting,
    conversion_id,
)
from tuike.books.state import Product
from tuike.books.totals import day_of
from tuike.books.touches import Touches
from tuike.books.verdicts import RATE_LIMITED
from tuike.books.waiting import WaitingRefunds

# Claims of one order that are remembered; two different visitors are a conflict already.
MAX_CLAIMS = 16
# Parts in which an order can be refunded before the rest has to be: each stands in its evidence.
MAX_REFUNDS = 256

STATUSES = ("pending", "approved", "rejected", "refunded")
CLAIMED_BY = ("pixel", "tag")
"""Sources of what browsers say."""
IDENTIFIERS = ("click", "visitor", "cust", "did", "fingerprint", "fingerprint_before", "coupon", "aff")

Verdict = Outcome | Effect

NOTHING_LEFT = Outcome.refused("over_refund", "there is nothing left to refund")
OLDER = Outcome.refused("older_status", "a later status of this order is applied already")


class Target(msgspec.Struct, frozen=True):
    """The order that a message is about."""

    conversion: str
    merchant: str = ""
    order_id: str = ""
    product: str = ""


class Orders:
    """The bookkeeper's judgement. `orders` given to `decide` holds all orders that the batch is about."""

    def __init__(
        self, desk: Desk, touches: Touches, waiting: WaitingRefunds, flags: Flags, inspector: Inspector
    ) -> None:
        self._desk = desk
        self._registry = desk.registry
        self._touches = touches
        self._waiting = waiting
        self._flags = flags
        self._inspector = inspector

    def target(self, message: Message, request: Request | None) -> Target | Outcome:
        """The order a message is about, or why it is about none."""
        if request is not None and request.op.startswith("fraud."):
            order = self._flags.order_of(request.data["id"])
            return (
                Outcome.refused("unknown_flag", "there is no such flag", http=404) if order is None else Target(order)
            )
        if request is not None:
            return Target(request.data["id"])
        if message.merchant not in self._registry.merchants:
            return Outcome.refused("unknown_merchant", f"there is no merchant {message.merchant!r}")
        order_id = message.oid or message.click
        if not order_id:
            return Outcome.refused("missing_order_id", "the order has neither an order id nor a click id")
        pid = message.pid
        if not pid and message.click:
            pid = (self._touches.click(message.click) or {}).get("pid", "")
        product = self._registry.products.get(pid)
        if product is None or product.merchant != message.merchant:
            return Outcome.refused("unknown_product", f"merchant {message.merchant!r} has no product {pid!r}")
        return Target(conversion_id(message.merchant, order_id, pid), message.merchant, order_id, pid)

    def decide(
        self,
        number: int,
        message: Message,
        request: Request | None,
        target: Target | Outcome,
        orders: dict[str, Standing],
    ) -> tuple[Outcome, Effect | None]:
        """What becomes of one message under the books' `number`; `orders` is brought up to date."""
        place = Place(number, message.received)
        standing = None if isinstance(target, Outcome) else orders.get(target.conversion)
        effect: Effect | None = None
        if isinstance(target, Outcome):
            outcome = target
        elif request is not None:
            outcome, effect = self._decision(place, request, standing)
        elif message.kind == "claim":
            outcome, effect = _answered(target, self._claim(place, message, target, standing))
        else:
            outcome, effect = _answered(target, self._order(place, message, target, standing))
        if message.merchant:
            # so that the merchant's own token may see it, set aside or not
            outcome = msgspec.structs.replace(outcome, result={"merchant": message.merchant} | outcome.result)
        if isinstance(target, Outcome) or effect is None or effect == Effect(standing, code=effect.code):
            return outcome, None
        by, note = (
            (f"merchant:{message.merchant}", "")
            if request is None
            else (request.actor, request.data.get("reason") or "")
        )
        effect = self._flags.left(standing, effect, by, note, place)
        if effect.standing is not None:
            orders[target.conversion] = effect.standing
        return outcome, effect

    # --- the merchant's word -----------------------------------------------------------------------

    def _order(self, place: Place, message: Message, target: Target, standing: Standing | None) -> Verdict:
        status = message.status or "approved"
        if status not in STATUSES:
            return Outcome.refused("unknown_status", f"there is no status {status!r}")
        if status == "refunded" and (standing is None or standing.claimed):
            return self._unknown(place, message, target)
        if standing is None:
            conversion = self._conversion(place.number, message, target, status)
            if status == "rejected":
                return Effect(Standing(conversion, ()))
            return self._book(place, message, conversion)
        conversion = standing.conversion
        if status == "refunded":
            return self._refund(standing, message.amount, message.currency, message.refund_id, message.stamp)
        stamp = max(message.stamp, conversion.stamp)
        if message.stamp and message.stamp < stamp:
            return OLDER
        if status == conversion.status in FINAL:
            return booking.keep(standing, stamp=stamp)
        if conversion.status in FINAL:
            return _illegal(conversion, status)
        if standing.claimed:
            return self._book_claimed(place, message, standing, status)
        if status == "rejected":
            return booking.reverse(self._desk, standing, conversion.refunded, "reject", "rejected", stamp=stamp)
        return self._status(place, message, standing, status, stamp)

    def _unknown(self, place: Place, message: Message, target: Target) -> Verdict:
        """A refund of an order that the merchant has not named yet waits for it."""
        if self._waiting.full:
            return Outcome.refused("unknown_order", "there is no such order, and no room to wait for it")
        waits = msgspec.structs.replace(message, stamp=0)
        return Effect(waiting=Waiting(target.conversion, place.number, waits), code="unknown_order")

    def _status(self, place: Place, message: Message, standing: Standing, status: str, stamp: int) -> Verdict:
        """`pending` or `approved` of an order that is one of them."""
        conversion = standing.conversion
        currency = message.currency or conversion.currency
        same = _same_amount(message, conversion)
        if conversion.status == "approved":
            if not same:
                return Outcome.refused("amount_conflict", "the order is approved with another amount")
            if status == "pending":
                return _illegal(conversion, status)
            return booking.keep(standing, stamp=stamp)
        held = conversion.evidence.get("held", False)
        if "fraud" in conversion.evidence and status == "approved":
            # what it is when its flags are cleared
            given = conversion.evidence | {"fraud": {"given": status}}
            standing = Standing(msgspec.structs.replace(conversion, evidence=given), standing.shares)
        if same and (held or status == "pending"):
            return booking.keep(standing, stamp=stamp)
        if same:
            return booking.approve(self._desk, standing, place, stamp=stamp)
        changes: dict[str, Any] = {"stamp": stamp, "amount": message.amount, "currency": currency}
        if held and not standing.shares:
            return booking.keep(standing, **changes)
        return booking.rebook(self._desk, standing, place, status="pending" if held else status, **changes)

    def _book(self, place: Place, message: Message, conversion: Conversion, *, forced: bool = False) -> Verdict:
        """An order that came above its merchant's rate limit, or that nothing but hits above one lead to, is held."""
        product = self._registry.products[conversion.product]
        found = attribute(message, product, self._registry, self._touches, self._desk.path_ends, forgiving=forced)
        limited = message.reason == RATE_LIMITED or (
            found.top is None and any(candidate.why == RATE_LIMITED for candidate in found.candidates)
        )
        if limited and not forced:
            held = conversion.evidence | {"held": True}
            waits = msgspec.structs.replace(conversion, status="pending", reason=RATE_LIMITED, evidence=held)
            return Effect(Standing(waits, ()))
        effect = booking.accrue(self._desk, conversion, found, place, forced=forced)
        standing = None if isinstance(effect, Outcome) else effect.standing
        if isinstance(effect, Outcome) or standing is None or not standing.shares:
            return effect
        effect = msgspec.structs.replace(effect, purchases=purchases_of(conversion, found))
        if forced or standing.conversion.reason:
            return effect
        findings = self._inspector.look(message, conversion, found)
        return raised(effect, findings, place) if findings else effect

    def _book_claimed(self, place: Place, message: Message, standing: Standing, status: str) -> Verdict:
        """The merchant's word on an order that was only claimed: a claim lends its visitor where there is nothing."""
        before = standing.conversion
        claims = before.evidence["claims"]
        visitors = {claim["visitor"] for claim in claims if claim["visitor"]}
        target = Target(before.id, before.merchant, before.order_id, before.product)
        anonymous = not any(getattr(message, name) for name in IDENTIFIERS)
        if anonymous and len(visitors) == 1:
            message = msgspec.structs.replace(message, visitor=visitors.pop())
        conversion = self._conversion(before.number, message, target, status)
        conversion = msgspec.structs.replace(conversion, created=before.created)
        conversion.evidence["claims"] = claims
        if status == "rejected":
            return Effect(Standing(conversion, ()))
        if anonymous and len(visitors) > 1:
            held = conversion.evidence | {"held": True}
            return Effect(
                Standing(
                    msgspec.structs.replace(conversion, status="pending", reason="claim_conflict", evidence=held), ()
                )
            )
        return self._book(place, message, conversion)

    # --- a browser's word --------------------------------------------------------------------------

    def _claim(self, place: Place, message: Message, target: Target, standing: Standing | None) -> Verdict:
        policy = self._registry.products[target.product].pixel_conversions
        if policy == "reject":
            return Outcome.refused("pixel_rejected", "the product takes no conversions from browsers")
        if standing is not None:
            if standing.claimed:
                return _claimed_again(message, standing)
            # it never changes an order that is there; where it is an order itself, what it says otherwise is set aside
            return (_contradiction(message, standing.conversion) if policy == "accept" else None) or booking.keep(
                standing
            )
        if policy == "accept":
            return self._book(place, message, self._conversion(place.number, message, target, "approved"))
        conversion = self._conversion(place.number, message, target, "pending")
        evidence = conversion.evidence | {"held": True, "claims": [_claim_of(message)]}
        return Effect(Standing(msgspec.structs.replace(conversion, reason="pixel", evidence=evidence), ()))

    # --- decisions ---------------------------------------------------------------------------------

    def _decision(self, place: Place, request: Request, standing: Standing | None) -> tuple[Outcome, Effect | None]:
        if standing is None:
            return Outcome.refused(
                "unknown_conversion", f"there is no conversion {request.data['id']!r}", http=404
            ), None
        if request.op in ("fraud.clear", "fraud.confirm"):
            try:
                return self._flags.decide(place, request, standing)
            except Refusal as refusal:
                return refusal.outcome, None
        verdict = self._decided(place, request, standing)
        if isinstance(verdict, Outcome):
            return verdict, None
        assert verdict.standing is not None
        return Outcome.applied(_view(verdict.standing), code=verdict.code), verdict

    def _decided(self, place: Place, request: Request, standing: Standing) -> Verdict:
        conversion = standing.conversion
        match request.op:
            case "conversion.approve":
                return self._approve(place, standing)
            case "conversion.reject":
                if conversion.status == "rejected":
                    return booking.keep(standing)
                if conversion.status == "refunded":
                    return _illegal(conversion, "rejected")
                return booking.reverse(self._desk, standing, conversion.refunded, "reject", "rejected")
            case "conversion.refund":
                amount = None
                if request.data.get("amount") is not None:
                    try:
                        amount = _core.parse_amount(request.data["amount"], conversion.currency)
                    except ValueError as error:
                        return Outcome.refused(str(error), "the amount is not one of the conversion's currency")
                refund_id = request.data.get("refund_id") or request.idem or ""
                return self._refund(standing, amount, "", refund_id, 0)
            case _:
                return Outcome.refused("unknown_op", f"there is no decision {request.op!r}")

    def _approve(self, place: Place, standing: Standing) -> Verdict:
        """Approves what is pending. What was held without having accrued is booked now, whatever the budget."""
        conversion = standing.conversion
        if conversion.status == "approved":
            return booking.keep(standing)
        if conversion.status in FINAL:
            return _illegal(conversion, "approved")
        evidence = {name: value for name, value in conversion.evidence.items() if name not in ("held", "fraud")}
        if "held" not in conversion.evidence:
            return booking.approve(self._desk, standing, place)
        if standing.shares:
            return booking.approve(self._desk, standing, place, reason="", evidence=evidence)
        approved = msgspec.structs.replace(conversion, status="approved", reason="", evidence=evidence)
        if "candidates" in evidence:
            return booking.accrue(self._desk, approved, booking.attribution_of(conversion), place, forced=True)
        # a claim never names a promoter, whoever approves it: `aff` counts in the merchant's own word alone
        kind = "claim" if conversion.source in CLAIMED_BY or conversion.reason == "pixel" else "order"
        asked = Message(
            conversion.event_id, kind, conversion.at, pid=conversion.product, **conversion.evidence["identifiers"]
        )
        return self._book(place, asked, approved, forced=True)

    # --- both --------------------------------------------------------------------------------------

    def _refund(self, standing: Standing, amount: int | None, currency: str, refund_id: str, stamp: int) -> Verdict:
        """Refunds all that is left, or a part that has a name; a repeat changes nothing. All it is without an amount,
        or with no name and at least the order's amount: then it is a status, and no older than the last."""
        conversion = standing.conversion
        refunds: dict[str, int] = conversion.evidence.get("refunds", {})
        step = booking.refund_step(refund_id)
        whole = conversion.amount or 0
        entire = amount is None or (not refund_id and amount >= whole and currency in ("", conversion.currency))
        if conversion.status == "rejected":
            return _illegal(conversion, "refunded")
        if refund_id and step in refunds:
            return booking.keep(standing)
        if entire and stamp and stamp < conversion.stamp:
            return OLDER
        if conversion.status == "refunded":
            return booking.keep(standing) if entire else NOTHING_LEFT
        if conversion.status == "pending" and not is_given(conversion, "approved"):
            return _illegal(conversion, "refunded")
        if not entire and not refund_id:
            return Outcome.refused("missing_refund_id", "a partial refund needs a refund_id")
        if amount is not None and currency not in ("", conversion.currency):
            detail = f"the refund is in {currency}, the order in {conversion.currency}"
            return Outcome.refused("amount_conflict", detail)
        if not entire and not whole:
            return NOTHING_LEFT
        if not entire and len(refunds) >= MAX_REFUNDS:
            return Outcome.refused("too_many_refunds", f"after {MAX_REFUNDS} parts only the rest can be refunded")
        asked = whole - conversion.refunded if amount is None else amount
        taken = min(asked, whole - conversion.refunded)
        refunded = conversion.refunded + taken
        effect = booking.reverse(
            self._desk,
            standing,
            refunded,
            step,
            "refunded" if refunded == whole else conversion.status,
            stamp=max(stamp, conversion.stamp) if entire else conversion.stamp,
            evidence=conversion.evidence | {"refunds": refunds | {step: taken}},
        )
        return msgspec.structs.replace(effect, code="over_refund") if asked > taken else effect

    def _conversion(self, number: int, message: Message, target: Target, status: str) -> Conversion:
        product: Product = self._registry.products[target.product]
        merchant = self._registry.merchants[target.merchant]
        identifiers = {name: value for name in IDENTIFIERS if (value := getattr(message, name))}
        return Conversion(
            id=target.conversion,
            number=number,
            merchant=target.merchant,
            order_id=target.order_id,
            product=target.product,
            amount=message.amount,
            currency=message.currency or merchant.currency,
            status=status,
            refunded=0,
            model=product.attribution.model,
            reason="",
            rule_version=0,
            stamp=message.stamp,
            at=message.at,
            day=day_of(message.at, merchant.timezone),
            created=message.received,
            due=0,
            released=0,
            source=message.source,
            event_id=message.id,
            evidence={"identifiers": identifiers},
        )


def _answered(target: Target, verdict: Verdict) -> tuple[Outcome, Effect | None]:
    if isinstance(verdict, Outcome):
        return verdict, None
    result = {"conversion": target.conversion}
    if verdict.waiting is not None:
        return Outcome.waits(verdict.code, result), verdict
    return Outcome.applied(result, code=verdict.code), verdict


def _illegal(conversion: Conversion, status: str) -> Outcome:
    code = "final_status" if conversion.status in FINAL else "illegal_move"
    return Outcome.refused(code, f"the order is {conversion.status} and cannot become {status}", http=409)


def _same_amount(message: Message, conversion: Conversion) -> bool:
    """Whether the message says no other amount than the order's; without a currency it is in the order's."""
    said = message.amount, message.currency or conversion.currency
    return message.amount is None or said == (conversion.amount, conversion.currency)


def _contradiction(message: Message, conversion: Conversion) -> Outcome | None:
    """What a claim that is an order itself says of an order that is there, and that is not so."""
    if conversion.status in FINAL:
        return _illegal(conversion, "approved")
    if _same_amount(message, conversion):
        return None
    return Outcome.refused("amount_conflict", "the order has another amount")


def _claim_of(message: Message) -> dict[str, Any]:
    return {"event": message.id, "visitor": message.visitor, "amount": message.amount}


def _claimed_again(message: Message, standing: Standing) -> Effect:
    """One more claim of a held order: it is noted where it is another visitor's."""
    evidence = standing.conversion.evidence
    claims = evidence["claims"]
    if len(claims) >= MAX_CLAIMS or any(claim["visitor"] == message.visitor for claim in claims):
        return booking.keep(standing)
    return booking.keep(standing, evidence=evidence | {"claims": [*claims, _claim_of(message)]})


def _view(standing: Standing) -> dict[str, Any]:
    row = msgspec.structs.asdict(standing.conversion)
    return views.conversion(row, [msgspec.structs.asdict(share) for share in standing.shares])
