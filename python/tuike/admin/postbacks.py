"""/v1/postbacks/refused: merchants' postbacks that did not count, why, and reading them again."""

from binascii import a2b_base64
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, select

from tuike import _core, views
from tuike.admin import auth, pages, postback_types
from tuike.admin.routes import Body, Call, Route, writes
from tuike.stores.schema import refused

# what a message that was understood says, under the names that an order has at the edge
NAMES = {"click_id": "click"} | {
    name: name for name in ("oid", "pid", "currency", "status", "aff", "coupon", "refund_id", "cust", "did")
}
PERSONAL = ("cust", "did")


async def page(call: Call) -> Body:
    return await call.read_copy(_page, call.query, call.actor.merchant_only())


def _page(connection: Connection, query: postback_types.Refused, only: str) -> Body:
    statement = select(refused)
    for column, wanted in (
        (refused.c.merchant, only),
        (refused.c.merchant, query.merchant),
        (refused.c.code, query.code),
    ):
        if wanted:
            statement = statement.where(column == wanted)
    key, cursor = refused.c.number, query.cursor
    return pages.page(connection, statement, key, _view, cursor=cursor, limit=query.limit, newest_first=True)


def _view(row: RowMapping) -> Body:
    message = msgspec.json.decode(row["message"])
    return {
        "id": row["event_id"],
        "merchant": row["merchant"],
        "by": "edge" if message["kind"] == "refused" else "books",
        "signed": message["stamp"] > 0 or message["kind"] != "refused",
        "at": views.instant(row["at"]),
        "code": row["code"],
        "detail": row["detail"],
        "parameters": [{"name": name, "value": value} for name, value in _parameters(message)],
    }


def _parameters(message: dict[str, Any]) -> list[tuple[str, str]]:
    """As they came, where the edge could not read them; else as they were read."""
    if message["kind"] == "refused":
        came = [(name, value) for name, value in msgspec.json.decode(a2b_base64(message["body"]))]
        return came + [(name, message[name]) for name in PERSONAL if message[name]]
    read = [(name, message[field]) for name, field in NAMES.items() if message[field]]
    if message["amount"] is not None and message["currency"]:
        read.append(("amount", _core.format_amount(message["amount"], message["currency"])))
    return read


READ = auth.READERS | auth.MERCHANT
PATH = "/v1/postbacks/refused"

ROUTES = (
    Route(
        "GET",
        PATH,
        page,
        "Postbacks that did not count, the newest first: of each merchant the last 1,000 of 90 days",
        READ,
        query=postback_types.Refused,
        answer=postback_types.RefusedPage,
    ),
    Route(
        "POST",
        f"{PATH}/{{id}}/replay",
        writes("decision", "postback.replay", "id"),
        "Read one again, by the mapping and the rules of now; the answer says what became of it",
        auth.MONEY,
        answer=postback_types.Replayed,
    ),
    Route(
        "DELETE",
        f"{PATH}/{{id}}",
        writes("decision", "postback.dismiss", "id"),
        "Take one out of the list",
        auth.MONEY,
        answer=postback_types.Replayed,
    ),
)
