"""/v1/conversions/{id}/why: every touch that was looked at, the rule, the arithmetic of the split, what came after.

A promoter sees the own touches, the own credit's arithmetic and the own levels; of others how many there are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, select

from tuike import _core, views
from tuike.admin import auth, why_answers
from tuike.admin.auth import Actor
from tuike.admin.problems import not_found
from tuike.admin.routes import Body, Call, Route
from tuike.stores.schema import conversions, releases, rules, shares

WEIGHT_UNIT = 1_000_000_000
DECIMALS = 4
"""Of a rate in percent, and of a multiplier: both are integers of 10^-4."""

TOUCHES = {
    "": "it counts",
    "bot": "a bot",
    "rate_limited": "above a rate limit: a person looks at the order first",
    "prefetch": "the browser only fetched ahead",
    "paused": "the link, the product or the merchant was paused",
    "expired": "the link had expired",
    "unknown_product": "nobody has this product's code",
    "embedded": "not a page that a person opened",
    "view": "the product does not credit views",
    "click_counts": "a view, and a click counts",
    "view_window": "a view too long before the order",
    "collapsed": "the same promoter has a later touch close to it",
    "spent": "an earlier order of this visitor was credited for it",
    "bound": "the customer is somebody's by an earlier click",
    "own_purchase": "the promoter bought it himself",
    "confirmed_fraud": "it led to an order that was confirmed as fraud",
    "blocked_promoter": "the promoter is blocked",
    "unknown_promoter": "nobody has this promoter's code",
    "unknown_link": "nobody has this link's code",
    "too_many_touches": "of a very long path only the first and the newest count",
}
"""What a verdict on a touch means; one that is not here is the hit's own reason."""
LEVELS = {
    "": "it is paid",
    "blocked_promoter": "the promoter is blocked",
    "own_purchase": "the promoter bought it himself",
    "same_person": "the same person is paid on a lower level",
    "missing": "the chain has no such level",
}
ORDERS = {
    "": "nothing to say",
    "no_touch": "no touch counts: nobody is credited, and nothing is posted",
    "below_min_amount": "the amount is below the rule's least: nothing is paid",
    "pixel": "held: only a browser has claimed it",
    "budget": "held: it would have passed the rule's daily budget",
    "fraud": "held: fraud rules flagged it",
    "claim_conflict": "held: different visitors have claimed it",
    "rate_limited": "held: it came above a rate limit, and a person looks at it first",
}
"""What an order's reason means."""
MONEY = ("base", "main", "tier_bonus", "max_per_order", "ceiling", "pool", "part", "bonus", "platform")


async def why(call: Call) -> Body:
    return await call.read(_why, call.path("id"), call.actor)


