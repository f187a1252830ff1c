"""/v1/visitors: what is kept about a visitor or a merchant's customer, and its erasure; /v1/erasures: how far those
have come (GDPR, articles 15 and 17; PIPL, articles 45 and 47)."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from aiohttp import ClientError, ClientTimeout
from sqlalchemy import Connection, Engine, RowMapping, func, select

from tuike import _core, views
from tuike.admin import auth, pages, people_answers, queries
from tuike.admin.problems import Problem, not_found
from tuike.admin.routes import Answer, Body, Call, Route, Service
from tuike.stores.bulk import stream
from tuike.stores.erasures import Pending
from tuike.stores.schema import conversions, erasure_journals, erasures, merchants, path_ends, promoters, waiting
from tuike.stores.touches import SqlTouches

MAX_EVENTS = 10_000
MAX_ORDERS = 10_000
MAX_CUSTOMER_BYTES = 512
PATIENCE = ClientTimeout(total=60.0)
"""With a processor that has much to do."""
ID_DIGITS = 32
NOT_SHOWN = ("body",)
ALWAYS = 2**63 - 1
NO_ID = "0" * ID_DIGITS

Person = tuple[Literal["visitor", "customer"], str, str]
"""Kind, merchant (empty: a visitor) and who."""


def _person(call: Call) -> Person:
    who, merchant = call.path("id"), call.query.merchant
    if merchant:
        if len(who.encode()) > MAX_CUSTOMER_BYTES:
            raise Problem("bad_person", f"a customer's id has at most {MAX_CUSTOMER_BYTES} bytes")
        return "customer", merchant, who
    if len(who) != ID_DIGITS or not set(who.lower()) <= set("0123456789abcdef"):
        raise Problem("bad_person", f"a visitor's id has {ID_DIGITS} hex digits; of a customer say the `merchant`")
    return "visitor", "", who.lower()


# --- export ----------------------------------------------------------------------------------------


async def export(call: Call) -> Body:
    person = _person(call)
    names = _core.Erasure([(*person, ALWAYS, ALWAYS, NO_ID)])
    found = {} if call.service.member else await call.read(_journalled, call.service, names)
    for touch in await _touches(call, person):
        found.setdefault(touch["id"], touch)
    events = sorted(found.values(), key=lambda event: (event.get("at", 0), event["id"]))
    return await call.read(_export, person, names, events)


def _journalled(_connection: Connection, service: Service, names: _core.Erasure) -> dict[str, Body]:
    """The events of this machine's journal, by id."""
    found: dict[str, Body] = {}
    for _, number, path in _core.incarnations(str(service.journal)):
        for index in _core.journal_segments(path):
            for seq, fields in names.find(path, index, MAX_EVENTS + 1 - len(found)):
                found[fields.get("id") or f"{number:016x}{seq:016x}"] = fields
            if len(found) > MAX_EVENTS:
                return found
    return found


async def _touches(call: Call, person: Person) -> list[Body]:
    kind, merchant, who = person
    asked = "visitor" if kind == "visitor" else "cust"
    whose = [merchant] if merchant else await call.read(_merchants)
    if call.service.member:
        return await call.read(_stored, call.service.engine, asked, whose, who)
    found: list[Body] = []
    try:
        for one in whose:
            query = {"kind": asked, "merchant": one, "key": who}
            async with call.service.processor.get("/touches", params=query, timeout=PATIENCE) as answer:
                found += msgspec.json.decode(await answer.read()) if answer.status == 200 else []
    except (ClientError, OSError, TimeoutError) as error:
        detail = f"the processor does not answer ({type(error).__name__}); is it running?"
        raise Problem("processor_unavailable", detail) from error
    return found


def _merchants(connection: Connection) -> list[str]:
    return list(connection.scalars(select(merchants.c.id)))


def _stored(connection: Connection, books: Engine, kind: Any, whose: Sequence[str], who: str) -> list[Body]:
    touches = SqlTouches(books)
    touches.begin(connection)
    paths = [touches.path(kind, merchant, who, 0, ALWAYS) for merchant in whose]
    return [touch for path in [*paths, *(touches.bindings(kind, one, who, ALWAYS) for one in whose)] for touch in path]


def _export(connection: Connection, person: Person, names: _core.Erasure, events: list[Body]) -> Body:
    kind, merchant, who = person
    orders = list(_orders(connection, merchant, names))
    return {
        "kind": kind,
        "id": who,
        "merchant": merchant,
        "whole": len(events) <= MAX_EVENTS and len(orders) <= MAX_ORDERS,
        "events": [_event(event) for event in events[:MAX_EVENTS]],
        "orders": orders[:MAX_ORDERS],
        "path_ends": _path_ends(connection, who) if kind == "visitor" else [],
        "waiting_refunds": [
            {name: value for name, value in msgspec.json.decode(row.message).items() if value and name not in NOT_SHOWN}
            for row in connection.execute(select(waiting))
            if names.rewrite_text(msgspec.json.decode(row.message)["merchant"], row.message) is not None
        ],
        "promoters": _claiming(connection, merchant, who) if merchant else [],
        "also_known_as": _also(events, person),
    }


