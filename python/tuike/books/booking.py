"""What booking an order does: its row and shares, its transfers, its lines in sales and reports.

Each effect is a function from what stands to what shall stand: `accrue`, `reverse`, `rebook`, `approve`, `release`
and `keep`.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from tuike import _core
from tuike.books.ledger import REVENUE, Ledger, payable, promoters
from tuike.books.path_ends import PathEnds
from tuike.books.periods import DAY_MS, release_instant
from tuike.books.records import (
    Conversion,
    Delta,
    Effect,
    Funding,
    Outcome,
    PathEnd,
    Sale,
    Share,
    Spent,
    Standing,
    Tier,
    Transfer,
)
from tuike.books.split import WEIGHT_UNIT, Credit, Split, split, split_again
from tuike.books.state import Registry
from tuike.books.totals import QUARTER_HOUR_MS, Totals
from tuike.books.touches import Attribution

Line = tuple[str, int]


@dataclass(slots=True)
class Desk:
    """What decisions about money are taken from; `connection` is the transaction in which they will be posted."""

    connection: Connection
    registry: Registry
    ledger: Ledger
    totals: Totals
    path_ends: PathEnds

    def begin(self, connection: Connection) -> None:
        self.connection = connection
        self.ledger.begin(connection)
        self.totals.begin(connection)
        self.path_ends.begin(connection)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the books a decision stands: its number, and when what it follows was received."""

    number: int
    received: int


def keep(standing: Standing, **changes: Any) -> Effect:
    """Changes the row alone: no money moves."""
    return Effect(Standing(msgspec.structs.replace(standing.conversion, **changes), standing.shares))


def accrue(
    desk: Desk, conversion: Conversion, attribution: Attribution, place: Place, *, forced: bool = False
) -> Effect | Outcome:
    """Books the order's commission to whom it is credited; refused where the rule cannot say what it pays.

    An order that would pass the daily budget is held whole, unless it is `forced`."""
    generation = conversion.evidence.get("generation", 0) + 1
    evidence = conversion.evidence | {"generation": generation, "booked": place.number}
    evidence |= msgspec.to_builtins(attribution)
    weights = attribution.credits()
    if not weights:
        return Effect(Standing(msgspec.structs.replace(conversion, reason="no_touch", evidence=evidence), ()))
    version = desk.registry.products[conversion.product].rule_at(conversion.at)
    try:
        rule = version.rule(conversion.currency)
    except ValueError as error:
        code, _, detail = str(error).partition(": ")
        return Outcome.refused(code, f"the commission rule cannot pay in {conversion.currency}: {detail}")
    credits, tiers = _credits(desk, conversion, rule, weights, attribution.own)
    parts = split(rule, conversion.amount, conversion.at, credits)
    if parts is None:
        return Outcome.refused("amount_missing", "the commission rule needs an amount and the order has none")
    budget = rule.daily_budget
    evidence |= {"pool": parts.pool, "split": parts.steps}
    if budget is not None:
        evidence["budget"] = budget
        spent = desk.totals.budget(conversion.product, conversion.currency, conversion.day)
        if parts.pool and spent + parts.pool > budget and not forced:
            held = evidence | {"held": True}
            after = msgspec.structs.replace(conversion, status="pending", reason="budget", evidence=held)
            return Effect(Standing(after, ()), tiers=tiers)
    flagged = "fraud" if "fraud" in conversion.evidence else ""
    booked = msgspec.structs.replace(
        conversion,
        reason="below_min_amount" if rule.below_min_amount(conversion.amount) else flagged,
        rule_version=version.version,
        evidence=evidence,
    )
    return _accrued(desk, booked, parts, attribution, tiers, place)


def _credits(
    desk: Desk, conversion: Conversion, rule: _core.Rule, weights: Sequence[tuple[str, int]], own: Sequence[str]
) -> tuple[list[Credit], tuple[Tier, ...]]:
    """What the rule asks of each promoter at the order's instant, and tiers that this order is the first to ask for."""
    registry, totals = desk.registry, desk.totals
    merchant, currency, day = conversion.merchant, conversion.currency, conversion.day
    credits: list[Credit] = []
    fixed: list[Tier] = []
    for promoter, weight in weights:
        total = totals.month(promoter, merchant, currency, day) if rule.needs_total else 0
        tier, row = totals.tier(promoter, currency, day)
        if row is not None:
            fixed.append(row)
        chain = registry.chain(promoter, conversion.at, rule.levels)
        unpaid = registry.unpaid(chain, own)
        present = [not why for why in unpaid]
        kind = registry.promoters[promoter].kind
        credits.append(Credit(promoter, kind, weight, total, tier, chain, present, () if all(present) else unpaid))
    return credits, tuple(fixed)


