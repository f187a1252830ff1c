"""Registry writes of webhooks. They are no business of edges, and of the books only as what an admin has decided."""

import json
from collections.abc import Callable

from sqlalchemy import delete, insert

from tuike import views
from tuike.books.registry import Body, Change, Context, again, changed, created, existing, fingerprint, row_of, store
from tuike.stores import schema


def create(context: Context, data: Body) -> Change:
    body = fingerprint({name: value for name, value in data.items() if name != "secret"})
    standing = row_of(context, schema.webhooks, data["id"])
    if standing is not None:
        return again(standing, body, views.webhook)
    row = {"id": data["id"], "url": data["url"], "events": json.dumps(data["events"]), "secret": data["secret"]}
    row |= {"status": "active", "number": context.number, "created": context.at, "body": body}
    context.connection.execute(insert(schema.webhooks).values(row))
    return created(f"webhook:{row['id']}", views.webhook(row), [])


def update(context: Context, data: Body) -> Change:
    row = existing(context, schema.webhooks, data["id"], "webhook")
    row |= {name: data[name] for name in ("url", "status") if name in data}
    if "events" in data:
        row["events"] = json.dumps(data["events"])
    store(context, schema.webhooks, row)
    return changed(f"webhook:{row['id']}", views.webhook(row), [])


def remove(context: Context, data: Body) -> Change:
    row = existing(context, schema.webhooks, data["id"], "webhook")
    context.connection.execute(delete(schema.webhooks).where(schema.webhooks.c.id == row["id"]))
    return changed(f"webhook:{row['id']}", views.webhook(row), [])


def replay(context: Context, data: Body) -> Change:
    """For the audit: what is sent again is the sender's to know."""
    existing(context, schema.webhooks, data["id"], "webhook")
    return changed(f"webhook:{data['id']}", {"webhook": data["id"], "delivery": data["delivery"]}, [])


OPERATIONS: dict[str, Callable[[Context, Body], Change]] = {
    "webhook.create": create,
    "webhook.update": update,
    "webhook.delete": remove,
    "webhook.replay": replay,
}