def _event(fields: Mapping[str, Any]) -> Body:
    times = {name: views.instant(fields[name]) for name in ("at", "received") if name in fields}
    return {name: value for name, value in fields.items() if name not in NOT_SHOWN} | times


def _orders(connection: Connection, merchant: str, names: _core.Erasure) -> Iterable[Body]:
    """Reads all orders (of the merchant): what an order names has no index."""
    columns = [column for column in conversions.columns if column.name not in ("number", "stamp")]
    asked = select(*columns).order_by(conversions.c.number)
    if merchant:
        asked = asked.where(conversions.c.merchant == merchant)
    count = 0
    for values in stream(connection, asked):
        row = dict(zip([column.name for column in columns], values, strict=True))
        if names.rewrite_text(row["merchant"], row["evidence"]) is None:
            continue
        count += 1
        yield {
            "conversion": row["id"],
            "order_id": row["order_id"],
            "merchant": row["merchant"],
            "product": row["product"],
            "amount": None if row["amount"] is None else _core.format_amount(row["amount"], row["currency"]),
            "currency": row["currency"],
            "status": row["status"],
            "at": views.instant(row["at"]),
            "evidence": msgspec.json.decode(row["evidence"]),
        }
        if count > MAX_ORDERS:
            return


def _path_ends(connection: Connection, visitor: str) -> list[Body]:
    found = connection.execute(select(path_ends).where(path_ends.c.visitor == visitor))
    return [{"merchant": row.merchant, "at": views.instant(row.at), "conversion": row.conversion} for row in found]


def _claiming(connection: Connection, merchant: str, cust: str) -> list[str]:
    rows = connection.execute(select(promoters.c.id, promoters.c.customers).where(promoters.c.customers != "[]"))
    return sorted(
        row.id
        for row in rows
        if any((one["merchant"], one["cust"]) == (merchant, cust) for one in msgspec.json.decode(row.customers))
    )


def _also(events: Sequence[Mapping[str, Any]], person: Person) -> Body:
    kind, merchant, who = person
    visitors = {event["visitor"] for event in events if event.get("visitor")} - ({who} if kind == "visitor" else set())
    customers = {(event.get("merchant", ""), event["cust"]) for event in events if event.get("cust")}
    return {
        "visitors": sorted(visitors),
        "customers": [{"merchant": m, "cust": c} for m, c in sorted(customers - {(merchant, who)})],
        "devices": sorted({event["did"] for event in events if event.get("did")}),
    }


# --- erasure ---------------------------------------------------------------------------------------


async def erase(call: Call) -> Answer:
    kind, merchant, who = _person(call)
    subject = {"visitor": who} if kind == "visitor" else {"merchant": merchant, "cust": who}
    # who it was must not be told by a hash that anybody can make again
    whole = f"{call.request.method} {call.request.path_qs}".encode()
    fingerprint = hmac.new(bytes.fromhex(call.service.secret), whole, hashlib.sha256).hexdigest()
    return await call.write("registry", "person.erase", {}, fields=subject, fingerprint=fingerprint)


async def page(call: Call) -> Body:
    return await call.read(_page, call.query)


def _page(connection: Connection, query: queries.Page) -> Body:
    pending = _pending(connection)

    def view(row: RowMapping) -> Body:
        return _view(row, pending.get(row["id"], []))

    return pages.page(connection, select(erasures), erasures.c.id, view, cursor=query.cursor, limit=query.limit)


async def get(call: Call) -> Body:
    return await call.read(_get, call.path("id"))


def _get(connection: Connection, id: str) -> Body:
    row = connection.execute(select(erasures).where(erasures.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"erasure {id}")
    return _view(row, _pending(connection).get(id, []))


def _pending(connection: Connection) -> dict[str, list[Body]]:
    """What machines have still to write again, by erasure."""
    found: dict[str, list[Body]] = {}
    rows = select(erasure_journals).where(func.length(erasure_journals.c.pending) > len("{}"))
    for row in connection.execute(rows.order_by(erasure_journals.c.id, erasure_journals.c.machine)):
        for name, segments in msgspec.json.decode(row.pending, type=Pending).items():
            found.setdefault(row.id, []).append({"machine": row.machine, "journal": name, "segments": segments})
    return found


def _view(row: RowMapping, pending: list[Body]) -> Body:
    names = ("id", "kind", "merchant", "state", "touches", "orders")
    done = views.instant(row["done"]) if row["done"] else None
    return {name: row[name] for name in names} | {"at": views.instant(row["at"]), "done": done, "pending": pending}


ROUTES = (
    Route(
        "GET",
        "/v1/visitors/{id}/export",
        export,
        "All that is kept about a visitor, or with `merchant` about that merchant's customer of this id",
        auth.ADMIN,
        query=queries.Person,
        answer=people_answers.Export,
    ),
    Route(
        "DELETE",
        "/v1/visitors/{id}",
        erase,
        "Erase a visitor, or with `merchant` that merchant's customer of this id; sums of money stay",
        auth.ADMIN,
        query=queries.Person,
        answer=people_answers.Asked,
    ),
    Route("GET", "/v1/erasures", page, "Erasures", auth.READERS, query=queries.Page, answer=people_answers.Erasures),
    Route("GET", "/v1/erasures/{id}", get, "How far an erasure has come", auth.READERS, answer=people_answers.Erasure),
)
