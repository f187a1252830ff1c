"""/v1/conversions/{id}/why: every touch that was looked at, the rule, and the arithmetic of the split."""

from collections.abc import Mapping, Sequence
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
RATE_UNIT = 10_000
"""Of a percent: rates are integers of 1e-6."""

REASONS = {
    "": "it counts",
    "bot": "a bot",
    "prefetch": "the browser only fetched ahead",
    "embedded": "not a page that a person opened",
    "view": "the product does not credit views",
    "click_counts": "a view, and a click counts",
    "view_window": "a view too long before the order",
    "collapsed": "the same promoter has a later touch close to it",
    "spent": "an earlier order was credited for it",
    "bound": "the customer is bound to another promoter",
    "own_purchase": "the promoter bought it himself",
    "blocked_promoter": "the promoter is blocked",
    "unknown_promoter": "nobody has this promoter's code",
    "too_many_touches": "of a very long path only the first and the newest count",
}
"""What a verdict means, for people; one that is not here is a reason of the hit's own."""


async def why(call: Call) -> Body:
    return await call.read(_why, call.path("id"), call.actor)


def _why(connection: Connection, id: str, actor: Actor) -> Body:
    row = connection.execute(select(conversions).where(conversions.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"conversion {id}")
    auth.check_subject(actor.merchant_only(), row["merchant"], "conversion of merchant")
    lines = (
        connection.execute(select(shares).where(shares.c.conversion == row["number"]).order_by(shares.c.position))
        .mappings()
        .all()
    )
    only = actor.promoter_only()
    if only and all(line["promoter"] != only for line in lines):
        raise not_found(f"conversion {id}")
    released = connection.scalar(select(releases.c.number).where(releases.c.conversion == row["number"]))
    evidence = msgspec.json.decode(row["evidence"])
    body = {
        name: row[name] for name in ("id", "order_id", "merchant", "product", "currency", "status", "model", "reason")
    }
    body |= {
        "amount": _money(row, row["amount"]),
        "at": views.instant(row["at"]),
        "found_by": evidence.get("found_by", ""),
        "rule": _rule(connection, row),
        "pool": _money(row, evidence.get("pool")),
        "refunded": _money(row, row["refunded"]),
        "due": views.instant(row["due"]) if row["due"] else None,
        "released": released is not None,
        "second_look": "second_look" in evidence,
    }
    return body | _candidates(evidence, only) | _split(row, evidence, lines, only)


def _rule(connection: Connection, row: RowMapping) -> Body | None:
    kept = select(rules.c.rule).where(rules.c.product == row["product"], rules.c.version == row["rule_version"])
    text = connection.scalar(kept)
    return None if text is None else {"version": row["rule_version"], "commission": msgspec.json.decode(text)}


def _candidates(evidence: Mapping[str, Any], only: str) -> Body:
    """The touches in their order; a promoter sees the own ones, and how many others there are."""
    found: Sequence[Mapping[str, Any]] = evidence.get("candidates", ())
    own = [candidate for candidate in found if only in ("", candidate["promoter"])]
    bound = evidence.get("bound", "")
    return {
        "bound": bound if only in ("", bound) else "",
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
        "why": REASONS.get(code, f"the hit did not count: {code}"),
        "weight": candidate.get("weight", 0) / WEIGHT_UNIT,
    }


def _split(row: RowMapping, evidence: Mapping[str, Any], lines: Sequence[RowMapping], only: str) -> Body:
    """The arithmetic for each credited promoter; a promoter sees that of the own credit alone."""
    steps = [step for step in evidence.get("split", ()) if only in ("", step["promoter"])]
    stands = {(line["promoter"], line["level"], line["via"]): line["amount"] for line in lines}
    return {
        "split": [_step(row, step, stands, only) for step in steps],
        "others": len({line["promoter"] for line in lines} - {"", only}) if only else 0,
    }


def _step(row: RowMapping, step: Mapping[str, Any], stands: Mapping[Any, int], only: str) -> Body:
    levels = [
        {
            "level": level,
            "promoter": promoter if only in ("", promoter) else "",
            "paid": paid,
            "amount": _money(row, part if paid else 0) if only in ("", promoter) else None,
            "stands_at": _money(row, stands.get((promoter, level, step["promoter"]), 0))
            if only in ("", promoter)
            else None,
        }
        for level, (promoter, paid, part) in enumerate(
            zip(step["chain"], step["present"], step["levels"], strict=False), start=1
        )
    ]
    money = ("base", "main", "tier_bonus", "max_per_order", "ceiling", "pool", "part", "bonus", "platform")
    return {
        "promoter": step["promoter"],
        "weight": step["weight"] / WEIGHT_UNIT,
        "month_total": _money(row, step["total"]),
        "tier": step["tier"],
        "override": step["override"],
        "rates": [{"amount": _money(row, amount), "percent": rate / RATE_UNIT} for amount, rate in step["rates"]],
        "bonuses": [_money(row, bonus) for bonus in step["bonuses"]],
        "multiplier": step["multiplier"] / RATE_UNIT,
        "levels": levels,
    } | {name: _money(row, step[name]) for name in money}


def _money(row: RowMapping, amount: int | None) -> str | None:
    return None if amount is None else _core.format_amount(amount, row["currency"])


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
