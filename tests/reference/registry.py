"""What the books know: merchants, products and their rules, promoters, coupons, touches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from reference.attribution import Settings, Touch, confirmed
from reference.money import CEILING, EXPONENTS
from reference.refusals import refusal
from reference.rules import Rule
from reference.tree import Tree


@dataclass
class Merchant:
    currency: str
    timezone: str
    settlement: str
    refund_days: int
    release_when: str  # "hold" | "funded"


@dataclass
class Product:
    merchant: str
    hold_days: int
    pixel_conversions: str
    attribution: Settings
    rules: list[tuple[int, Rule, Fraction]] = field(default_factory=list)  # (effective_from, rule, ceiling) as written

    def version(self, at: int) -> int:
        """The place of the version in force at an instant: the newest effective by then, of equal ones the last
        written; for an order older than the first, the first."""
        began = [(since, place) for place, (since, *_) in enumerate(self.rules)]
        effective = [version for version in began if version[0] <= at]
        return max(effective)[1] if effective else min(began)[1]


@dataclass
class Promoter:
    """`customers`: (merchant, cust); `visitors`: those once signed in as him; `person`: "" is nobody but himself."""

    kind: str
    scheme: str
    percent: str
    person: str
    gap: str
    customers: set[tuple[str, str]] = field(default_factory=set)
    visitors: set[str] = field(default_factory=set)
    blocked: bool = False


class Registry:
    """Every method returns the reason code, "" for done. Settings count as they are when an order is booked; only
    rules and parents have versions."""

    def __init__(self) -> None:
        self.merchants: dict[str, Merchant] = {}
        self.products: dict[str, Product] = {}
        self.promoters: dict[str, Promoter] = {}
        self.tree = Tree()
        self.coupons: dict[tuple[str, str], str] = {}
        self.touches: list[Touch] = []
        self.clicked_product: dict[str, str] = {}  # click id → product

    def merchant(
        self,
        merchant: str,
        *,
        currency: str = "CNY",
        timezone: str = "UTC",
        settlement: str = "T+1",
        refund_days: int = 0,
        release_when: str = "hold",
    ) -> str:
        """A merchant, written anew where it is there."""
        self.merchants[merchant] = Merchant(currency, timezone, settlement, refund_days, release_when)
        return ""

    def product(
        self,
        product: str,
        *,
        merchant: str,
        commission: Rule,
        ceiling: Fraction = CEILING,
        now: int = 0,
        hold_days: int = 0,
        pixel_conversions: str = "hold",
        attribution: Mapping[str, Any] | None = None,
    ) -> str:
        if product in self.products:
            return "exists"
        if merchant not in self.merchants:
            return "unknown_merchant"
        if code := refusal(commission, EXPONENTS[self.merchants[merchant].currency], ceiling):
            return code
        settings = Settings.of(attribution or {})
        self.products[product] = Product(merchant, hold_days, pixel_conversions, settings, [(now, commission, ceiling)])
        return ""

    def change_product(
        self,
        product: str,
        *,
        hold_days: int | None = None,
        pixel_conversions: str | None = None,
        attribution: Mapping[str, Any] | None = None,
    ) -> str:
        """What is given is from now on as given (`attribution` as a whole)."""
        if product not in self.products:
            return "unknown_product"
        its = self.products[product]
        its.hold_days = its.hold_days if hold_days is None else hold_days
        its.pixel_conversions = pixel_conversions or its.pixel_conversions
        its.attribution = its.attribution if attribution is None else Settings.of(attribution)
        return ""

    def rule(self, product: str, rule: Rule, *, effective_from: int, now: int, ceiling: Fraction = CEILING) -> str:
        """A version of a product's rule. Decided: it keeps the platform's ceiling as it is when it is written."""
        if product not in self.products:
            return "unknown_product"
        if code := refusal(rule, EXPONENTS[self.merchants[self.products[product].merchant].currency], ceiling):
            return code
        if effective_from < now:
            return "effective_in_past"
        self.products[product].rules.append((effective_from, rule, ceiling))
        return ""

    def promoter(
        self,
        promoter: str,
        *,
        parent: str | None = None,
        kind: str = "member",
        scheme: str = "none",
        percent: str = "0",
        person: str = "",
        gap: str = "restart",
        customers: Sequence[tuple[str, str]] = (),
    ) -> str:
        """`scheme`, `percent`, `person`, `gap`: the promoter's `tax` object."""
        if code := self.tree.add(promoter, parent):
            return code
        self.promoters[promoter] = Promoter(kind, scheme, percent, person, gap, set(customers))
        return ""

    def change_promoter(
        self,
        promoter: str,
        *,
        blocked: bool | None = None,
        scheme: str | None = None,
        percent: str | None = None,
        person: str | None = None,
        gap: str | None = None,
        customers: Sequence[tuple[str, str]] | None = None,
    ) -> str:
        if promoter not in self.promoters:
            return "unknown_promoter"
        its = self.promoters[promoter]
        its.blocked = its.blocked if blocked is None else blocked
        its.scheme = its.scheme if scheme is None else scheme
        its.percent = its.percent if percent is None else percent
        its.person = its.person if person is None else person
        its.gap = its.gap if gap is None else gap
        its.customers = its.customers if customers is None else set(customers)
        return ""

    def set_parent(self, promoter: str, parent: str | None, *, at: int) -> str:
        return self.tree.set_parent(promoter, parent, at) or ""

    def bind(self, promoter: str, parent: str, *, at: int) -> str:
        """The first parent stands."""
        if promoter not in self.promoters:
            return "unknown_promoter"
        if parent not in self.promoters:
            return "unknown_parent"
        if self.tree.parent(promoter) is not None:
            return "already_bound"
        return self.tree.set_parent(promoter, parent, at) or ""

    def signed_in(self, promoter: str, visitor: str) -> str:
        if promoter not in self.promoters:
            return "unknown_promoter"
        self.promoters[promoter].visitors.add(visitor)
        return ""

    def coupon(self, coupon: str, *, merchant: str, promoter: str) -> str:
        """A promoter's coupon at one merchant; the first to have it keeps it."""
        if merchant not in self.merchants:
            return "unknown_merchant"
        if promoter not in self.promoters:
            return "unknown_promoter"
        if self.coupons.setdefault((merchant, coupon), promoter) != promoter:
            return "exists"
        return ""

    def touch(
        self,
        id: Any,
        *,
        at: int,
        pid: str,
        aff: str,
        kind: str = "click",
        click: str = "",
        visitor: str = "",
        cust: str = "",
        did: str = "",
        fingerprint: str = "",
        dest: str = "",
        bot: bool = False,
        prefetch: bool = False,
        fraud: bool = False,
    ) -> str:
        """A click or a view, as soon as it is known (orders booked before know nothing of it)."""
        if pid not in self.products:
            return "unknown_product"
        if aff not in self.promoters:
            return "unknown_promoter"
        merchant = self.products[pid].merchant
        seen = (kind, click, visitor, cust, did, fingerprint, dest, bot, prefetch, fraud)
        self.touches.append(Touch(id, at, merchant, aff, *seen))
        if click:
            self.clicked_product[click] = pid
        return ""

    def confirm_fraud(self, id: Any) -> str:
        """A touch is confirmed fraud; what is booked stays booked."""
        if not any(touch.id == id for touch in self.touches):
            return "unknown_touch"
        self.touches = [confirmed(touch) if touch.id == id else touch for touch in self.touches]
        return ""

    def click_visitor(self, click: str) -> str:
        """The visitor of a click, "" where there is none."""
        return next((touch.visitor for touch in self.touches if click and touch.click == click), "")

    def bought(self, promoter: str, merchant: str, cust: str, visitor: str, at: int) -> bool:
        """Whether an order is the promoter's own: its `cust` is in his `customers` for that merchant, or its visitor
        once signed in as him. Decided: he did where a hit of that visitor at the merchant, no later than the order,
        carries such a `cust`."""
        his = self.promoters[promoter]
        hits = [t for t in self.touches if visitor and t.visitor == visitor and t.merchant == merchant and t.at <= at]
        custs = {cust, *(hit.cust for hit in hits)} - {""}
        return any((merchant, one) in his.customers for one in custs) or bool(visitor and visitor in his.visitors)

    def same_person(self, a: str, b: str) -> bool:
        return a == b or bool(self.promoters[a].person and self.promoters[a].person == self.promoters[b].person)
