"""/v1/reports/…"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import ClientError
from sqlalchemy import Connection, select

from tuike import reports
from tuike.admin import auth, inputs, pages, report_answers, report_queries
from tuike.admin.problems import Problem, not_found
from tuike.admin.routes import Body, Call, Handler, Route, Service
from tuike.books.totals import LOWEST_TIER
from tuike.reports import Filters, Period, ReportError, teams
from tuike.stores.schema import promoters

Report = Callable[[Connection, Period, Filters, Any, int], Body]
"""Given the period, the filters, the query and the time (ms)."""


def _reports(report: Report) -> Handler:
    async def handler(call: Call) -> Body:
        return await answer(call, report)

    return handler


async def answer(call: Call, report: Report) -> Body:
    """The report, of what the actor sees."""
    return await call.read_copy(_read, report, call.query, _filters(call), call.service.clock())


def _filters(call: Call) -> Filters:
    """What was asked for, within what the actor sees."""
    query = call.query
    return Filters(
        promoter=auth.narrow(call.actor.promoter_only(), getattr(query, "promoter", ""), "promoter"),
        product=query.product,
        merchant=auth.narrow(call.actor.merchant_only(), query.merchant, "merchant"),
        channel=query.channel,
    )


def _read(connection: Connection, report: Report, query: Any, filters: Filters, now: int) -> Body:
    asked = period_of(query)
    try:
        return report(connection, asked, filters, query, now)
    except ReportError as error:
        raise Problem(error.code, str(error)) from error


def period_of(query: report_queries.Period) -> Period:
    try:
        zone = inputs.check_timezone(query.tz)
    except ValueError as error:
        raise Problem("bad_parameter", f"`tz`: {error}") from error
    try:
        return Period.parse(query.since, query.until, zone)
    except ReportError as error:
        raise Problem(error.code, str(error)) from error


def _summary(connection: Connection, period: Period, filters: Filters, query: report_queries.Summary, _: int) -> Body:
    return reports.summary(connection, period, filters, query.group_by)


def trend(connection: Connection, period: Period, filters: Filters, query: report_queries.Trend, _: int) -> Body:
    return reports.trend(connection, period, filters, query.interval, query.group_by)


def levels(
    connection: Connection,
    period: Period,
    filters: Filters,
    query: report_queries.Levels,
    now: int,
    teams: reports.Teams | None = None,
) -> Body:
    _check_tiered(query.currency)
    return reports.levels(connection, period, filters, period.last_day(now), query.currency, teams)


def _tiers(connection: Connection, period: Period, _: Filters, query: report_queries.Levels, now: int) -> Body:
    _check_tiered(query.currency)
    return dict(reports.tiers(connection, period.last_day(now), query.currency))


def _check_tiered(currency: str) -> None:
    if currency not in reports.CURRENCIES:
        raise Problem("bad_parameter", f"`currency`: there are tiers in {', '.join(reports.CURRENCIES)}")


async def quick_levels(call: Call) -> Body:
    """In two steps: the tiers, then all the rest, with what the processor knows of the tiers' teams."""
    teams = await _teams(call.service, await answer(call, _tiers))
    return await answer(call, partial(levels, teams=teams))


async def _teams(service: Service, tiers: dict[str, list[str]]) -> reports.Teams | None:
    """As the processor beside us has them in memory; None where there is none, or it does not answer."""
    if service.member:
        return None
    try:
        async with service.processor.post("/teams", json=list(tiers.values())) as answer:
            if answer.status != 200:
                return None
            below: list[tuple[int, int]] = await answer.json()
    except (ClientError, OSError, TimeoutError):
        return None
    return {tier: (direct, whole) for tier, (direct, whole) in zip([*tiers, LOWEST_TIER], below, strict=True)}


def leaderboard(
    connection: Connection, period: Period, filters: Filters, query: report_queries.Leaderboard, now: int
) -> Body:
    periods = _periods(period, query, now)
    return reports.leaderboard(connection, periods, filters, query.metric, query.limit, query.currency)


