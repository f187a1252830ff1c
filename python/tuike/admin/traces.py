"""/v1/events: what became of an event that was accepted."""

import binascii
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from tuike.admin import answers, auth
from tuike.admin.auth import Actor
from tuike.admin.problems import not_found
from tuike.admin.routes import Body, Call, Route
from tuike.stores.schema import outcomes

ID_DIGITS = 32
TIME_DIGITS = 12
# Between an event's place behind the watermark and its outcome in the books; clocks of machines differ too.
GRACE_MS = 10_000


async def event(call: Call) -> Body:
    id = path_id(call.path("event_id"), "event")
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


def path_id(text: str, what: str) -> str:
    """An event's id as it stands in a path; Problem `not_found` where it is none."""
    try:
        if len(text) == ID_DIGITS:
            return binascii.unhexlify(text).hex()
    except (binascii.Error, ValueError):
        pass
    raise not_found(f"{what} {text}")


READ = auth.READERS | auth.SCOPED

ROUTES = (Route("GET", "/v1/events/{event_id}", event, "What became of a 202", READ, answer=answers.Event),)
