"""/v1/exports/ of reports: the very numbers of the report, a line for each currency of each of its items.

What is not of money stands in an item's first line alone, so that columns can be summed up."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from tuike.admin import auth, report_queries, reporting, tables
from tuike.admin.exports import NDJSON
from tuike.admin.routes import Body, Call, Handler, Route

HITS = ("impressions", "clicks", "unique_visitors", "bots", "prefetches", "ctr", "cvr")
MONEY = ("currency", "conversions", "sales", "commission", "aov", "roi", "ltv")
ORDERS = ("currency", "orders", "sales", "commission")
TIER = ("tier", "from_sales", "promoters", "direct", "team_size")
LEADER = ("rank", "promoter", "name", "value", "before", "change", "rank_before")
COHORT = ("orders", "sales", "refunds", "commission")

encoder = msgspec.json.Encoder()

Line = list[Any]


@dataclass(frozen=True, slots=True)
class Export:
    """`lines` are made of the report's answer; `texts` are the columns that people have typed."""

    name: str
    report: reporting.Report
    columns: tuple[str, ...]
    lines: Callable[[Body], Iterable[Line]]
    texts: tuple[str, ...] = ()

    def csv(self, body: Body) -> bytes:
        places = [self.columns.index(name) for name in self.texts]
        lines = []
        for line in self.lines(body):
            for place in places:
                line[place] = tables.free_text(line[place])
            lines.append(line)
        return tables.text(self.columns, lines).encode()

    def ndjson(self, body: Body) -> bytes:
        return encoder.encode_lines([dict(zip(self.columns, line, strict=True)) for line in self.lines(body)])


def _by_currency(item: Body, about: Sequence[Any], money: Sequence[str]) -> Iterator[Line]:
    """An item's lines: what it is `about` in the first of them alone."""
    first: Sequence[Any] = about
    for of in item["money"] or [item | {"currency": None}]:
        yield [*first, *(of[name] for name in money)]
        first = [None] * len(about)


def _trend(body: Body) -> Iterator[Line]:
    clock = body["interval"]
    for series in body.get("series", [{"items": body["items"]}]):
        group = next((value for name, value in series.items() if name != "items"), "")
        for item in series["items"]:
            for line in _by_currency(item, [item[name] for name in HITS], MONEY):
                yield [item[clock], group, *line]


def _levels(body: Body) -> Iterator[Line]:
    for item in body["items"]:
        for line in _by_currency(item, [item[name] for name in TIER[1:]], ORDERS):
            yield [item["tier"], *line]


def _leaderboard(body: Body) -> Iterator[Line]:
    for item in body["items"]:
        yield [body["metric"], body["currency"], *(item[name] for name in LEADER)]


def _cohorts(body: Body) -> Iterator[Line]:
    """`size` is how many customers the cohort has; orders of nobody are in none."""
    for item in body["items"]:
        for month in item["months"]:
            about = [item["cohort"], item["currency"], item["customers"], month["month"], month["customers"]]
            yield [*about, *(month[name] for name in COHORT)]
    for item in body["unknown"]:
        yield ["", item["currency"], None, None, None, *(item[name] for name in COHORT)]


def _sends(export: Export) -> Handler:
    async def handler(call: Call) -> web.Response:
        body = await reporting.answer(call, export.report)
        csv = call.query.format == "csv"
        text = export.csv(body) if csv else export.ndjson(body)
        media = tables.MEDIA if csv else NDJSON
        headers = tables.headers(f"{export.name}.{call.query.format}")
        return web.Response(body=text, content_type=media, charset="utf-8", headers=headers)

    return handler


def _route(export: Export, summary: str, roles: frozenset[str], query: type[report_queries.Period]) -> Route:
    path = f"/v1/exports/{export.name}"
    return Route("GET", path, _sends(export), summary, roles, query=query, answer=str, media=tables.MEDIA, also=NDJSON)


TREND = Export("trend", reporting.trend, ("time", "group", *HITS, *MONEY), _trend, ("group",))
LEVELS = Export("levels", reporting.levels, (*TIER, *ORDERS), _levels)
LEADERBOARD = Export("leaderboard", reporting.leaderboard, ("metric", "currency", *LEADER), _leaderboard, ("name",))
COHORTS = Export("cohorts", reporting.cohorts, ("cohort", "currency", "size", "month", "customers", *COHORT), _cohorts)

ROUTES = (
    _route(TREND, "The trend, a line for each hour or day", reporting.EVERYONE, report_queries.ExportTrend),
    _route(LEVELS, "Promoter tiers", auth.READERS, report_queries.ExportLevels),
    _route(LEADERBOARD, "The leaderboard", reporting.EVERYONE, report_queries.ExportLeaderboard),
    _route(COHORTS, "Cohorts, a line for each month of each", reporting.EVERYONE, report_queries.ExportCohorts),
)
