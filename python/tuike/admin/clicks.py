"""/v1/clicks: what became of one, and all of them, the newest first."""

from typing import Any

import msgspec
from aiohttp import ClientError
from sqlalchemy import Connection, Engine, select

from tuike import views
from tuike.admin import auth, click_types, pages, reporting, traces
from tuike.admin.auth import Actor
from tuike.admin.problems import Problem, not_found
from tuike.admin.routes import Body, Call, Route, Service
from tuike.stores import touch_list
from tuike.stores.schema import bad_touches
from tuike.stores.touches import SqlTouches

DAY_DIGITS = 6
TEXTS = ("link", "channel", "sub1", "sub2", "sub3", "sub4", "sub5")
PERSONAL = ("visitor", "prefix", "referrer")


async def click(call: Call) -> Body:
    id = traces.path_id(call.path("click_id"), "click")
    touch = await (call.read(_stored, call.service.engine, id) if call.service.member else _asked(call.service, id))
    if touch is None:
        raise not_found(f"click {id}")
    auth.check_subject(call.actor.merchant_only(), touch.get("merchant", ""), "click of merchant")
    auth.check_subject(call.actor.promoter_only(), touch.get("aff", ""), "click of promoter")
    return _view(touch, await call.read(_bad, [id]))


async def page(call: Call) -> Body:
    wanted = _wanted(call.query, call.actor)
    books = call.service.engine
    found = await (call.read(_stored_page, books, wanted) if call.service.member else _asked_page(call.service, wanted))
    bad = await call.read(_bad, [touch["id"] for touch in found.items])
    whole = call.actor.role not in auth.SCOPED
    following = found.following
    return {
        "items": [_item(touch, bad, whole) for touch in found.items],
        "next": None if following is None else pages.encode_cursor(f"{following.day} {following.id}"),
        "back_to": None if found.back_to is None else views.instant(found.back_to),
    }


def _wanted(query: click_types.Clicks, actor: Actor) -> touch_list.Wanted:
    period = reporting.period_of(query)
    wanted = touch_list.Wanted(
        kind="" if query.kind == "any" else query.kind,
        aff=auth.narrow(actor.promoter_only(), query.promoter, "promoter"),
        pid=query.product,
        merchant=auth.narrow(actor.merchant_only(), query.merchant, "merchant"),
        visitor=query.visitor.lower(),
        counted=query.counted,
        reason=query.reason,
        limit=query.limit,
        after=_place(query.cursor) if query.cursor else None,
    )
    if period.since is not None:
        wanted.since = max(0, period.since * 1000)
    if period.until is not None:
        wanted.until = max(0, period.until * 1000 - 1)
    return wanted


def _place(cursor: str) -> touch_list.Place:
    day, _, id = str(pages.decode_cursor(cursor, str)).partition(" ")
    if not (day.isascii() and day.isdecimal() and len(day) <= DAY_DIGITS and touch_list.is_id(id)):
        raise Problem("bad_cursor", "`cursor` is not a `next` of this list")
    return touch_list.Place(int(day), id)


def _bad(connection: Connection, ids: list[str]) -> set[str]:
    """Those of them that were confirmed as fraud."""
    return set(connection.scalars(select(bad_touches.c.touch).where(bad_touches.c.touch.in_(ids))))


def _stored(connection: Connection, books: Engine, id: str) -> dict[str, Any] | None:
    """The click as the database's touches have it."""
    return _touches(connection, books).click(id)


def _stored_page(connection: Connection, books: Engine, wanted: touch_list.Wanted) -> touch_list.Page:
    return touch_list.newest(_touches(connection, books), wanted)


def _touches(connection: Connection, books: Engine) -> SqlTouches:
    touches = SqlTouches(books)
    touches.begin(connection)
    return touches


async def _asked(service: Service, id: str) -> dict[str, Any] | None:
    """The click as the processor beside us has it."""
    status, body = await _ask(service, "GET", f"/clicks/{id}")
    found: dict[str, Any] | None = msgspec.json.decode(body) if status == 200 else None
    return found


async def _asked_page(service: Service, wanted: touch_list.Wanted) -> touch_list.Page:
    _, body = await _ask(service, "POST", "/clicks", msgspec.json.encode(wanted))
    return msgspec.json.decode(body, type=touch_list.Page)


async def _ask(service: Service, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    try:
        async with service.processor.request(method, path, data=body) as answer:
            if answer.status not in (200, 404):
                raise Problem("processor_unavailable", f"the processor answers with {answer.status}")
            return answer.status, await answer.read()
    except (ClientError, OSError, TimeoutError) as error:
        raise Problem("processor_unavailable", "the processor does not answer; is it running?") from error


def _item(touch: dict[str, Any], bad: set[str], whole: bool) -> Body:
    personal = {name: touch.get(name, "") if whole else "" for name in PERSONAL}
    return _view(touch, bad) | {"kind": touch["kind"]} | personal


def _view(touch: dict[str, Any], bad: set[str]) -> Body:
    """It counts where it can lead to an order; one that was no navigation stands in the reports, and never does."""
    counted, reason = touch.get("counted", False), touch.get("reason", "")
    if counted and touch["id"] in bad:
        counted, reason = False, "confirmed_fraud"
    elif counted and touch.get("embedded", False):
        counted, reason = False, "embedded"
    return {
        "click_id": touch["id"],
        "at": views.instant(touch["at"]),
        "counted": counted,
        "reason": reason,
        "promoter": touch.get("aff", ""),
        "product": touch.get("pid", ""),
        "merchant": touch.get("merchant", ""),
        **{name: touch.get(name, "") for name in TEXTS},
        **{name: touch.get(name, False) for name in ("bot", "prefetch", "embedded", "private")},
    }


LISTED = (
    "Clicks, the newest first, as far back as attribution windows and 30 days reach; of those that nobody's code named "
    "none. Filters are looked for among 50,000 a page"
)

ROUTES = (
    Route("GET", "/v1/clicks", page, LISTED, traces.READ, query=click_types.Clicks, answer=click_types.ClickPage),
    Route("GET", "/v1/clicks/{click_id}", click, "What became of a click", traces.READ, answer=click_types.Click),
)