def _periods(period: Period, query: report_queries.Leaderboard, now: int) -> tuple[Period, Period]:
    if not (query.since or query.until):
        return Period.calendar(query.period or "month", query.at or _today(now, period.zone), period.zone)
    if query.period or query.at is not None:
        raise Problem("bad_parameter", "`period` with `at`, or `from` with `to`")
    return period, period.before()


def _today(now: int, zone: ZoneInfo) -> Any:
    return datetime.fromtimestamp(now / 1000, zone).date()


def _anomalies(
    connection: Connection, period: Period, filters: Filters, query: report_queries.Anomalies, _: int
) -> Body:
    return reports.anomalies(connection, period, filters, query.interval, query.currency)


def cohorts(connection: Connection, period: Period, filters: Filters, _query: report_queries.Cohorts, _: int) -> Body:
    return reports.cohorts(connection, period, filters)


async def team(call: Call) -> Body:
    id, query = call.path("id"), call.query
    auth.check_subject(call.actor.promoter_only(), id, "promoter")
    filters = Filters(product=query.product, merchant=query.merchant, channel=query.channel)
    alone = bool(call.actor.promoter_only())

    def report(connection: Connection, period: Period, filters: Filters, query: report_queries.Team, _: int) -> Body:
        if connection.scalar(select(promoters.c.id).where(promoters.c.id == id)) is None:
            raise not_found(f"promoter {id}")
        body = teams.totals(connection, id, period, filters)
        return body if alone else body | _members(connection, id, period, filters, query)

    return await call.read_copy(_read, report, query, filters, call.service.clock())


def _members(connection: Connection, id: str, period: Period, filters: Filters, query: report_queries.Team) -> Body:
    after = None
    if query.cursor:
        level, _, member = str(pages.decode_cursor(query.cursor, str)).partition(" ")
        if not level.isdecimal() or len(level) > len(str(teams.MAX_DEPTH)):
            raise Problem("bad_cursor", "`cursor` is not a `next` of this list")
        after = int(level), member
    items, last = teams.members(connection, id, period, filters, depth=query.depth, limit=query.limit, after=after)
    return {"items": items, "next": None if last is None else pages.encode_cursor(f"{last[0]} {last[1]}")}


EVERYONE = auth.READERS | auth.SCOPED

ROUTES = (
    Route(
        "GET",
        "/v1/reports/summary",
        _reports(_summary),
        "Hits, visitors, conversions and money of a period, whole or in groups",
        EVERYONE,
        query=report_queries.Summary,
        answer=report_answers.Summary,
    ),
    Route(
        "GET",
        "/v1/reports/trend",
        _reports(trend),
        "The same figures for each hour or day",
        EVERYONE,
        query=report_queries.Trend,
        answer=report_answers.Trend,
    ),
    Route(
        "GET",
        "/v1/reports/levels",
        quick_levels,
        "Promoters, their orders and teams by promoter tier",
        auth.READERS,
        query=report_queries.Levels,
        answer=report_answers.Levels,
    ),
    Route(
        "GET",
        "/v1/reports/team/{id}",
        team,
        "A promoter's team: its totals, and its members level by level",
        auth.READERS | auth.PROMOTER,
        query=report_queries.Team,
        answer=report_answers.TeamReport,
    ),
    Route(
        "GET",
        "/v1/reports/leaderboard",
        _reports(leaderboard),
        "Promoters in the order of a figure, beside the period before",
        EVERYONE,
        query=report_queries.Leaderboard,
        answer=report_answers.Leaderboard,
    ),
    Route(
        "GET",
        "/v1/reports/anomalies",
        _reports(_anomalies),
        "Points outside of the band that the weeks before make likely",
        EVERYONE,
        query=report_queries.Anomalies,
        answer=report_answers.Anomalies,
    ),
    Route(
        "GET",
        "/v1/reports/cohorts",
        _reports(cohorts),
        "Customers by the month of their first order, and what they are worth since",
        EVERYONE,
        query=report_queries.Cohorts,
        answer=report_answers.Cohorts,
    ),
)
