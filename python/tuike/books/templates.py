"""Registry writes of posters and texts. What they may hold is judged at the doors, where they come in: what an older
journal has is applied again as it was."""

import json
from collections.abc import Callable, Container

from sqlalchemy import delete, insert

from tuike import views
from tuike.books.records import Outcome, Refusal
from tuike.books.registry import Body, Change, Context, changed, row_of
from tuike.stores.schema import templates


def replace(context: Context, data: Body) -> Change:
    """The owner's poster and texts, in place of what stood; neither of them: nothing stands any more. The same again
    changes nothing."""
    owner = data["owner"]
    kind, _, id = owner.partition(":")
    known: dict[str, Container[str]] = {"merchant": context.registry.merchants, "product": context.registry.products}
    if kind in known and id not in known[kind]:
        raise Refusal(f"unknown_{kind}", f"there is no {kind} {id!r}", http=404)
    row = {"owner": owner, "poster": data.get("poster"), "texts": json.dumps(data.get("texts", []), ensure_ascii=False)}
    standing = row_of(context, templates, owner) or {"poster": None, "texts": "[]"}
    if (row["poster"], row["texts"]) == (standing["poster"], standing["texts"]):
        return Change(Outcome.applied(views.template(row)))
    context.connection.execute(delete(templates).where(templates.c.owner == owner))
    if row["poster"] is not None or row["texts"] != "[]":
        context.connection.execute(insert(templates).values(row | {"changed": context.at}))
    return changed(f"template:{owner}", views.template(row), [])


OPERATIONS: dict[str, Callable[[Context, Body], Change]] = {"template.set": replace}
