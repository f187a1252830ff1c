"""/v1/fraud: the review queue, and the lists of networks that rules ask about.

Whoever decides on money decides about flags; a merchant sees the flags of the own orders, a promoter none."""

from typing import Any

from sqlalchemy import Connection, Select, select

from tuike import views
from tuike.admin import auth, fraud_types, pages, queries
from tuike.admin.auth import Actor
from tuike.admin.problems import not_found
from tuike.admin.routes import Answer, Body, Call, Handler, Route, writes
from tuike.stores.schema import conversions, fraud_flags, fraud_networks


def _decides(op: str) -> Handler:
    async def decide(call: Call) -> Answer:
        body: fraud_types.FlagDecision = call.body
        return await call.write("decision", op, {"id": call.path("id"), "note": body.note or body.reason})

    return decide


async def get(call: Call) -> Body:
    return await call.read(_get, call.path("id"), call.actor)


async def page(call: Call) -> Body:
    return await call.read_copy(_page, call.query, call.actor)


load = writes("registry", "fraud.networks", "id")


async def lists(call: Call) -> Body:
    return await call.read_copy(_lists, call.query)


def _select() -> Select[Any]:
    joined = fraud_flags.join(conversions, conversions.c.number == fraud_flags.c.conversion)
    return select(fraud_flags, conversions.c.id.label("order")).select_from(joined)


def _get(connection: Connection, id: str, actor: Actor) -> Body:
    row = connection.execute(_select().where(fraud_flags.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"flag {id}")
    auth.check_subject(actor.merchant_only(), row["merchant"], "flag of merchant")
    return views.flag(row)


def _page(connection: Connection, query: fraud_types.Flags, actor: Actor) -> Body:
    statement = _select()
    for column, value in (
        (fraud_flags.c.status, query.status),
        (fraud_flags.c.rule, query.rule),
        (fraud_flags.c.promoter, query.promoter),
        (fraud_flags.c.merchant, auth.narrow(actor.merchant_only(), query.merchant, "merchant")),
        (fraud_flags.c.product, query.product),
        (conversions.c.id, query.conversion),
    ):
        if value:
            statement = statement.where(column == value)
    return pages.page(
        connection,
        statement,
        fraud_flags.c.number,
        views.flag,
        cursor=query.cursor,
        limit=query.limit,
        newest_first=True,
    )


def _lists(connection: Connection, query: queries.Page) -> Body:
    return pages.page(
        connection,
        select(fraud_networks),
        fraud_networks.c.id,
        views.networks,
        cursor=query.cursor,
        limit=query.limit,
    )


READ = auth.READERS | auth.MERCHANT

ROUTES = (
    Route(
        "GET",
        "/v1/fraud/flags",
        page,
        "What fraud rules have found, the newest first",
        READ,
        query=fraud_types.Flags,
        answer=fraud_types.FlagPage,
    ),
    Route("GET", "/v1/fraud/flags/{id}", get, "A flag", READ, answer=fraud_types.Flag),
    Route(
        "POST",
        "/v1/fraud/flags/{id}/clear",
        _decides("fraud.clear"),
        "It is none: an order whose flags are all cleared goes on to the status that the merchant gave it",
        auth.MONEY,
        body=fraud_types.FlagDecision,
        answer=fraud_types.Flag,
    ),
    Route(
        "POST",
        "/v1/fraud/flags/{id}/confirm",
        _decides("fraud.confirm"),
        "It is fraud: the order is rejected, and its clicks never count again",
        auth.MONEY,
        body=fraud_types.FlagDecision,
        answer=fraud_types.Flag,
    ),
    Route(
        "PUT",
        "/v1/fraud/networks/{id}",
        load,
        "Load a list of networks (of data centres), in place of what it had",
        auth.ADMIN,
        body=fraud_types.NetworksBody,
        answer=fraud_types.NetworkList,
    ),
    Route(
        "GET",
        "/v1/fraud/networks",
        lists,
        "The lists of networks by id",
        auth.READERS,
        query=queries.Page,
        answer=fraud_types.NetworkLists,
    ),
)
