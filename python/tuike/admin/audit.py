"""/v1/audit: who did what, when."""

import msgspec
from sqlalchemy import Connection, RowMapping, select

from tuike import views
from tuike.admin import answers, auth, pages, queries
from tuike.admin.routes import Body, Call, Route
from tuike.stores.schema import audit


async def page(call: Call) -> Body:
    return await call.read_copy(_page, call.query)


def _page(connection: Connection, query: queries.Audit) -> Body:
    statement = select(audit)
    for column, value in (
        (audit.c.actor, query.actor),
        (audit.c.action, query.action),
        (audit.c.target, query.target),
    ):
        if value:
            statement = statement.where(column == value)
    return pages.page(
        connection,
        statement,
        audit.c.number,
        _view,
        cursor=query.cursor,
        limit=query.limit,
        newest_first=True,
    )


def _view(row: RowMapping) -> Body:
    return {
        "number": row["number"],
        "at": views.instant(row["at"]),
        "actor": row["actor"],
        "action": row["action"],
        "target": row["target"],
        "detail": msgspec.json.decode(row["detail"]),
    }


ROUTES = (
    Route(
        "GET",
        "/v1/audit",
        page,
        "The audit log, the newest first",
        auth.READERS,
        query=queries.Audit,
        answer=answers.AuditPage,
    ),
)
