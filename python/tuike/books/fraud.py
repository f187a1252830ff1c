"""Looks at an order with a product's fraud rules, once, when it is first booked (core_rs/src/fraud.rs has the rules).

What it compares comes from the touch store and the tables as they are then, so nothing need be remembered; what it
finds stands in the booked record, and nobody finds it again. An order's flags hold its money, and delete nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypedDict
from urllib.parse import urlsplit

from sqlalchemy import bindparam, func, literal_column, select

from tuike.books.booking import Desk
from tuike.books.records import Booked, Conversion, Finding, Message, Purchase
from tuike.books.state import Product
from tuike.books.touches import Attribution, Candidate, Touches
from tuike.stores.bulk import NONE, Lookup
from tuike.stores.rollups import HOUR_S
from tuike.stores.schema import promoter_hours, promoter_purchases, sales

MAX_PROMOTERS = 8
"""Of more promoters that an order is credited to, those with the newest touches are looked at."""
HOURS_BACK = 168
REFUND_DAYS = 30
MAX_ORDERS = 200
"""Of a promoter's orders in `REFUND_DAYS` the newest say how many come to nothing."""
MAX_SELLERS = 64
"""Of the promoters whom one has bought from, so many are followed for a ring."""
CLICKED = ("click", "binding")

_hours = (
    select(promoter_hours.c.hour, func.sum(promoter_hours.c.clicks))
    .where(
        promoter_hours.c.promoter == bindparam("whose"),
        promoter_hours.c.merchant == bindparam("of"),
        promoter_hours.c.hour >= bindparam("since"),
        promoter_hours.c.hour <= bindparam("until"),
    )
    .group_by(promoter_hours.c.hour)
    .order_by(promoter_hours.c.hour)
)
HOURS = Lookup(_hours, ("whose", "of", "since", "until"))
NEWEST_SALES = Lookup(
    select(sales.c.net)
    .where(
        sales.c.promoter == bindparam("whose"),
        sales.c.currency == bindparam("currency"),
        sales.c.day > bindparam("since"),
        sales.c.day <= bindparam("until"),
    )
    .order_by(sales.c.day.desc(), sales.c.merchant.desc(), sales.c.conversion.desc())
    .limit(literal_column(str(MAX_ORDERS)))
    .offset(NONE),
    ("whose", "currency", "since", "until"),
)
SELLERS = Lookup(
    select(promoter_purchases.c.promoter)
    .where(promoter_purchases.c.merchant == bindparam("of"), promoter_purchases.c.buyer == bindparam("who"))
    .order_by(promoter_purchases.c.promoter)
    .limit(literal_column(str(MAX_SELLERS)))
    .offset(NONE),
    ("of", "who"),
)


class Facts(TypedDict):
    """As `_core.FraudRules` takes them; core_rs/src/fraud.rs has the words."""

    since_click: int | None
    address_clicks: int
    devices: int
    clicks_before: int
    fingerprint_visitors: int
    agents: int
    hour: int
    hours: list[int]
    orders: int
    undone: int
    related: bool
    ring: int
    datacentre: bool
    own_site: bool


class Inspector(Protocol):
    """Who says what is wrong with an order that is to be booked."""

    def look(self, order: Message, conversion: Conversion, found: Attribution) -> Sequence[Finding]: ...


class Recorded:
    """Says what a booked record said: for who decides an order again."""

    def __init__(self) -> None:
        self._findings: Sequence[Finding] = ()

    def note(self, record: Booked) -> None:
        flags = record.effect.flags if record.effect is not None else ()
        self._findings = [Finding(flag.rule, flag.score, flag.promoter, flag.evidence) for flag in flags]

    def look(self, order: Message, conversion: Conversion, found: Attribution) -> Sequence[Finding]:
        return self._findings


