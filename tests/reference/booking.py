"""Booking an order: whom it credits, what it pays, and the posting (money.md sections 2, 3, 4, 7).

Everything that a rule looks at is added up anew over all orders.
"""

import math
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction

from reference.attribution import Credit, Journey, Judges, credit
from reference.clock import local_date
from reference.ledger import Ledger
from reference.money import CEILING, EXPONENTS, WHOLE, after_refunds, units
from reference.registry import Merchant, Product, Registry
from reference.rules import (
    Credited,
    Rule,
    Situation,
    below_min_amount,
    is_tiered,
    needs_amount,
    overridden,
    price,
)

Key = tuple[str, str, str]
"""(merchant, oid or else click id, pid)."""

HOLDS = ("pixel", "budget", "fraud", "claim_conflict")
TIER_DAYS = 365
TIERS = {"CNY": {"bronze": 0, "silver": 1_000_00, "gold": 5_000_00, "diamond": 20_000_00}}
"""Lowest net sales of each promoter tier, in minor units; in other currencies everybody is bronze."""


@dataclass
class Line:
    """A share, or the platform's line (promoter "" and level 0). `original`: what refunds are reckoned from, the
    smaller of booking and second look; `standing`: what it stands at."""

    promoter: str
    level: int
    via: str
    original: int
    standing: int


@dataclass
class Order:
    """An order. `booked`: its place in booking order, 0 while it is not booked (held, or rejected at once)."""

    merchant: str
    oid: str
    pid: str
    at: int
    received: int
    amount: int | None
    currency: str
    click: str
    visitor: str
    cust: str
    did: str
    fingerprint: str
    aff: str
    coupon: str
    signed: bool
    status: str = "pending"
    reason: str = ""
    stamp: int | None = None
    flagged: bool = False
    approved_at: int | None = None
    refunded: int = 0
    refund_ids: set[str] = field(default_factory=set)
    claimed_by: set[str] = field(default_factory=set)
    booked: int = 0
    released: bool = False
    found_as: str = ""
    credit: Credit = field(default_factory=Credit)
    version: int = 0
    rule: Rule = field(default_factory=dict)
    ceiling: Fraction = CEILING
    tiers: dict[str, str] = field(default_factory=dict)
    chains: dict[str, tuple[tuple[str, bool], ...]] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    @property
    def key(self) -> Key:
        return self.merchant, self.oid, self.pid

    @property
    def identified(self) -> bool:
        """Whether it has an identifier of its own."""
        own = (self.click, self.visitor, self.cust, self.did, self.fingerprint, self.coupon, self.aff)
        return any(own)

    @property
    def credits(self) -> dict[str, int]:
        """Credited promoter → weight of 1e-9."""
        return self.credit.promoters

    @property
    def held(self) -> bool:
        return self.status == "pending" and self.reason in HOLDS

    @property
    def stands(self) -> bool:
        return self.status not in ("rejected", "refunded")

    @property
    def pool(self) -> int:
        """What its pool stands at: the promoters' and the platform's lines."""
        return sum(line.standing for line in self.lines)

    @property
    def shares(self) -> list[tuple[str, int, str, int]]:
        """(promoter, level, via, what it stands at) of each share that stands above 0."""
        return [(x.promoter, x.level, x.via, x.standing) for x in self.lines if x.promoter and x.standing]

    @property
    def platform(self) -> int:
        return sum(line.standing for line in self.lines if not line.promoter)

    def sales_of(self, promoter: str) -> int:
        """The promoter's part of it: (amount - refunded) x weight, floored. A rejected order counts 0."""
        if self.amount is None or self.status == "rejected":
            return 0
        return math.floor(Fraction((self.amount - self.refunded) * self.credits.get(promoter, 0), WHOLE))


