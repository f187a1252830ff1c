"""/v1/payouts: money on its way to promoters. A promoter sees the own ones."""

from typing import Any

from aiohttp import web
from sqlalchemy import Connection, Select, select

from tuike import views
from tuike.admin import auth, money_answers, money_inputs, pages, queries, tables
from tuike.admin.auth import Actor
from tuike.admin.problems import not_found
from tuike.admin.routes import Body, Call, Route, writes
from tuike.stores.schema import payouts, promoters

COLUMNS = ("id", "promoter", "name", "person", "currency", "amount", "tax", "net", "status", "date", "scheme", "note")
ROWS_PER_FETCH = 1_000


create = writes("decision", "payout.create")
paid = writes("decision", "payout.paid", "id")
failed = writes("decision", "payout.failed", "id")
update = writes("decision", "payout.note", "id")


async def get(call: Call) -> Body:
    return await call.read(_get, call.path("id"), call.actor)


async def page(call: Call) -> Body:
    return await call.read_copy(_page, call.query, call.actor)


async def export(call: Call) -> web.Response:
    return tables.response("payouts", await call.read_copy(_export, call.query, call.actor))


def _get(connection: Connection, id: str, actor: Actor) -> Body:
    row = connection.execute(select(payouts).where(payouts.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"payout {id}")
    auth.check_subject(actor.promoter_only(), row["promoter"], "payout of promoter")
    return views.payout(row)


def _page(connection: Connection, query: queries.PayoutPage, actor: Actor) -> Body:
    return pages.page(
        connection,
        _filtered(select(payouts), query, actor),
        payouts.c.number,
        views.payout,
        cursor=query.cursor,
        limit=query.limit,
        newest_first=True,
    )


def _export(connection: Connection, query: queries.Payouts, actor: Actor) -> str:
    """In the order in which they were made."""
    statement = select(payouts, promoters.c.name).join_from(payouts, promoters, promoters.c.id == payouts.c.promoter)
    statement = _filtered(statement, query, actor).order_by(payouts.c.number)
    found = connection.execute(statement, execution_options={"yield_per": ROWS_PER_FETCH}).mappings()
    return tables.text(COLUMNS, map(_line, found))


def _line(row: Any) -> list[str]:
    view = views.payout(row) | {name: tables.free_text(row[name]) for name in ("name", "person", "note")}
    return [view[name] for name in COLUMNS]


def _filtered(statement: Select[Any], query: queries.Payouts, actor: Actor) -> Select[Any]:
    for column, value in (
        (payouts.c.promoter, auth.narrow(actor.promoter_only(), query.promoter, "promoter")),
        (payouts.c.status, query.status),
        (payouts.c.currency, query.currency),
    ):
        if value:
            statement = statement.where(column == value)
    if query.date is not None:
        statement = statement.where(payouts.c.day == views.day_number(query.date))
    return statement


READ = auth.READERS | auth.PROMOTER

ROUTES = (
    Route(
        "POST",
        "/v1/payouts",
        create,
        "Reserve a payout; its tax is fixed now",
        auth.MONEY,
        body=money_inputs.PayoutBody,
        answer=money_answers.Payout,
        status=201,
    ),
    Route(
        "GET",
        "/v1/payouts",
        page,
        "Payouts, the newest first",
        READ,
        query=queries.PayoutPage,
        answer=money_answers.Payouts,
    ),
    Route(
        "GET",
        "/v1/payouts/export",
        export,
        "Payouts as CSV, the oldest first",
        READ,
        query=queries.Payouts,
        answer=str,
        media=tables.MEDIA,
    ),
    Route("GET", "/v1/payouts/{id}", get, "A payout", READ, answer=money_answers.Payout),
    Route(
        "PATCH",
        "/v1/payouts/{id}",
        update,
        "Set a payout's note",
        auth.MONEY,
        body=money_inputs.NoteBody,
        answer=money_answers.Payout,
    ),
    Route(
        "POST",
        "/v1/payouts/{id}/paid",
        paid,
        "The money has left",
        auth.MONEY,
        body=money_inputs.SettledBody,
        answer=money_answers.Payout,
    ),
    Route(
        "POST",
        "/v1/payouts/{id}/failed",
        failed,
        "The money has not left, or, while its month is open, has come back",
        auth.MONEY,
        body=money_inputs.SettledBody,
        answer=money_answers.Payout,
    ),
)
