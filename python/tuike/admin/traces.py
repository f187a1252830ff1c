"""/v1/clicks and /v1/events: what became of a click id or of an event that was accepted."""

import binascii
from typing import Any

import msgspec
from aiohttp import ClientError
from sqlalchemy import Connection, Engine, select

from tuike import views
from tuike.admin import answers, auth
from tuike.admin.auth import Actor
from tuike.admin.problems import Problem, not_found
from tuike.admin.routes import Body, Call, Route, Service
from tuike.stores.schema import bad_touches, outcomes
from tuike.stores.touches import SqlTouches

ID_DIGITS = 32
TIME_DIGITS = 12
# Between an event's place behind the watermark and its outcome in the books; clocks of machines differ too.
GRACE_MS = 10_000


async def click(call: Call) -> Body:
    id = _id(call.path("click_id"), "click")
    touch = await (call.read(_stored, call.service.engine, id) if call.service.member else _asked(call.service, id))
    if touch is None:
        raise not_found(f"click {id}")
    auth.check_subject(call.actor.merchant_only(), touch.get("merchant", ""), "click of merchant")
    auth.check_subject(call.actor.promoter_only(), touch.get("aff", ""), "click of promoter")
    if touch.get("counted") and await call.read(_is_bad, id):
        touch |= {"counted": False, "reason": "confirmed_fraud"}
    return _click(id, touch)


def _is_bad(connection: Connection, id: str) -> bool:
    return connection.scalar(select(bad_touches.c.touch).where(bad_touches.c.touch == id)) is not None


def _stored(connection: Connection, books: Engine, id: str) -> dict[str, Any] | None:
    """The click as the database's touches have it."""
    touches = SqlTouches(books)
    touches.begin(connection)
    return touches.click(id)


async def _asked(service: Service, id: str) -> dict[str, Any] | None:
    """The click as the processor beside us has it."""
    try:
        async with service.processor.get(f"/clicks/{id}") as answer:
            if answer.status not in (200, 404):
                raise Problem("processor_unavailable", f"the processor answers with {answer.status}")
            found: dict[str, Any] | None = msgspec.json.decode(await answer.read()) if answer.status == 200 else None
            return found
    except (ClientError, OSError, TimeoutError) as error:
        raise Problem("processor_unavailable", "the processor does not answer; is it running?") from error


def _click(id: str, touch: dict[str, Any]) -> Body:
    """It counts where it can lead to an order; one that was no navigation stands in the reports, and never does."""
    embedded = touch.get("counted", False) and touch.get("embedded", False)
    return {
        "click_id": id,
        "at": views.instant(touch["at"]),
        "counted": touch.get("counted", False) and not embedded,
        "reason": "embedded" if embedded else touch.get("reason", ""),
        "promoter": touch.get("aff", ""),
        "product": touch.get("pid", ""),
        "merchant": touch.get("merchant", ""),
        "link": touch.get("link", ""),
        "channel": touch.get("channel", ""),
        "sub1": touch.get("sub1", ""),
        "sub2": touch.get("sub2", ""),
        "sub3": touch.get("sub3", ""),
        "sub4": touch.get("sub4", ""),
        "sub5": touch.get("sub5", ""),
        "bot": touch.get("bot", False),
        "prefetch": touch.get("prefetch", False),
        "embedded": touch.get("embedded", False),
        "private": touch.get("private", False),
    }


async def event(call: Call) -> Body:
    id = _id(call.path("event_id"), "event")
    if found := await call.read(_event, id, call.actor):
        return found
    watermark = await call.service.watermark()
    # a second look: what has been booked since the first is behind this watermark, and would seem never to have been
    return await call.read(_event, id, call.actor) or _not_yet(id, watermark, call.service.clock())


def _event(connection: Connection, id: str, actor: Actor) -> Body | None:
    row = connection.execute(select(outcomes).where(outcomes.c.event_id == id)).mappings().one_or_none()
    if row is None:
        return None
    result = msgspec.json.decode(row["result"])
    if not _concerns(actor, result):
        raise not_found(f"event {id}")
    return {
        "event_id": id,
        "kind": row["kind"],
        "status": row["status"],
        "code": row["code"] or None,
        "detail": result.pop("detail", None) if row["status"] == "set_aside" else None,
        "result": {name: value for name, value in result.items() if name != "code"},
    }


def _not_yet(id: str, watermark: int, now: int) -> Body:
    """An id begins with its event's time: what the books have not come to yet is waiting, anything else never was."""
    if not watermark - GRACE_MS <= int(id[:TIME_DIGITS], 16) <= now + GRACE_MS:
        raise not_found(f"event {id}")
    return {"event_id": id, "kind": None, "status": "waiting", "code": None, "detail": None, "result": {}}


def _concerns(actor: Actor, result: dict[str, Any]) -> bool:
    """Whether an outcome is the actor's to see: a merchant's orders, a promoter's links."""
    if actor.role not in auth.SCOPED:
        return True
    return bool(result.get(actor.role) == actor.subject)


def _id(text: str, what: str) -> str:
    try:
        if len(text) == ID_DIGITS:
            return binascii.unhexlify(text).hex()
    except (binascii.Error, ValueError):
        pass
    raise not_found(f"{what} {text}")


READ = auth.READERS | auth.SCOPED

ROUTES = (
    Route("GET", "/v1/clicks/{click_id}", click, "What became of a click", READ, answer=answers.Click),
    Route("GET", "/v1/events/{event_id}", event, "What became of a 202", READ, answer=answers.Event),
)