def _accrued(
    desk: Desk, booked: Conversion, parts: Split, attribution: Attribution, tiers: tuple[Tier, ...], place: Place
) -> Effect:
    lines = [(_purse(share, "pending"), share.amount) for share in parts.shares]
    spent: tuple[Spent, ...] = ()
    if "budget" in booked.evidence and parts.pool:
        spent = (Spent(booked.product, booked.currency, booked.day, parts.pool),)
    path_ends: tuple[PathEnd, ...] = ()
    if attribution.visitor:
        path_ends = (PathEnd(booked.merchant, attribution.visitor, booked.at, booked.number),)
    effect = Effect(
        Standing(booked, parts.shares),
        transfers=_transfer(booked, "accrue", f"accrue:{booked.evidence['generation']}", lines),
        deltas=deltas(booked, attribution, 1, booked.amount or 0, commission(parts.shares)),
        sales=_sales(booked, 0, booked.amount or 0),
        tiers=tiers,
        spent=spent,
        path_ends=path_ends,
    )
    return due(desk, effect, place) if booked.status == "approved" else effect


def due(desk: Desk, effect: Effect, approved: Place) -> Effect:
    """Says when an order that is approved now may be released, where it is credited: what is the platform's alone
    counts against the merchant's payments in as well."""
    standing = effect.standing
    assert standing is not None
    conversion = standing.conversion
    if not standing.shares:
        return effect
    merchant = desk.registry.merchants[conversion.merchant]
    days = max(desk.registry.products[conversion.product].hold_days, merchant.refund_days)
    hold_ends = max(conversion.at, approved.received) + days * DAY_MS
    instant = release_instant(hold_ends, merchant.settlement, merchant.timezone)
    after = Standing(msgspec.structs.replace(conversion, due=instant), standing.shares)
    return msgspec.structs.replace(effect, standing=after, due=((instant, conversion.number),))


def approve(desk: Desk, standing: Standing, place: Place, **changes: Any) -> Effect:
    """A pending order that has accrued is approved: no money moves, and its hold begins."""
    return due(desk, keep(standing, status="approved", **changes), place)


