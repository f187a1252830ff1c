"""POST /v1/rules/preview: what a rule would pay now, without saving it."""

import json
from typing import Any

from tuike import _core
from tuike.admin import auth, money_answers, money_inputs
from tuike.admin.problems import Problem
from tuike.admin.routes import Body, Call, Route

WHOLE = 1_000_000_000
MULTIPLIER_UNIT = 10_000


async def preview(call: Call) -> Body:
    """Of an order by a promoter without sales this month and without a tier, whose whole chain is paid, under the
    ceiling that the rule would have if it were written now."""
    body: money_inputs.PreviewBody = call.body
    depth = min(body.depth, call.service.max_levels)
    try:
        rule = _core.Rule(json.dumps(body.rule, ensure_ascii=False), body.currency, call.service.ceiling)
        amount = None if body.amount is None else _core.parse_amount(body.amount, body.currency)
        booked = rule.book(amount, call.service.clock(), [("", "member", WHOLE, 0, "", [True] * depth)])
    except ValueError as error:
        code, _, detail = str(error).partition(": ")
        raise Problem(code, detail or code, status=422) from error
    if booked is None:
        raise Problem("amount_missing", "the rule needs an amount", status=422)
    pool, (part,) = booked
    return _view(pool, part, amount, body.currency, depth)


def _view(pool: int, part: dict[str, Any], amount: int | None, currency: str, depth: int) -> Body:
    def money(minor: int | None) -> str | None:
        return None if minor is None else _core.format_amount(minor, currency)

    return {
        "amount": money(amount),
        "currency": currency,
        "base": money(part["base"]),
        "bonuses": [money(bonus) for bonus in part["bonuses"]],
        "multiplier": _decimal(part["multiplier"]),
        "tier_bonus": money(part["tier_bonus"]),
        "max_per_order": money(part["max_per_order"]),
        "ceiling": money(part["ceiling"]),
        "pool": money(pool),
        "levels": [
            {"level": level, "amount": money(share)} for level, share in enumerate(part["levels"][:depth], start=1)
        ],
        "platform": money(part["platform"]),
    }


def _decimal(multiplier: int) -> str:
    whole, rest = divmod(multiplier, MULTIPLIER_UNIT)
    return f"{whole}.{rest:04}".rstrip("0").rstrip(".")


ROUTES = (
    Route(
        "POST",
        "/v1/rules/preview",
        preview,
        "The split that a rule would make of an order now, without saving it",
        auth.MONEY,
        body=money_inputs.PreviewBody,
        answer=money_answers.Preview,
        journalled=False,
    ),
)