class Fraud:
    """The inspector of the one bookkeeper: `begin` with each transaction, `take` whatever is decided in it."""

    def __init__(self, desk: Desk, touches: Touches) -> None:
        self._desk = desk
        self._touches = touches
        self._hours: dict[tuple[str, str, int], tuple[int, list[int]]] = {}
        self._refunds: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._purchases: dict[tuple[str, str], set[str]] = {}  # decided in this transaction, and in no table yet

    def begin(self) -> None:
        self._hours.clear()
        self._refunds.clear()
        self._purchases.clear()

    def take(self, purchases: Iterable[Purchase]) -> None:
        """What was decided, and will be posted in this transaction."""
        for made in purchases:
            self._purchases.setdefault((made.merchant, made.buyer), set()).add(made.promoter)

    def look(self, order: Message, conversion: Conversion, found: Attribution) -> Sequence[Finding]:
        """What the product's rules find, of each rule the worst, in the order of the rules."""
        product = self._desk.registry.products[conversion.product]
        if product.fraud.off:
            return ()
        worst: dict[str, Finding] = {}
        for touch in _newest(found.candidates):
            facts, more = self._facts(order, conversion, product, touch, found.own)
            for rule, score, value, limit in product.fraud.judge(facts):
                if rule not in worst or worst[rule].score < score:
                    evidence = {"value": value, "limit": limit} | more
                    worst[rule] = Finding(rule, score, touch.promoter, evidence)
        return list(worst.values())

    def _facts(
        self, order: Message, conversion: Conversion, product: Product, touch: Candidate, own: Sequence[str]
    ) -> tuple[Facts, dict[str, Any]]:
        """What is known about one promoter's credit, and what of it a person wants to see beside a rule's number. What
        the tables would have to be asked for a rule that is off stays 0."""
        registry = self._desk.registry
        clicked = touch.kind in CLICKED
        asks = product.fraud_on
        seen = self._touches.seen(
            merchant=conversion.merchant,
            click=touch.id if clicked else "",
            visitor=order.visitor,
            cust=order.cust,
            did=order.did,
            since=max(0, order.at - product.attribution.window),
            at=order.at,
            most=product.most_counted,
        )
        prefix, referrer = seen["prefix"], seen["referrer"]
        hour, hours, orders, undone, ring = 0, list[int](), 0, 0, 0
        if clicked and "max_flood_score" in asks:
            hour, hours = self._hour(touch.promoter, conversion.merchant, touch.at)
        if "max_refund_percent" in asks:
            orders, undone = self._refunded(touch.promoter, conversion.currency, conversion.day)
        if "self_referral" in asks:
            ring = self._ring(conversion.merchant, own, touch.promoter)
        facts = Facts(
            since_click=order.at - touch.at if clicked else None,
            address_clicks=seen["address_clicks"],
            devices=seen["devices"],
            clicks_before=seen["clicks_before"],
            fingerprint_visitors=seen["fingerprint_visitors"],
            agents=seen["agents"],
            hour=hour,
            hours=hours,
            orders=orders,
            undone=undone,
            related=any(self._related(buyer, touch.promoter, order.at) for buyer in own),
            ring=ring,
            datacentre=bool(prefix) and registry.in_datacentre(prefix),
            own_site=bool(referrer) and urlsplit(referrer).hostname in product.hosts,
        )
        shown = {"touch": touch.id, "prefix": prefix, "referrer": referrer, "buyers": list(own)}
        return facts, {name: value for name, value in shown.items() if value}

    def _hour(self, promoter: str, merchant: str, at: int) -> tuple[int, list[int]]:
        """The promoter's clicks in the hour of `at` (ms), and in each hour of the week before it, from the first in
        which there were any."""
        now = at // 1000 // HOUR_S * HOUR_S
        key = promoter, merchant, now
        if key not in self._hours:
            since = now - HOURS_BACK * HOUR_S
            rows = HOURS.rows(self._desk.connection, promoter, merchant, since, now)
            clicks = {int(hour): int(count) for hour, count in rows}
            first = min(clicks, default=now)
            self._hours[key] = clicks.get(now, 0), [clicks.get(hour, 0) for hour in range(first, now, HOUR_S)]
        return self._hours[key]

    def _refunded(self, promoter: str, currency: str, day: int) -> tuple[int, int]:
        """Of the promoter's newest orders how many there are, and how many of them count nothing any more, as they
        stood before what is decided together with this one."""
        key = promoter, currency, day
        if key not in self._refunds:
            rows = NEWEST_SALES.rows(self._desk.connection, promoter, currency, day - REFUND_DAYS, day)
            self._refunds[key] = len(rows), sum(not net for (net,) in rows)
        return self._refunds[key]

    def _related(self, buyer: str, promoter: str, instant: int) -> bool:
        """Whether who buys is the same person, or stands above whom he buys from and earns by it: one who buys through
        the member who invited him is an ordinary customer."""
        registry = self._desk.registry
        if registry.person(buyer) == registry.person(promoter):
            return True
        return buyer in registry.chain(promoter, instant, registry.max_levels)

    def _ring(self, merchant: str, buyers: Sequence[str], promoter: str) -> int:
        """How many promoters are in the smallest circle, of two or three, that buys in turn from one another."""
        if not buyers:
            return 0
        sellers = self._sellers(merchant, promoter)
        if not sellers.isdisjoint(buyers):
            return 2
        second = (self._sellers(merchant, seller) for seller in sorted(sellers)[:MAX_SELLERS])
        return 0 if all(further.isdisjoint(buyers) for further in second) else 3

    def _sellers(self, merchant: str, buyer: str) -> set[str]:
        kept = {promoter for (promoter,) in SELLERS.rows(self._desk.connection, merchant, buyer)}
        return kept | self._purchases.get((merchant, buyer), set())


def purchases_of(conversion: Conversion, found: Attribution) -> tuple[Purchase, ...]:
    """What an order of promoters' own, credited to others, says about them."""
    sellers = [touch.promoter for touch in _newest(found.candidates)] if found.own else []
    return tuple(
        Purchase(conversion.merchant, buyer, seller, conversion.number) for buyer in found.own for seller in sellers
    )


def bad_touches_of(conversion: Conversion) -> tuple[tuple[str, int], ...]:
    """The clicks and views that an order was credited to."""
    candidates: Sequence[dict[str, Any]] = conversion.evidence.get("candidates", ())
    credited = [touch for touch in candidates if touch.get("weight") and touch["kind"] not in ("coupon", "aff")]
    return tuple((touch["id"], conversion.number) for touch in credited)


def _newest(candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """Of each promoter that is credited the newest touch, the newest first."""
    promoters: set[str] = set()
    for touch in reversed(candidates):
        if touch.weight and touch.promoter not in promoters and len(promoters) < MAX_PROMOTERS:
            promoters.add(touch.promoter)
            yield touch
