"""Registry writes of webhooks. They are no business of edges, and of the books only as what an admin has decided."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, insert

from tuike import views
from tuike.books import registry
from tuike.stores import schema

Body = dict[str, Any]


def create(context: "registry.Context", data: Body) -> "registry.Change":
    body = registry.fingerprint({name: value for name, value in data.items() if name != "secret"})
    standing = registry.row_of(context, schema.webhooks, data["id"])
    if standing is not None:
        return registry.again(standing, body, views.webhook)
    row = {"id": data["id"], "url": data["url"], "events": json.dumps(data["events"]), "secret": data["secret"]}
    row |= {"status": "active", "number": context.number, "created": context.at, "body": body}
    context.connection.execute(insert(schema.webhooks).values(row))
    return registry.created(f"webhook:{row['id']}", views.webhook(row), [])


def update(context: "registry.Context", data: Body) -> "registry.Change":
    row = registry.existing(context, schema.webhooks, data["id"], "webhook")
    row |= {name: data[name] for name in ("url", "status") if name in data}
    if "events" in data:
        row["events"] = json.dumps(data["events"])
    registry.store(context, schema.webhooks, row)
    return registry.changed(f"webhook:{row['id']}", views.webhook(row), [])


def remove(context: "registry.Context", data: Body) -> "registry.Change":
    row = registry.existing(context, schema.webhooks, data["id"], "webhook")
    context.connection.execute(delete(schema.webhooks).where(schema.webhooks.c.id == row["id"]))
    return registry.changed(f"webhook:{row['id']}", views.webhook(row), [])


def replay(context: "registry.Context", data: Body) -> "registry.Change":
    """For the audit: what is sent again is the sender's to know."""
    registry.existing(context, schema.webhooks, data["id"], "webhook")
    return registry.changed(f"webhook:{data['id']}", {"webhook": data["id"], "delivery": data["delivery"]}, [])


OPERATIONS: dict[str, "Callable[[registry.Context, Body], registry.Change]"] = {
    "webhook.create": create,
    "webhook.update": update,
    "webhook.delete": remove,
    "webhook.replay": replay,
}