def reverse(desk: Desk, standing: Standing, refunded: int, step: str, status: str, **changes: Any) -> Effect:
    """Takes back what an order does not earn once `refunded` of its amount is; `rejected` takes back all.

    Each share falls to floor(original x (amount - refunded) / amount); what it stood above goes back to the
    merchant."""
    conversion = standing.conversion
    amount = conversion.amount or 0
    left = 0 if status == "rejected" else amount - refunded
    shares = tuple(
        msgspec.structs.replace(share, amount=share.original * left // amount if left else 0)
        for share in standing.shares
    )
    return _fall(desk, standing, shares, left, step, status=status, refunded=refunded, **changes)


def rebook(desk: Desk, standing: Standing, place: Place, **changes: Any) -> Effect | Outcome:
    """Books a pending order anew, with another amount: credited to the same touches."""
    undone = reverse(desk, standing, 0, f"reverse:{standing.conversion.evidence['generation']}", "rejected")
    # what it sold and spent itself is not to count before it
    desk.totals.take(undone)
    conversion = msgspec.structs.replace(standing.conversion, **changes)
    anew = accrue(desk, conversion, attribution_of(conversion), place)
    desk.totals.take(_opposite(undone))
    return anew if isinstance(anew, Outcome) else undone.then(anew)


def second_look(desk: Desk, standing: Standing) -> Effect | None:
    """At its release an order under a tiered rule is rated again by what stands of the sales before it. Where that
    makes less, each share's original falls to its new part, and the difference is reversed; None where it does not."""
    conversion = standing.conversion
    version = desk.registry.products[conversion.product].version(conversion.rule_version)
    before = (conversion.merchant, conversion.currency, conversion.day, conversion.evidence["booked"])
    steps = conversion.evidence["split"]
    totals = [desk.totals.month_before(step["promoter"], *before) for step in steps]
    if totals == [step["total"] for step in steps]:
        return None
    again = [step | {"total": total} for step, total in zip(steps, totals, strict=True)]
    parts = split_again(version.rule(conversion.currency), conversion.amount, conversion.at, again)
    assert parts is not None
    if parts.pool >= conversion.evidence["pool"]:
        return None
    amount, left = conversion.amount or 0, (conversion.amount or 0) - conversion.refunded
    originals = [min(share.original, new.original) for share, new in zip(standing.shares, parts.shares, strict=True)]
    shares = tuple(
        msgspec.structs.replace(share, original=original, amount=original * left // amount if left else 0)
        for share, original in zip(standing.shares, originals, strict=True)
    )
    # no more of the arithmetic: the evidence of an order with many touches fills an event nearly alone
    look = {"pool": parts.pool, "totals": totals, "originals": originals}
    evidence = conversion.evidence | {"second_look": look}
    return _fall(desk, standing, shares, left, "second_look", evidence=evidence)


def into_available(ledger: Ledger, promoter: str, currency: str, amount: int) -> list[Line]:
    """The entries of what enters a promoter's available money: what is owed is taken from it first."""
    taken = min(amount, -ledger.balance(promoters(promoter, "owed"), currency))
    lines = [(promoters(promoter, "owed"), taken), (promoters(promoter, "available"), amount - taken)]
    return [line for line in lines if line[1]]


def out_of_available(ledger: Ledger, promoter: str, currency: str, amount: int) -> list[Line]:
    """The entries of what is taken back from a promoter's available money: what is not there is owed."""
    taken = min(amount, ledger.balance(promoters(promoter, "available"), currency))
    lines = [(promoters(promoter, "available"), -taken), (promoters(promoter, "owed"), taken - amount)]
    return [line for line in lines if line[1]]


def _fall(desk: Desk, standing: Standing, shares: tuple[Share, ...], left: int, step: str, **changes: Any) -> Effect:
    """The order's shares fall to `shares`, and its sales to `left`."""
    conversion = standing.conversion
    after = msgspec.structs.replace(conversion, **changes)
    now = by_promoter(shares)
    lines: list[Line] = []
    for promoter, amount in by_promoter(standing.shares).items():
        fall = amount - now.get(promoter, 0)
        if not promoter:
            lines.append((REVENUE, -fall))
        elif conversion.released:
            lines += out_of_available(desk.ledger, promoter, conversion.currency, fall)
        else:
            lines.append((promoters(promoter, "pending"), -fall))
    effect = Effect(Standing(after, shares), transfers=_transfer(conversion, "reverse", step, lines))
    if not standing.shares:
        return effect
    waited = conversion.due and not conversion.released and after.status in ("rejected", "refunded")
    stood = (conversion.amount or 0) - conversion.refunded
    fallen = sum(share.amount for share in shares) - sum(share.amount for share in standing.shares)
    return msgspec.structs.replace(
        effect,
        deltas=deltas(
            conversion,
            attribution_of(conversion),
            -1 if after.status == "rejected" else 0,
            left - stood,
            commission(shares) - commission(standing.shares),
        ),
        sales=_sales(conversion, stood, left),
        spent=(Spent(conversion.product, conversion.currency, conversion.day, fallen),)
        if "budget" in conversion.evidence and fallen
        else (),
        funding=(Funding(conversion.merchant, conversion.currency, 0, fallen),)
        if conversion.released and fallen
        else (),
        settled=((conversion.due, conversion.number),) if waited else (),
    )


def _opposite(effect: Effect) -> Effect:
    """What takes an effect on the totals back again."""
    return Effect(
        sales=tuple(msgspec.structs.replace(sale, change=-sale.change) for sale in effect.sales),
        spent=tuple(msgspec.structs.replace(spent, amount=-spent.amount) for spent in effect.spent),
    )


def refund_step(refund_id: str) -> str:
    """The step of a partial refund: its name may be longer than a transfer's step."""
    return "refund:" + hashlib.sha256(refund_id.encode()).hexdigest()[:32] if refund_id else "refund"


def attribution_of(conversion: Conversion) -> Attribution:
    """What the order was credited by, from its evidence."""
    return msgspec.convert(conversion.evidence, Attribution)


def commission(shares: Iterable[Share]) -> int:
    """What the promoters' lines come to."""
    return sum([share.amount for share in shares if share.promoter])


def deltas(conversion: Conversion, attribution: Attribution, count: int, sales: int, paid: int) -> tuple[Delta, ...]:
    """Report lines of a credited order: one for all, one for each label that its main touch carried."""
    top, labels = attribution.top, attribution.labels
    if top is None or not (count or sales or paid):
        return ()
    bucket = conversion.at // QUARTER_HOUR_MS * QUARTER_HOUR_MS // 1000
    lines = [(0, ""), *((number, label) for number, label in enumerate(labels, start=1) if label)]
    return tuple(
        Delta(
            bucket,
            conversion.merchant,
            conversion.product,
            top.promoter,
            attribution.channel,
            number,
            label,
            conversion.currency,
            count,
            sales,
            paid,
        )
        for number, label in lines
    )


def _sales(conversion: Conversion, stood: int, stands: int) -> tuple[Sale, ...]:
    """The rows of an order that counted `stood` among its promoters' sales, and now `stands`."""
    if stood == stands:
        return ()
    rows = []
    for step in conversion.evidence["split"]:
        net, before = stands * step["weight"] // WEIGHT_UNIT, stood * step["weight"] // WEIGHT_UNIT
        rows.append(
            Sale(
                step["promoter"],
                conversion.currency,
                conversion.day,
                conversion.merchant,
                conversion.number,
                conversion.evidence["booked"],
                net,
                net - before,
            )
        )
    return tuple(rows)


def by_promoter(shares: Iterable[Share]) -> dict[str, int]:
    """What the lines stand at, by promoter; the platform's under no name."""
    sums: dict[str, int] = {}
    for share in shares:
        if share.amount:
            sums[share.promoter] = sums.get(share.promoter, 0) + share.amount
    return sums


def _purse(share: Share, purse: str) -> str:
    return promoters(share.promoter, purse) if share.promoter else REVENUE


def _transfer(conversion: Conversion, kind: str, step: str, lines: list[Line]) -> tuple[Transfer, ...]:
    """From the merchant to the lines, or back where they are negative; nothing where nothing moves."""
    moved = [line for line in lines if line[1]]
    if not moved:
        return ()
    owing = (payable(conversion.merchant), -sum([amount for _, amount in moved]))
    return (Transfer(conversion.number, step, kind, conversion.currency, conversion.at, (owing, *moved)),)
