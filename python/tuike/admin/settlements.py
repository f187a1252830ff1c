"""/v1/settlements: runs that release what is due."""

from sqlalchemy import Connection, select

from tuike import views
from tuike.admin import auth, money_answers, money_inputs, pages, queries
from tuike.admin.problems import not_found
from tuike.admin.routes import Body, Call, Route, writes
from tuike.stores.schema import settlements

create = writes("decision", "settlement.run")
update = writes("decision", "settlement.note", "id")


async def get(call: Call) -> Body:
    return await call.read(_get, call.path("id"))


async def page(call: Call) -> Body:
    return await call.read_copy(_page, call.query)


def _get(connection: Connection, id: str) -> Body:
    row = connection.execute(select(settlements).where(settlements.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"settlement {id}")
    return views.settlement(row)


def _page(connection: Connection, query: queries.Page) -> Body:
    return pages.page(
        connection,
        select(settlements),
        settlements.c.number,
        views.settlement,
        cursor=query.cursor,
        limit=query.limit,
        newest_first=True,
    )


ROUTES = (
    Route(
        "POST",
        "/v1/settlements",
        create,
        "Release what is due; twice is once. A run that takes longer than 5 seconds is answered with 202, and goes on",
        auth.MONEY,
        body=money_inputs.SettlementBody,
        answer=money_answers.Settlement,
        status=201,
    ),
    Route(
        "GET",
        "/v1/settlements",
        page,
        "Settlements, the newest first",
        auth.READERS,
        query=queries.Page,
        answer=money_answers.Settlements,
    ),
    Route("GET", "/v1/settlements/{id}", get, "A settlement", auth.READERS, answer=money_answers.Settlement),
    Route(
        "PATCH",
        "/v1/settlements/{id}",
        update,
        "Set a settlement's note",
        auth.MONEY,
        body=money_inputs.NoteBody,
        answer=money_answers.Settlement,
    ),
)
