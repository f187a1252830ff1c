"""/v1/conversions: orders with their credits, and decisions on them."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, Select, select

from tuike import views
from tuike.admin import answers, auth, inputs, pages, queries
from tuike.admin.auth import Actor
from tuike.admin.problems import not_found
from tuike.admin.routes import Answer, Body, Call, Route, writes
from tuike.stores.schema import accounts, conversions, entries, shares, transfers

REFUND_NAME_BYTES = 16


async def get(call: Call) -> Body:
    return await call.read(_get, call.path("id"), call.actor)


async def page(call: Call) -> Body:
    return await call.read_copy(_page, call.query, call.actor)


approve = writes("decision", "conversion.approve", "id")
reject = writes("decision", "conversion.reject", "id")


async def refund(call: Call) -> Answer:
    """A part that no Idempotency-Key names gets a name of its own: sent twice, it is two refunds."""
    body: inputs.RefundBody = call.body
    data = inputs.data(body) | {"id": call.path("id")}
    if body.amount is not None and call.idempotency_key is None:
        data["refund_id"] = call.service.random(REFUND_NAME_BYTES).hex()
    return await call.write("decision", "conversion.refund", data)


def _get(connection: Connection, id: str, actor: Actor) -> Body:
    row = connection.execute(select(conversions).where(conversions.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"conversion {id}")
    auth.check_subject(actor.merchant_only(), row["merchant"], "conversion of merchant")
    lines = _shares(connection, [row["number"]]).get(row["number"], [])
    promoter = actor.promoter_only()
    if promoter and all(line["promoter"] != promoter for line in lines):
        raise not_found(f"conversion {id}")
    return _view(row, lines, promoter)


def _page(connection: Connection, query: queries.Conversions, actor: Actor) -> Body:
    statement = select(conversions)
    merchant = auth.narrow(actor.merchant_only(), query.merchant, "merchant")
    promoter = auth.narrow(actor.promoter_only(), query.promoter, "promoter")
    for column, value in (
        (conversions.c.merchant, merchant),
        (conversions.c.order_id, query.order_id),
        (conversions.c.product, query.product),
        (conversions.c.status, query.status),
    ):
        if value:
            statement = statement.where(column == value)
    if promoter:
        statement = statement.where(conversions.c.number.in_(_of_promoter(promoter)))
    rows, following = pages.fetch(
        connection, statement, conversions.c.number, cursor=query.cursor, limit=query.limit, newest_first=True
    )
    lines = _shares(connection, [row["number"] for row in rows])
    only = actor.promoter_only()
    return {"items": [_view(row, lines.get(row["number"], []), only) for row in rows], "next": following}


def _of_promoter(promoter: str) -> Select[tuple[int]]:
    """Numbers of the orders that have ever paid the promoter: the ledger's index by account knows them."""
    return (
        select(transfers.c.conversion)
        .join(entries, entries.c.transfer == transfers.c.number)
        .join(accounts, accounts.c.id == entries.c.account)
        .where(accounts.c.name == f"promoter:{promoter}:pending")
    )


def _shares(connection: Connection, numbers: Sequence[int]) -> dict[int, list[RowMapping]]:
    found: dict[int, list[RowMapping]] = {}
    statement = select(shares).where(shares.c.conversion.in_(numbers)).order_by(shares.c.conversion, shares.c.position)
    for row in connection.execute(statement).mappings():
        found.setdefault(row["conversion"], []).append(row)
    return found


def _view(row: RowMapping, lines: Sequence[RowMapping], only: str) -> Body:
    """A promoter sees the own credits, and of others how many there are: `via` names nobody else either."""
    if not only:
        return views.conversion(row, lines)
    own = [line for line in lines if line["promoter"] == only]
    body = views.conversion(row, own)
    del body["platform"]
    for credit in body["credits"]:
        credit["via"] = only if credit["via"] == only else ""
    return body | {"others": sum(1 for line in lines if line["promoter"] not in ("", only))}


READ = auth.READERS | auth.SCOPED

ROUTES = (
    Route(
        "GET",
        "/v1/conversions",
        page,
        "Conversions, the newest first",
        READ,
        query=queries.Conversions,
        answer=answers.Conversions,
    ),
    Route("GET", "/v1/conversions/{id}", get, "A conversion as it stands", READ, answer=answers.Conversion),
    Route(
        "POST",
        "/v1/conversions/{id}/approve",
        approve,
        "Approve a pending conversion",
        auth.MONEY,
        body=inputs.DecisionBody,
        answer=answers.Conversion,
    ),
    Route(
        "POST",
        "/v1/conversions/{id}/reject",
        reject,
        "Reject a conversion: what it earned goes back",
        auth.MONEY,
        body=inputs.DecisionBody,
        answer=answers.Conversion,
    ),
    Route(
        "POST",
        "/v1/conversions/{id}/refund",
        refund,
        "Refund it whole, or a part named by the Idempotency-Key",
        auth.MONEY,
        body=inputs.RefundBody,
        answer=answers.Conversion,
    ),
)
