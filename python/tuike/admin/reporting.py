"""/v1/reports/summary."""

from sqlalchemy import Connection

from tuike import reports
from tuike.admin import answers, auth, inputs, queries
from tuike.admin.problems import Problem
from tuike.admin.routes import Body, Call, Route


async def summary(call: Call) -> Body:
    query: queries.Summary = call.query
    filters = reports.Filters(
        promoter=auth.narrow(call.actor.promoter_only(), query.promoter, "promoter"),
        product=query.product,
        merchant=auth.narrow(call.actor.merchant_only(), query.merchant, "merchant"),
        channel=query.channel,
    )
    return await call.read_copy(_summary, query, filters)


def _summary(connection: Connection, query: queries.Summary, filters: reports.Filters) -> Body:
    try:
        zone = inputs.check_timezone(query.tz)
        period = reports.Period.parse(query.since, query.until, zone)
        return reports.summary(connection, period, filters, query.group_by)
    except reports.ReportError as error:
        raise Problem(error.code, str(error)) from error
    except ValueError as error:
        raise Problem("bad_parameter", f"`tz`: {error}") from error


ROUTES = (
    Route(
        "GET",
        "/v1/reports/summary",
        summary,
        "Hits, visitors, conversions and money of a period, whole or in groups",
        auth.READERS | auth.SCOPED,
        query=queries.Summary,
        answer=answers.Summary,
    ),
)