class Booking(Registry, Ledger):
    """`tiers`: currency → tier → its lowest net sales."""

    def __init__(self, *, tiers: dict[str, dict[str, int]] | None = None) -> None:
        Registry.__init__(self)
        Ledger.__init__(self)
        self.tier_table = TIERS if tiers is None else tiers
        self.tiers_kept: dict[tuple[str, str, date], str] = {}
        self.orders: dict[Key, Order] = {}
        self.bookings = 0

    # --- what of an order is where ---

    def merchant_of(self, order: Order) -> Merchant:
        return self.merchants[order.merchant]

    def product_of(self, order: Order) -> Product:
        return self.products[order.pid]

    def day_of(self, order: Order) -> date:
        """The calendar date of its instant in its merchant's zone."""
        return local_date(order.at, self.merchant_of(order).timezone)

    def booked_before(self, order: Order) -> list[Order]:
        """In booking order: those booked before it, all where it is not booked."""
        booked = [x for x in self.orders.values() if x.booked and x is not order]
        return sorted(
            (x for x in booked if not order.booked or x.booked < order.booked),
            key=lambda x: x.booked,
        )

    # --- whom it credits ---

    def visitor_of(self, order: Order) -> str:
        """Its own, else its click's; where it has no identifier at all, that of its claims, if they agree."""
        own = order.visitor or self.click_visitor(order.click)
        lent = not order.identified and len(order.claimed_by) == 1
        return own or (next(iter(order.claimed_by)) if lent else "")

    def claims_differ(self, order: Order) -> bool:
        """Decided: claims by different visitors matter only where the order has no identifier of its own."""
        return len(order.claimed_by) > 1 and not order.identified

    def spent_until(self, order: Order, visitor: str) -> int | None:
        """The instant of the visitor's previous credited order: of the same merchant and visitor, booked before, at
        an earlier or equal instant, neither rejected nor fully refunded."""
        previous = [
            x.at
            for x in self.booked_before(order)
            if visitor and x.found_as == visitor and x.merchant == order.merchant
            if x.at <= order.at and x.stands and x.credits
        ]
        return max(previous, default=None)

    def attribute(self, order: Order) -> Credit:
        settings = self.product_of(order).attribution
        visitor = self.visitor_of(order)
        order.found_as = visitor
        own = [p for p in self.promoters if self.bought(p, order.merchant, order.cust, visitor, order.at)]
        judges = Judges(
            blocked=[promoter for promoter, its in self.promoters.items() if its.blocked],
            own=[] if settings.self_purchase else own,
            spent=self.spent_until(order, visitor) if settings.path_reset else None,
        )
        journey = Journey(
            merchant=order.merchant,
            at=order.at,
            click=order.click,
            visitor=visitor,
            cust=order.cust,
            did=order.did,
            fingerprint=order.fingerprint,
            coupon=self.coupons.get((order.merchant, order.coupon), ""),
            aff=order.aff if order.signed and order.aff in self.promoters else "",
            of_click=not order.visitor and bool(self.click_visitor(order.click)),
        )
        return credit(self.touches, journey, settings, judges)

    def chain_of(self, order: Order, promoter: str) -> tuple[tuple[str, bool], ...]:
        """The chain at the order's instant, each with whether the level counts: not where its promoter is blocked,
        bought the order himself, or is the same person as a lower level (itself missing or not). Decided: where the
        product pays own purchases (`self_purchase`), it pays them at every level."""
        chain = self.tree.chain(promoter, order.at)
        own_paid = self.product_of(order).attribution.self_purchase
        return tuple(
            (
                one,
                not self.promoters[one].blocked
                and (own_paid or not self.bought(one, order.merchant, order.cust, order.found_as, order.at))
                and not any(self.same_person(one, lower) for lower in chain[:i]),
            )
            for i, one in enumerate(chain)
        )

    # --- what it pays ---

    def month_total(self, order: Order, promoter: str) -> int:
        """A tiered rule's total: of the promoter, over the orders booked before this one (any product of the
        merchant, same currency) in the same local calendar month, as they stand now."""
        month = self.day_of(order).replace(day=1)
        return sum(
            x.sales_of(promoter)
            for x in self.booked_before(order)
            if x.merchant == order.merchant and x.currency == order.currency
            if self.day_of(x).replace(day=1) == month
        )

    def tier(self, promoter: str, currency: str, day: date) -> str:
        """The promoter's tier of a date: his own net sales with all merchants in this currency on the 365 dates
        before it, as booked when first asked for, that is at the first order of that date which credits him, and
        kept from then on. Decided: an order that is held over its budget has asked too."""
        known = (promoter, currency, day)
        if known not in self.tiers_kept:
            first = day - timedelta(days=TIER_DAYS)
            booked = [x for x in self.orders.values() if x.booked and x.currency == currency]
            sales = sum(x.sales_of(promoter) for x in booked if first <= self.day_of(x) < day)
            reached = [name for name, lowest in self.tier_table.get(currency, {}).items() if lowest <= sales]
            self.tiers_kept[known] = max(reached, key=lambda name: self.tier_table[currency][name], default="bronze")
        return self.tiers_kept[known]

    def credited(self, order: Order) -> list[Credited]:
        """The credited promoters with all that the rule looks at; totals as they stand now."""
        exponent = EXPONENTS[order.currency]
        found = []
        for promoter, weight in order.credits.items():
            rule = overridden(order.rule, promoter, self.promoters[promoter].kind)
            total = self.month_total(order, promoter)
            tier = order.tiers[promoter]
            situation = Situation(order.amount, exponent, order.at, total, tier, order.ceiling)
            found.append(Credited(weight, rule, situation, order.chains[promoter]))
        return found

    def spent_of_budget(self, order: Order) -> int:
        """What the pools of the product's other booked orders of that local day and currency stand at. Decided: of
        those that a rule with a budget paid."""
        return sum(
            x.pool
            for x in self.booked_before(order)
            if "daily_budget" in x.rule
            and (x.pid, x.currency, self.day_of(x)) == (order.pid, order.currency, self.day_of(order))
        )

    # --- booking ---

    def book(self, order: Order, *, status: str, now: int, decided: bool = False, credit: Credit | None = None) -> str:
        """Books it with all that is known now; it becomes `status`, or is held. Decided: one that is booked anew, or
        after it was held over its budget, is credited as it was (`credit`): a click that came since changes nothing.
        `decided`: by approval of a held order, so neither budget nor conflict nor flag holds it again.

        Reasons, the first that applies: claim_conflict, no_touch, below_min_amount, budget, fraud. Decided: where the
        rule needs an amount and there is none, the message is set aside, and nothing has happened: `amount_missing`.
        """
        assert not order.booked
        assert not order.lines
        before, tiers = replace(order), dict(self.tiers_kept)
        order.status, order.reason, order.approved_at = status, "", None
        if self.claims_differ(order) and not decided:
            order.status, order.reason = "pending", "claim_conflict"
            return ""
        order.credit = credit if credit is not None and credit.looked else self.attribute(order)
        order.tiers = {p: self.tier(p, order.currency, self.day_of(order)) for p in order.credits}
        order.chains = {p: self.chain_of(order, p) for p in order.credits}
        order.version = self.product_of(order).version(order.at)
        _, order.rule, order.ceiling = self.product_of(order).rules[order.version]
        lines = self.priced(order)
        if order.reason == "amount_missing":
            vars(order).update(vars(before))
            self.tiers_kept = tiers
            return "amount_missing"
        if not decided and not order.reason and self.over_budget(order, sum(line.standing for line in lines)):
            order.status, order.reason = "pending", "budget"
            return ""
        if order.flagged and not decided and not order.reason:
            order.status, order.reason = "pending", "fraud"
        if order.status == "approved":
            order.approved_at = now
        order.lines = lines
        self.bookings += 1
        order.booked = self.bookings
        self.accrue(order)
        return ""

    def priced(self, order: Order) -> list[Line]:
        """Its lines, of nothing below `min_amount`; or its reason for having none."""
        if not order.credits:
            order.reason = "no_touch"
        elif order.amount is None and needs_amount(order.rule):
            order.reason = "amount_missing"
        elif below_min_amount(order.rule, order.amount, EXPONENTS[order.currency]):
            order.reason = "below_min_amount"
        if order.reason in ("no_touch", "amount_missing"):
            return []
        shares, platform = price(self.credited(order))
        lines = [Line(*share, amount, amount) for share, amount in shares.items()]
        return lines + [Line("", 0, "", platform, platform)]

    def over_budget(self, order: Order, pool: int) -> bool:
        """Decided: what pays nothing passes nothing."""
        if "daily_budget" not in order.rule or not pool:
            return False
        return self.spent_of_budget(order) + pool > units(order.rule["daily_budget"], EXPONENTS[order.currency])

    def accrue(self, order: Order) -> None:
        entries = [(account(line, "pending"), line.standing) for line in order.lines]
        entries.append((f"merchant:{order.merchant}:payable", -order.pool))
        self.post("accrue", order.key, order.currency, entries)

    # --- falling ---

    def stand_at(self, order: Order, step: str, standing: list[int]) -> None:
        """Lets each line fall to where it now stands; the difference goes back to the merchant, out of pending
        before release, out of available after it. One transfer a line."""
        for line, target in zip(order.lines, standing, strict=True):
            less = line.standing - target
            assert less >= 0, (order.key, line, target)
            if line.promoter and order.released:
                out = self.out_of_available(line.promoter, order.currency, less)
            else:
                out = [(account(line, "pending"), -less)]
            self.post(step, order.key, order.currency, [*out, (f"merchant:{order.merchant}:payable", less)])
            line.standing = target

    def reverse(self, order: Order, step: str) -> None:
        """After refunds of R in all every line stands at floor(original x (amount - R) / amount), or at what its
        second look left it where that is less; at 0 where the order no longer stands."""
        refunded = [after_refunds(line.original, order.amount, order.refunded) for line in order.lines]
        self.stand_at(order, step, refunded if order.stands else [0] * len(order.lines))

    def unbook(self, order: Order) -> None:
        """Takes a pending order out of the books, to be booked anew."""
        self.stand_at(order, "unbook", [0] * len(order.lines))
        order.lines, order.booked, order.credit = [], 0, Credit()

    def second_look(self, order: Order) -> list[int]:
        """Each line's original at release, of a tiered rule: the totals over what now stands of the orders booked
        before this one, the new pool split anew, and of that and the old original the smaller."""
        if not is_tiered(order.rule):
            return [line.original for line in order.lines]
        shares, platform = price(self.credited(order))
        new = [shares.get((x.promoter, x.level, x.via), 0) if x.promoter else platform for x in order.lines]
        return [min(line.original, part) for line, part in zip(order.lines, new, strict=True)]

    def after_second_look(self, order: Order) -> list[int]:
        """Where each line then stands, after refunds. Since flooring keeps order, that is the smaller of what it
        stands at and floor(new part x (amount - R) / amount)."""
        return [after_refunds(original, order.amount, order.refunded) for original in self.second_look(order)]


def account(line: Line, place: str) -> str:
    return f"promoter:{line.promoter}:{place}" if line.promoter else "platform:revenue"