def _why(connection: Connection, id: str, actor: Actor) -> Body:
    row = connection.execute(select(conversions).where(conversions.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"conversion {id}")
    auth.check_subject(actor.merchant_only(), row["merchant"], "conversion of merchant")
    whose = select(shares).where(shares.c.conversion == row["number"]).order_by(shares.c.position)
    lines = connection.execute(whose).mappings().all()
    only = actor.promoter_only()
    promoters = {line["promoter"] for line in lines} - {""}
    if only and only not in promoters:
        raise not_found(f"conversion {id}")
    evidence = msgspec.json.decode(row["evidence"])
    names = ("id", "order_id", "merchant", "product", "currency", "status", "model", "reason")
    return (
        {name: row[name] for name in names}
        | {
            "why": ORDERS.get(row["reason"], row["reason"]),
            "amount": _money(row, row["amount"]),
            "at": views.instant(row["at"]),
            "claims": len(evidence.get("claims", ())),
            "rule": _rule(connection, row, only),
            "others": len(promoters - {only}) if only else 0,
        }
        | _touches(evidence, only)
        | _split(row, evidence, lines, only)
        | _after(connection, row, evidence)
    )


def _rule(connection: Connection, row: RowMapping, only: str) -> Body | None:
    """The version that paid; a promoter does not see what others are paid in its place."""
    kept = select(rules).where(rules.c.product == row["product"], rules.c.version == row["rule_version"])
    version = connection.execute(kept).one_or_none()
    if version is None:
        return None
    commission = msgspec.json.decode(version.rule)
    return {
        "version": version.version,
        "effective_from": views.instant(version.effective_from),
        "ceiling": _core.format_rate(version.ceiling),
        "commission": views.commission_for(only, commission) if only else commission,
    }


def _touches(evidence: Mapping[str, Any], only: str) -> Body:
    """The touches in their order, and the click that bound the customer, if that decided."""
    found: Sequence[Mapping[str, Any]] = evidence.get("candidates", ())
    own = [candidate for candidate in found if only in ("", candidate["promoter"])]
    binding = next((_candidate(candidate) for candidate in own if candidate["kind"] == "binding"), None)
    return {
        "found_by": evidence.get("found_by", ""),
        "bound": "" if binding is None else binding["promoter"],
        "binding": binding,
        "candidates": [_candidate(candidate) for candidate in own],
        "other_candidates": len(found) - len(own),
    }


def _candidate(candidate: Mapping[str, Any]) -> Body:
    code = candidate.get("why", "")
    return {
        "id": candidate["id"],
        "at": views.instant(candidate["at"]),
        "kind": candidate["kind"],
        "promoter": candidate["promoter"],
        "product": candidate["product"],
        "counted": not code,
        "code": code,
        "why": TOUCHES.get(code, f"the hit did not count: {code}"),
        "weight": candidate.get("weight", 0) / WEIGHT_UNIT,
    }


def _split(row: RowMapping, evidence: Mapping[str, Any], lines: Sequence[RowMapping], only: str) -> Body:
    """The order's pool, and how each credited promoter's part of it came about and went up his chain."""
    stands = {(line["via"], line["level"]): line["amount"] for line in lines}
    kept: Sequence[Mapping[str, Any]] = evidence.get("split", ())
    look = evidence.get("second_look")
    steps: list[Body] = []
    for place, step in enumerate(kept):
        own = only in ("", step["promoter"])
        levels = list(_levels(row, step, stands, only))
        if own or levels:
            of_own = _step(row, step, None if look is None else look["totals"][place]) if own else {"promoter": ""}
            steps.append(of_own | {"levels": levels})
    # of several credits the sum says what the others have
    whole = all(only in ("", step["promoter"]) for step in kept)
    return {
        "pool": _money(row, evidence.get("pool") if whole else None),
        "daily_budget": _money(row, evidence.get("budget")),
        "second_look": None if look is None else {"pool": _money(row, look["pool"] if whole else None)},
        "split": steps,
    }


def _step(row: RowMapping, step: Mapping[str, Any], total_at_release: int | None) -> Body:
    """What is not listed (see `split.MAX_LISTED`) is null."""
    rates, bonuses = step.get("rates"), step.get("bonuses")
    return {
        "promoter": step["promoter"],
        "kind": step["kind"],
        "weight": step["weight"] / WEIGHT_UNIT,
        "month_total": _money(row, step["total"]),
        "month_total_at_release": _money(row, total_at_release),
        "tier": step["tier"],
        "override": step["override"],
        "rates": None if rates is None else [_rate(row, *rate) for rate in rates],
        "bonuses": None if bonuses is None else [_money(row, bonus) for bonus in bonuses],
        "multiplier": _decimal(step["multiplier"]),
    } | {name: _money(row, step[name]) for name in MONEY}


def _levels(
    row: RowMapping, step: Mapping[str, Any], stands: Mapping[tuple[str, int], int], only: str
) -> Iterator[Body]:
    """The levels of the rule, be they in the chain or not. A promoter sees those of the own credit, others as nobody,
    and those on which he stands himself."""
    unpaid = step.get("unpaid", ())
    for place, amount in enumerate(step["levels"]):
        promoter = step["chain"][place] if place < len(step["chain"]) else ""
        if only not in ("", promoter, step["promoter"]):
            continue
        if promoter and only not in ("", promoter):
            yield {"level": place + 1, "promoter": ""}
            continue
        code = "missing" if not promoter else unpaid[place] if unpaid else ""
        yield {
            "level": place + 1,
            "promoter": promoter,
            "paid": not code,
            "code": code,
            "why": LEVELS[code],
            "amount": _money(row, amount),
            "stands_at": _money(row, stands.get((step["promoter"], place + 1), 0)),
        }


def _rate(row: RowMapping, amount: int, rate: int) -> Body:
    return {"amount": _money(row, amount), "percent": _decimal(rate)}


def _after(connection: Connection, row: RowMapping, evidence: Mapping[str, Any]) -> Body:
    """What became of it since: refunds by their steps in the ledger, and the release."""
    released = connection.scalar(select(releases.c.number).where(releases.c.conversion == row["number"]))
    return {
        "refunded": _money(row, row["refunded"]),
        "refunds": [
            {"step": step, "amount": _money(row, amount)} for step, amount in evidence.get("refunds", {}).items()
        ],
        "due": views.instant(row["due"]) if row["due"] else None,
        "released": released is not None,
    }


def _money(row: RowMapping, amount: int | None) -> str | None:
    return None if amount is None else _core.format_amount(amount, row["currency"])


def _decimal(value: int) -> str:
    whole, part = divmod(value, 10**DECIMALS)
    return f"{whole}.{part:0{DECIMALS}}".rstrip("0").rstrip(".")


ROUTES = (
    Route(
        "GET",
        "/v1/conversions/{id}/why",
        why,
        "Why it pays whom: every touch, the rule's version, the arithmetic of the split",
        auth.READERS | auth.SCOPED,
        answer=why_answers.Why,
    ),
)
