"""What booking an order does: its row and shares, its transfers, its lines in the reports.

Three effects, each a function from what stands to what shall stand: `accrue`, `reverse` and `keep`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from tuike.books.candidates import Attribution
from tuike.books.records import Conversion, Delta, Outcome, Share, Standing, Transfer
from tuike.books.split import split
from tuike.books.state import Registry

QUARTER_HOUR_MS = 900_000


@dataclass(frozen=True, slots=True)
class Effect:
    """How an order shall stand, and what moves for it; `code` says what of the message was set aside."""

    standing: Standing
    transfers: tuple[Transfer, ...] = ()
    deltas: tuple[Delta, ...] = ()
    code: str = ""


def keep(standing: Standing, **changes: Any) -> Effect:
    """Changes the row alone: no money moves."""
    return Effect(Standing(msgspec.structs.replace(standing.conversion, **changes), standing.shares))


def accrue(registry: Registry, conversion: Conversion, attribution: Attribution) -> Effect | Outcome:
    """Books the order's commission to whom it is credited; refused where the rule cannot say what it pays."""
    generation = conversion.evidence.get("generation", 0) + 1
    evidence = conversion.evidence | {
        "generation": generation,
        "found_by": attribution.found_by,
        "candidates": msgspec.to_builtins(attribution.candidates),
    }
    credits = attribution.credits()
    if not credits:
        return Effect(Standing(msgspec.structs.replace(conversion, reason="no_touch", evidence=evidence), ()))
    version = registry.products[conversion.product].rule_at(conversion.at)
    try:
        rule = version.rule(conversion.currency)
    except ValueError as error:
        code, _, detail = str(error).partition(": ")
        return Outcome.refused(code, f"the commission rule cannot pay in {conversion.currency}: {detail}")
    parts = split(
        rule,
        conversion.amount,
        conversion.at,
        credits,
        lambda promoter: registry.chain(promoter, conversion.at, rule.levels),
        registry.pays,
    )
    if parts is None:
        return Outcome.refused("amount_missing", "the commission rule needs an amount and the order has none")
    booked = msgspec.structs.replace(
        conversion,
        reason="below_min_amount" if rule.below_min_amount(conversion.amount) else "",
        rule_version=version.version,
        evidence=evidence | {"pool": parts.pool, "split": parts.steps},
    )
    lines = [(_pending(share), share.amount) for share in parts.shares]
    transfers = _transfer(booked, "accrue", f"accrue:{generation}", lines)
    standing = Standing(booked, parts.shares)
    return Effect(standing, transfers, deltas(standing, attribution, 1, booked.amount or 0, commission(parts.shares)))


def reverse(standing: Standing, refunded: int, step: str, status: str, **changes: Any) -> Effect:
    """Takes back what an order does not earn once `refunded` of its amount is; `rejected` takes back all.

    Each share falls to floor(original x (amount - refunded) / amount); what it stood above that goes back
    to the merchant.
    """
    conversion = standing.conversion
    amount = conversion.amount or 0
    left = 0 if status == "rejected" else amount - refunded
    shares = tuple(
        msgspec.structs.replace(share, amount=share.original * left // amount if left else 0)
        for share in standing.shares
    )
    falls = [
        (_pending(share), share.amount - before.amount) for share, before in zip(shares, standing.shares, strict=True)
    ]
    after = Standing(msgspec.structs.replace(conversion, status=status, refunded=refunded, **changes), shares)
    transfers = _transfer(conversion, "reverse", step, falls)
    if not standing.credited:
        return Effect(after, transfers)
    count = -1 if status == "rejected" else 0
    sales = left - (amount - conversion.refunded)
    fall = commission(shares) - commission(standing.shares)
    return Effect(after, transfers, deltas(after, attribution_of(conversion), count, sales, fall))


def rebook(registry: Registry, standing: Standing, **changes: Any) -> Effect | Outcome:
    """Books a pending order anew, with another amount: credited to the same touches."""
    conversion = msgspec.structs.replace(standing.conversion, **changes)
    anew = accrue(registry, conversion, attribution_of(conversion))
    if isinstance(anew, Outcome):
        return anew
    undone = reverse(standing, 0, f"reverse:{standing.conversion.evidence['generation']}", "rejected")
    return Effect(anew.standing, undone.transfers + anew.transfers, undone.deltas + anew.deltas)


def refund_step(refund_id: str) -> str:
    """The step of a partial refund: its name may be longer than a transfer's id."""
    return "refund:" + hashlib.sha256(refund_id.encode()).hexdigest()[:32] if refund_id else "refund"


def attribution_of(conversion: Conversion) -> Attribution:
    """What the order was credited by, from its evidence."""
    kept = {"found_by": "", "candidates": ()} | conversion.evidence
    return msgspec.convert({name: kept[name] for name in ("found_by", "candidates")}, Attribution)


def commission(shares: Iterable[Share]) -> int:
    """What the promoters' lines come to."""
    return sum(share.amount for share in shares if share.promoter)


def deltas(standing: Standing, attribution: Attribution, count: int, sales: int, paid: int) -> tuple[Delta, ...]:
    """Report lines of a credited order: one for all, one for each label that its main touch carried."""
    conversion, top = standing.conversion, attribution.top
    if top is None or not (count or sales or paid):
        return ()
    bucket = conversion.at // QUARTER_HOUR_MS * QUARTER_HOUR_MS // 1000
    labels = [(0, ""), *((number, label) for number, label in enumerate(top.labels, start=1) if label)]
    return tuple(
        Delta(
            bucket,
            conversion.merchant,
            conversion.product,
            top.promoter,
            top.channel,
            number,
            label,
            conversion.currency,
            count,
            sales,
            paid,
        )
        for number, label in labels
    )


def _pending(share: Share) -> str:
    return f"promoter:{share.promoter}:pending" if share.promoter else "platform:revenue"


def _transfer(conversion: Conversion, kind: str, step: str, lines: list[tuple[str, int]]) -> tuple[Transfer, ...]:
    """From the merchant to the lines, or back where they are negative; nothing where nothing moves."""
    moved = [(account, amount) for account, amount in lines if amount]
    if not moved:
        return ()
    payable = (f"merchant:{conversion.merchant}:payable", -sum(amount for _, amount in moved))
    id = f"{conversion.id}:{step}"
    return (Transfer(id, kind, conversion.id, conversion.currency, conversion.at, (payable, *moved)),)
