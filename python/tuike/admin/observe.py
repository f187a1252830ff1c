"""/healthz, /readyz and /metrics: what a supervisor and Prometheus ask, without a token."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from sqlalchemy import Connection, func, literal_column, select

from tuike import _core, observing
from tuike.admin.problems import Problem
from tuike.admin.routes import Body, Call, Route, Service
from tuike.observing import NO_EDGE, PROMETHEUS_TEXT, Sample, family
from tuike.stores import cuts, members
from tuike.stores.schema import conversions, fraud_flags, hit_cuts, merchants, shares

CLICK_THROUGH_SECONDS = 86_400


async def healthz(call: Call) -> Body:
    return {"status": "ok"}


async def readyz(call: Call) -> Body:
    if call.service.member:
        reason = "" if await call.read(members.reached) is not None else NO_EDGE
    else:
        reason = "draining" if call.service.draining else await _in_thread(call.service, observing.unready)
    if reason:
        raise Problem("not_ready", reason)
    away = call.service.books_away
    return {"status": "ready"} | ({"books": f"away: {away.read_text().strip()}"} if away.exists() else {})


async def metrics(call: Call) -> web.Response:
    service = call.service
    now = service.clock()
    edges = await _in_thread(service, observing.edge_metrics)
    try:
        books = await call.read_copy(_book_metrics, now)
    except Problem:
        books = ""  # the edge's counters are worth having all the more
    watermark = await service.watermark()
    lag = family(
        "affiliate_journal_lag_seconds",
        "gauge",
        "How far behind the clock the books are.",
        [("", (), max(0, now - watermark) / 1000)] if watermark else [],
    )
    journal = family(
        "affiliate_admin_journal_problem",
        "gauge",
        "Whether the admin API cannot record a write, by the reason.",
        [("", (("problem", service.writes.problem),), 1)] if service.writes.problem else [],
    )
    away = family(
        "affiliate_books_away",
        "gauge",
        "Whether the processor does without its database server; hits are recorded all the same.",
        [("", (), int(service.books_away.exists()))],
    )
    return web.Response(body=(edges + books + lag + journal + away).encode(), headers={"Content-Type": PROMETHEUS_TEXT})


async def _in_thread(service: Service, work: Callable[[str, int], str]) -> str:
    directory, now = str(service.metrics), service.clock()
    return await asyncio.get_running_loop().run_in_executor(service.readers, work, directory, now)


def _book_metrics(connection: Connection, now: int) -> str:
    return (
        family(
            "affiliate_conversions_total",
            "counter",
            "Conversions by product and the level that has a share in them; level 0: nobody has.",
            _conversions(connection),
        )
        + family(
            "affiliate_click_through_rate",
            "gauge",
            "Clicks per impression of the last 24 hours, by channel.",
            _click_through(connection, now),
        )
        + family(
            "affiliate_commission_payout",
            "summary",
            "Commission booked to promoters, in major units, refunds not taken off.",
            _commission(connection),
        )
        + family(
            "tuike_fraud_flags_open",
            "gauge",
            "Fraud flags that wait for a decision, by rule; each holds an order's money.",
            _open_flags(connection),
        )
    )


def _open_flags(connection: Connection) -> list[Sample]:
    flags = fraud_flags.c
    waiting = select(flags.rule, func.count()).where(flags.status == "open").group_by(flags.rule).order_by(flags.rule)
    return [("", (("rule", rule),), count) for rule, count in connection.execute(waiting)]


def _conversions(connection: Connection) -> list[Sample]:
    level = func.coalesce(shares.c.level, literal_column("0"))
    joined = conversions.outerjoin(shares, (shares.c.conversion == conversions.c.number) & (shares.c.promoter != ""))
    counts = connection.execute(
        select(level, conversions.c.product, func.count(conversions.c.number.distinct()))
        .select_from(joined)
        .group_by(level, conversions.c.product)
        .order_by(level, conversions.c.product)
    )
    return [("", (("level", str(level)), ("product", product)), count) for level, product, count in counts]


def _click_through(connection: Connection, now: int) -> list[Sample]:
    since = now // 1000 - CLICK_THROUGH_SECONDS
    columns = hit_cuts.c
    sums = connection.execute(
        select(columns.value, func.sum(columns.clicks), func.sum(columns.impressions))
        .where(columns.cut == cuts.CHANNEL, columns.span == cuts.QUARTER_HOUR, columns.merchant == "")
        .where(columns.bucket >= since)
        .group_by(columns.value)
        .order_by(columns.value)
    )
    return [("", (("channel", channel),), int(clicks) / int(views)) for channel, clicks, views in sums if views]


def _commission(connection: Connection) -> list[Sample]:
    sums = connection.execute(
        select(conversions.c.currency, func.sum(shares.c.original), func.count())
        .join_from(shares, conversions, conversions.c.number == shares.c.conversion)
        .where(shares.c.promoter != "")
        .group_by(conversions.c.currency)
    )
    # a series that begins with its first commission would hide that one from rate()
    totals = dict.fromkeys(connection.scalars(select(merchants.c.currency)), (0, 0))
    totals |= {currency: (total, count) for currency, total, count in sums}
    samples: list[Sample] = []
    for currency, (total, count) in sorted(totals.items()):
        labels = (("currency", currency),)
        samples += [("_sum", labels, _core.format_amount(int(total), currency)), ("_count", labels, count)]
    return samples


ANYONE: frozenset[str] = frozenset()

ROUTES = (
    Route("GET", "/healthz", healthz, "Whether the process is alive", ANYONE),
    Route("GET", "/readyz", readyz, "Whether a hit can be recorded; 503 with the reason when not", ANYONE),
    Route("GET", "/metrics", metrics, "Prometheus metrics", ANYONE),
)
