"""The leaderboard: promoters in the order of a figure, beside what they were in the period before."""

from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, func, select

from tuike import _core
from tuike.reports.periods import Filters, Period, ReportError
from tuike.reports.reading import by_promoter
from tuike.stores.schema import promoters

Body = dict[str, Any]
Metric = Literal["sales", "orders", "commission", "clicks"]

COLUMNS: dict[str, str] = {"sales": "sales", "orders": "conversions", "commission": "commission", "clicks": "clicks"}
OF_HITS = ("clicks",)
OF_MONEY = ("sales", "commission")


def leaderboard(
    connection: Connection,
    periods: tuple[Period, Period],
    filters: Filters,
    metric: Metric,
    limit: int,
    currency: str = "",
) -> Body:
    """Ranks are by the figure in `periods[0]`, above 0; equal ones share theirs, and the next one's counts them all.
    A `promoter` among the filters shows that one alone, at its place among all. Money is in one currency: the one
    named, or the only one that there is."""
    period, before = periods
    if metric in OF_MONEY and not currency:
        currency = only_currency(connection, period, filters)
    rows = standings(connection, period, filters, metric, limit, currency)
    found = {
        row[0]: row for row in standings(connection, before, filters, metric, None, currency, [r[0] for r in rows])
    }
    names = dict(
        connection.execute(
            select(promoters.c.id, promoters.c.name).where(promoters.c.id.in_([r[0] for r in rows]))
        ).all()
    )
    body: Body = period.view() | {"metric": metric, "currency": currency or None}
    body["before"] = {name: at for name, at in before.view().items() if name != "tz"}
    body["items"] = []
    for promoter, value, rank in rows:
        _, then, place = found.get(promoter, (promoter, 0, None))
        body["items"].append(
            {
                "rank": rank,
                "promoter": promoter,
                "name": names.get(promoter, ""),
                "value": shown(value, currency),
                "before": shown(then, currency),
                "change": shown(value - then, currency),
                "rank_before": place,
            }
        )
    return body


def standings(
    connection: Connection,
    period: Period,
    filters: Filters,
    metric: Metric,
    limit: int | None,
    currency: str,
    among: list[str] | None = None,
) -> list[tuple[str, int, int]]:
    """Promoters with their figure and rank, the best first; those `among` alone, if any are named."""
    ranked = _ranked(period, filters, metric, currency).subquery()
    columns = ranked.c
    statement = select(columns.promoter, columns.figure, columns.place).order_by(columns.place, columns.promoter)
    if filters.promoter:
        statement = statement.where(columns.promoter == filters.promoter)
    if among is not None:
        statement = statement.where(columns.promoter.in_(among))
    if limit is not None:
        statement = statement.limit(limit)
    return [(promoter, int(figure), int(place)) for promoter, figure, place in connection.execute(statement)]


def shown(value: int, currency: str) -> int | str:
    return _core.format_amount(value, currency) if currency else value


def only_currency(connection: Connection, period: Period, filters: Filters) -> str:
    """ReportError `currency_needed` where there are several."""
    rows = by_promoter(period, filters)
    found = list(connection.scalars(select(rows.c.currency).distinct().order_by(rows.c.currency)))
    if len(found) > 1:
        raise ReportError("currency_needed", f"there are sales in {', '.join(found)}: name a `currency`")
    return found[0] if found else ""


def _ranked(period: Period, filters: Filters, metric: Metric, currency: str) -> Select[Any]:
    everyone = Filters(product=filters.product, merchant=filters.merchant, channel=filters.channel)
    rows = by_promoter(period, everyone, COLUMNS[metric] if metric in OF_HITS else "")
    figure: ColumnElement[Any] = func.sum(rows.c[COLUMNS[metric]])
    sums = select(rows.c.promoter, figure.label("figure")).group_by(rows.c.promoter).having(figure > 0)
    if metric in OF_MONEY:
        sums = sums.where(rows.c.currency == currency)
    table = sums.subquery()
    return select(table.c.promoter, table.c.figure, func.rank().over(order_by=table.c.figure.desc()).label("place"))
