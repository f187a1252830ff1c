"""/v1/promoters/{id}/tiers: where a promoter stands, and what is missing to the next tier (money.md, 7)."""

from sqlalchemy import Connection, select

from tuike import _core
from tuike.admin import auth
from tuike.admin.answers import Answer as Shape
from tuike.admin.problems import not_found
from tuike.admin.routes import Body, Call, Route
from tuike.books.totals import LOWEST_TIER, TIER, TIER_DAYS, TIERS, YEAR, tier_of
from tuike.stores.schema import promoters

DAY_MS = 86_400_000


class TierFrom(Shape):
    """From these own net sales of 365 days on."""

    tier: str
    sales: str


class Standing(Shape):
    """`tier` is today's (UTC), `sales` what tomorrow's follows from, `missing` what `next` takes beyond them."""

    currency: str
    tier: str
    sales: str
    next: str | None
    missing: str | None
    tiers: list[TierFrom]


class Standings(Shape):
    items: list[Standing]


async def tiers(call: Call) -> Body:
    auth.check_subject(call.actor.promoter_only(), call.path("id"), "promoter")
    return await call.read(_tiers, call.path("id"), call.service.clock() // DAY_MS)


def _tiers(connection: Connection, id: str, today: int) -> Body:
    if connection.scalar(select(promoters.c.id).where(promoters.c.id == id)) is None:
        raise not_found(f"promoter {id}")
    return {"items": [_standing(connection, id, currency, today) for currency in sorted(TIERS)]}


def _standing(connection: Connection, id: str, currency: str, today: int) -> Body:
    kept = TIER.find(connection, id, currency, today)
    before = YEAR.find(connection, id, currency, today - TIER_DAYS, today) or 0
    sales = int(YEAR.find(connection, id, currency, today + 1 - TIER_DAYS, today + 1) or 0)
    steps = [(0, LOWEST_TIER), *reversed(TIERS[currency])]
    following = next(((least, name) for least, name in steps if least > sales), None)
    return {
        "currency": currency,
        "tier": kept or tier_of(int(before), currency),
        "sales": _core.format_amount(max(sales, 0), currency),
        "next": following and following[1],
        "missing": following and _core.format_amount(following[0] - max(sales, 0), currency),
        "tiers": [{"tier": name, "sales": _core.format_amount(least, currency)} for least, name in steps],
    }


ROUTES = (
    Route(
        "GET",
        "/v1/promoters/{id}/tiers",
        tiers,
        "A promoter's tier, and what is missing to the next",
        auth.READERS | auth.PROMOTER,
        answer=Standings,
    ),
)
