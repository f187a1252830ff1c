"""/v1/webhooks: where what happens in the books is sent to, and what became of it."""

import base64
from typing import Any

from sqlalchemy import Connection, select

from tuike import _core, views
from tuike.admin import auth, inputs, pages, queries, webhook_types
from tuike.admin.problems import Problem, not_found
from tuike.admin.routes import Answer, Body, Call, Route, writes
from tuike.admin.secret import fresh_secret, show
from tuike.sending.guard import why_not
from tuike.sending.outbox import Delivery, Outbox
from tuike.sending.sender import SEAL_PURPOSE, SECRET_PREFIX
from tuike.stores.schema import webhooks

NONCE_BYTES = 12


async def create(call: Call) -> Answer:
    body: webhook_types.WebhookBody = call.body
    _check_url(call, body.url)
    secret = SECRET_PREFIX + base64.b64encode(bytes.fromhex(fresh_secret(call, "webhook"))).decode()
    sealed = _core.seal(call.service.secret, SEAL_PURPOSE, secret.encode(), call.service.random(NONCE_BYTES))
    answer = await call.write("registry", "webhook.create", inputs.data(body) | {"secret": sealed})
    return show(answer, secret=secret)


async def update(call: Call) -> Answer:
    body: webhook_types.WebhookPatch = call.body
    if isinstance(body.url, str):
        _check_url(call, body.url)
    return await call.write("registry", "webhook.update", inputs.data(body) | {"id": call.path("id")})


remove = writes("registry", "webhook.delete", "id")


async def get(call: Call) -> Body:
    return views.webhook(await call.read(_row, call.path("id")))


async def page(call: Call) -> Body:
    return await call.read(_page, call.query)


async def deliveries(call: Call) -> Body:
    row = await call.read(_row, call.path("id"))
    query: webhook_types.Deliveries = call.query
    before = int(pages.decode_cursor(query.cursor, int)) if query.cursor else pages.MAX_NUMBER
    found = await call.service.sender.outbox(Outbox.deliveries, row["id"], query.status, before, query.limit + 1)
    shown = found[: query.limit]
    more = pages.encode_cursor(shown[-1].number) if len(found) > len(shown) else None
    return {"items": [_view(one) for one in shown], "next": more}


async def replay(call: Call) -> Answer:
    row = await call.read(_row, call.path("id"))
    text = call.path("delivery")
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(pages.MAX_NUMBER)) else -1
    sender = call.service.sender
    delivery = await sender.outbox(Outbox.delivery, row["id"], number)
    if delivery is None:
        raise not_found(f"delivery {text} of webhook {row['id']}")
    answer = await call.write("registry", "webhook.replay", {"id": row["id"], "delivery": number})
    if answer.status != 200:
        return answer
    return Answer(200, _view(await sender.replay(sender.hook(row), delivery)))


def _check_url(call: Call, url: str) -> None:
    if not call.service.sender.allow_private and (refusal := why_not(url)):
        raise Problem("url_not_allowed", f"`url`: {refusal}; see --webhook-allow-private")


def _row(connection: Connection, id: str) -> Any:
    row = connection.execute(select(webhooks).where(webhooks.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"webhook {id}")
    return row


def _page(connection: Connection, query: queries.Page) -> Body:
    return pages.page(
        connection, select(webhooks), webhooks.c.id, views.webhook, cursor=query.cursor, limit=query.limit
    )


def _view(one: Delivery) -> Body:
    return {
        "delivery": one.number,
        "id": f"evt_{one.number}",
        "type": one.type,
        "status": one.status,
        "attempts": one.attempts,
        "code": one.code or None,
        "detail": one.detail,
        "at": views.instant(one.at),
        "next": views.instant(one.next_at) if one.next_at and one.status == "failing" else None,
    }


PATH = "/v1/webhooks/{id}"

ROUTES = (
    Route(
        "POST",
        "/v1/webhooks",
        create,
        "Send what happens from now on to a URL; the answer shows the key of its signatures, this once",
        auth.ADMIN,
        body=webhook_types.WebhookBody,
        answer=webhook_types.NewWebhook,
        status=201,
    ),
    Route(
        "GET",
        "/v1/webhooks",
        page,
        "Webhooks by id",
        auth.ADMIN,
        query=queries.Page,
        answer=webhook_types.Webhooks,
    ),
    Route("GET", PATH, get, "A webhook", auth.ADMIN, answer=webhook_types.Webhook),
    Route(
        "PATCH",
        PATH,
        update,
        "Change a webhook, or pause it: what happens meanwhile is sent later",
        auth.ADMIN,
        body=webhook_types.WebhookPatch,
        answer=webhook_types.Webhook,
    ),
    Route("DELETE", PATH, remove, "Send nothing more to it", auth.ADMIN, answer=webhook_types.Webhook),
    Route(
        "GET",
        f"{PATH}/deliveries",
        deliveries,
        "What became of what was sent, the newest first; of what was delivered the last 1,000",
        auth.ADMIN,
        query=webhook_types.Deliveries,
        answer=webhook_types.DeliveryPage,
    ),
    Route(
        "POST",
        f"{PATH}/deliveries/{{delivery}}/replay",
        replay,
        "Send one again, now",
        auth.ADMIN,
        answer=webhook_types.Delivery,
    ),
)
