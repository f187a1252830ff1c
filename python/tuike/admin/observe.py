"""/healthz, /readyz and /metrics: what a supervisor and Prometheus ask, without a token."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from sqlalchemy import Connection, func, select

from tuike import _core, observing
from tuike.admin.problems import Problem
from tuike.admin.routes import Body, Call, Route, Service
from tuike.observing import NO_EDGE, PROMETHEUS_TEXT, Sample, family
from tuike.stores import cuts, erasures, members
from tuike.stores.schema import dues, fraud_flags, hit_cuts, level_sums, merchants, set_aside_sums

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
        "How far behind the clock the books are, sums of hits included.",
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
        + family(
            "tuike_set_aside",
            "gauge",
            "Orders, claims and postbacks that stand set aside by the books or refused by an edge, by the reason.",
            _set_aside(connection),
        )
        + family(
            "tuike_settlement_due_seconds",
            "gauge",
            "How long the first order that may be released has waited for a settlement.",
            [("", (), _due(connection, now))],
        )
        + family(
            "tuike_erasures_under_way",
            "gauge",
            "Erasures of persons that are not done, by how far they are.",
            [("", (("state", state),), count) for state, count in _erasing(connection)],
        )
        + family(
            "tuike_erasures_archive_pending",
            "gauge",
            "Whether erasures wait for a machine's archive; for long, where tuike[archive] is not installed there.",
            [("", (("machine", machine),), 1) for machine in erasures.archives_pending(connection)],
        )
    )


def _open_flags(connection: Connection) -> list[Sample]:
    flags = fraud_flags.c
    waiting = select(flags.rule, func.count()).where(flags.status == "open").group_by(flags.rule).order_by(flags.rule)
    return [("", (("rule", rule),), count) for rule, count in connection.execute(waiting)]


def _erasing(connection: Connection) -> list[tuple[str, int]]:
    counts = erasures.counts(connection)
    return [(state, counts.get(state, 0)) for state in (erasures.WAITING, erasures.JOURNALS)]


def _conversions(connection: Connection) -> list[Sample]:
    sums = level_sums.c
    counts = connection.execute(
        select(sums.level, sums.product, func.sum(sums.conversions))
        .where(sums.conversions > 0)
        .group_by(sums.level, sums.product)
        .order_by(sums.level, sums.product)
    )
    return [("", (("level", str(level)), ("product", product)), int(count)) for level, product, count in counts]


def _set_aside(connection: Connection) -> list[Sample]:
    rows = connection.execute(select(set_aside_sums).order_by(set_aside_sums.c.code))
    return [("", (("code", row.code),), row.messages) for row in rows]


def _due(connection: Connection, now: int) -> float:
    """Seconds; the first row of a table in the order of its instants."""
    first = connection.scalar(select(func.min(dues.c.due)))
    return 0 if first is None else max(0, now - int(first)) / 1000


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
        select(level_sums.c.currency, func.sum(level_sums.c.commission), func.sum(level_sums.c.shares))
        .group_by(level_sums.c.currency)
        .having(func.sum(level_sums.c.shares) > 0)
    )
    # a series that begins with its first commission would hide that one from rate()
    totals = dict.fromkeys(connection.scalars(select(merchants.c.currency)), (0, 0))
    totals |= {currency: (total, count) for currency, total, count in sums}
    samples: list[Sample] = []
    for currency, (total, count) in sorted(totals.items()):
        labels = (("currency", currency),)
        samples += [("_sum", labels, _core.format_amount(int(total), currency)), ("_count", labels, int(count))]
    return samples


ANYONE: frozenset[str] = frozenset()

ROUTES = (
    Route("GET", "/healthz", healthz, "Whether the process is alive", ANYONE),
    Route("GET", "/readyz", readyz, "Whether a hit can be recorded; 503 with the reason when not", ANYONE),
    Route("GET", "/metrics", metrics, "Prometheus metrics", ANYONE),
)
