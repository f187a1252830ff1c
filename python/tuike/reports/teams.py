"""The tree under a promoter: its totals, and its members with what each has sold."""

from typing import Any

from sqlalchemy import CTE, Connection, and_, func, literal, or_, select

from tuike.reports.figures import Money, add_money, order_figures
from tuike.reports.periods import Filters, Period
from tuike.reports.reading import by_promoter
from tuike.stores.schema import promoters

Body = dict[str, Any]
Place = tuple[int, str]
"""A member's place in the list: level and id."""

MAX_DEPTH = 10


def totals(connection: Connection, promoter: str, period: Period, filters: Filters) -> Body:
    """The promoter's own orders, and those of all below, with how many are there."""
    below = _below([promoter], None)
    counts = connection.execute(select(below.c.level, func.count()).group_by(below.c.level).order_by(below.c.level))
    by_level = {str(level): int(count) for level, count in counts}
    team = _money(connection, period, filters, select(below.c.id), together=True)
    return (
        period.view()
        | {"promoter": promoter}
        | order_figures(_money(connection, period, filters, [promoter]).get(promoter, {}))
        | {
            "team": {"direct": by_level.get("1", 0), "total": sum(by_level.values()), "by_level": by_level}
            | order_figures(team.get("", {}))
        }
    )


def members(
    connection: Connection,
    promoter: str,
    period: Period,
    filters: Filters,
    *,
    depth: int,
    limit: int,
    after: Place | None,
) -> tuple[list[Body], Place | None]:
    """Some of those below on the first `depth` levels, level by level, and the place of the last where there are more.
    `direct` and `total` are the members that each has below, `orders` and so on the own ones."""
    below = _below([promoter], depth)
    page = (
        select(below.c.level, promoters.c.id, promoters.c.name, promoters.c.parent)
        .join(promoters, promoters.c.id == below.c.id)
        .order_by(below.c.level, promoters.c.id)
        .limit(limit + 1)
    )
    if after is not None:
        level, id = after
        page = page.where(or_(below.c.level > level, and_(below.c.level == level, promoters.c.id > id)))
    found = connection.execute(page).all()
    rows = found[:limit]
    ids = [row.id for row in rows]
    sizes = _sizes(connection, ids)
    money = _money(connection, period, filters, ids)
    items = []
    for row in rows:
        direct, total = sizes.get(row.id, (0, 0))
        about = {"promoter": row.id, "name": row.name, "parent": row.parent, "level": row.level}
        items.append(about | {"direct": direct, "total": total} | order_figures(money.get(row.id, {})))
    return items, (rows[-1].level, rows[-1].id) if len(found) > limit else None


def _below(roots: list[str], depth: int | None) -> CTE:
    """All below, by the root that they are below of: `root`, `id`, `level` from 1."""
    root = promoters.c.parent.label("root")
    first = select(root, promoters.c.id, literal(1).label("level")).where(promoters.c.parent.in_(roots))
    below = first.cte("below", recursive=True)
    further = select(below.c.root, promoters.c.id, below.c.level + 1).join_from(
        promoters, below, promoters.c.parent == below.c.id
    )
    return below.union_all(further if depth is None else further.where(below.c.level < depth))


def _sizes(connection: Connection, ids: list[str]) -> dict[str, tuple[int, int]]:
    """How many are directly below each, and how many in all."""
    below = _below(ids, None)
    counts = connection.execute(select(below.c.root, below.c.level, func.count()).group_by(below.c.root, below.c.level))
    sizes: dict[str, tuple[int, int]] = {}
    for root, level, count in counts:
        direct, total = sizes.get(root, (0, 0))
        sizes[root] = (int(count) if level == 1 else direct, total + int(count))
    return sizes


def _money(
    connection: Connection, period: Period, filters: Filters, among: Any, *, together: bool = False
) -> dict[str, dict[str, Money]]:
    """By promoter, or of all together under no name; then by currency."""
    rows = by_promoter(period, filters, among=among)
    sums = [func.sum(rows.c[name]) for name in ("conversions", "sales", "commission")]
    keys = [rows.c.currency] if together else [rows.c.promoter, rows.c.currency]
    money: dict[str, dict[str, Money]] = {}
    for *of, currency, conversions, sold, paid in connection.execute(select(*keys, *sums).group_by(*keys)):
        add_money(money.setdefault(of[0] if of else "", {}), currency, conversions, sold, paid)
    return money
