"""/v1/promoters/{id}/statements and /v1/ledger/roots: what anyone can check without the database."""

from sqlalchemy import Connection, select

from tuike.admin import auth, pages, proof_answers, queries
from tuike.admin.problems import not_found
from tuike.admin.routes import Body, Call, Route
from tuike.statements import LINES_PER_STATEMENT, Signer, day_view, statements
from tuike.stores.schema import days, promoters


async def page(call: Call) -> Body:
    auth.check_subject(call.actor.promoter_only(), call.path("id"), "promoter")
    return await call.read_copy(_page, call.service.signer, call.path("id"), call.query)


async def roots(call: Call) -> Body:
    return await call.read(_roots, call.service.signer, call.query)


def _page(connection: Connection, signer: Signer, promoter: str, query: queries.Statements) -> Body:
    """A page ends early once it has the lines of a full statement."""
    if connection.scalar(select(promoters.c.id).where(promoters.c.id == promoter)) is None:
        raise not_found(f"promoter {promoter}")
    after = int(pages.decode_cursor(query.cursor, int)) if query.cursor else 0
    items: list[Body] = []
    lines = 0
    for statement in statements(connection, signer, promoter, query.month or "", after):
        if items and (len(items) == query.limit or lines + len(statement["lines"]) > LINES_PER_STATEMENT):
            return {"items": items, "next": pages.encode_cursor(items[-1]["last"])}
        items.append(statement)
        lines += len(statement["lines"])
    return {"items": items, "next": None}


def _roots(connection: Connection, signer: Signer, query: queries.Page) -> Body:
    page = pages.page(connection, select(days), days.c.day, day_view, cursor=query.cursor, limit=query.limit)
    return page | {"key": signer.public}


ROUTES = (
    Route(
        "GET",
        "/v1/promoters/{id}/statements",
        page,
        "Signed statements of a promoter's accounts, by month, of days that are closed, with what proves each line",
        auth.READERS | auth.PROMOTER,
        query=queries.Statements,
        answer=proof_answers.Statements,
    ),
    Route(
        "GET",
        "/v1/ledger/roots",
        roots,
        "The roots of the ledger's closed days, which statements prove against, and the key that signs them",
        auth.READERS | auth.SCOPED,
        query=queries.Page,
        answer=proof_answers.Roots,
    ),
)
