"""Levels: what the promoters of each tier come to (money.md, section 7)."""

from collections import Counter
from datetime import date
from typing import Any

from sqlalchemy import Connection, Select, case, func, literal_column, select

from tuike import _core, views
from tuike.books.totals import LOWEST_TIER, TIER_DAYS, TIERS
from tuike.reports.figures import Money, add_money, order_figures
from tuike.reports.periods import Filters, Period
from tuike.reports.reading import by_promoter
from tuike.stores.schema import promoters, sales

Body = dict[str, Any]
Teams = dict[str, tuple[int, int]]
"""By tier: how many are directly below its promoters, and how many in all."""

NOBODY = (0, 0)

CURRENCIES = tuple(TIERS)
"""That there are tiers in."""


def tiers(connection: Connection, day: date, currency: str) -> dict[str, list[str]]:
    """The promoters above the lowest tier, by tier."""
    found: dict[str, list[str]] = {}
    for promoter, tier in connection.execute(_tiered(views.day_number(day), currency)):
        found.setdefault(tier, []).append(promoter)
    return found


def levels(
    connection: Connection,
    period: Period,
    filters: Filters,
    day: date,
    currency: str,
    teams: Teams | None = None,
) -> Body:
    """Tiers are those of `day`, by own net sales in `currency` in the 365 days before it. `team_size` is how many are
    below the tier's promoters, on all levels: one who is below two of them counts twice. Orders, sales and commission
    are those of orders that are credited to the tier's promoters in the period. Without `teams`, which the processor
    has in memory, all promoters are read."""
    tiered = _tiered(views.day_number(day), currency).subquery()
    counts: Counter[str] = Counter(
        dict(connection.execute(select(tiered.c.tier, func.count()).group_by(tiered.c.tier)).all())
    )
    counts[LOWEST_TIER] = (connection.scalar(select(func.count()).select_from(promoters)) or 0) - counts.total()
    money = _money(connection, period, filters, tiered)
    if teams is None:
        teams = _teams(connection, dict(connection.execute(select(tiered)).all()))
    steps = [(0, LOWEST_TIER), *sorted(TIERS.get(currency, ()))]
    body: Body = period.view() | {"day": day.isoformat(), "currency": currency}
    body["items"] = [
        {
            "tier": tier,
            "from_sales": _core.format_amount(least, currency),
            "promoters": counts[tier],
            "direct": teams.get(tier, NOBODY)[0],
            "team_size": teams.get(tier, NOBODY)[1],
        }
        | order_figures(money.get(tier, {}))
        for least, tier in steps
    ]
    return body


def _tiered(day: int, currency: str) -> Select[Any]:
    """Promoters above the lowest tier."""
    steps = TIERS.get(currency, ())
    net = func.sum(sales.c.net)
    tier = case(*[(net >= least, literal_column(f"'{name}'")) for least, name in steps], else_=literal_column("''"))
    return (
        select(sales.c.promoter, tier.label("tier"))
        .where(sales.c.currency == currency, sales.c.day >= day - TIER_DAYS, sales.c.day < day)
        .group_by(sales.c.promoter)
        .having(net >= min((least for least, _ in steps), default=0))
    )


def _money(connection: Connection, period: Period, filters: Filters, tiered: Any) -> dict[str, dict[str, Money]]:
    rows = by_promoter(period, filters)
    tier = func.coalesce(tiered.c.tier, literal_column(f"'{LOWEST_TIER}'")).label("tier")
    sums = [func.sum(rows.c[name]) for name in ("conversions", "sales", "commission")]
    found = (
        select(tier, rows.c.currency, *sums)
        .select_from(rows.outerjoin(tiered, tiered.c.promoter == rows.c.promoter))
        .group_by(tier, rows.c.currency)
    )
    money: dict[str, dict[str, Money]] = {}
    for of, currency, *figures in connection.execute(found):
        add_money(money.setdefault(of, {}), currency, *figures)
    return money


def _teams(connection: Connection, tiers: dict[str, str]) -> Teams:
    parents: dict[str, str] = dict(
        connection.execute(select(promoters.c.id, promoters.c.parent).where(promoters.c.parent.is_not(None))).all()
    )
    waits = Counter(parents.values())
    direct: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for promoter, children in waits.items():
        direct[tiers.get(promoter, LOWEST_TIER)] += children
    below = dict.fromkeys(parents, 0)
    # from the leaves up: each is done when all below it are
    ready = [promoter for promoter in parents if promoter not in waits]
    while ready:
        promoter = ready.pop()
        parent = parents.get(promoter)
        whole[tiers.get(promoter, LOWEST_TIER)] += below[promoter]
        if parent is not None:
            below[parent] = below.get(parent, 0) + below[promoter] + 1
            waits[parent] -= 1
            if not waits[parent]:
                ready.append(parent)
    return {tier: (direct[tier], whole[tier]) for tier in direct}
