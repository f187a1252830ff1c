"""Registry writes of the lists of networks that fraud rules look for."""

import json
from collections.abc import Callable

from sqlalchemy import delete, insert

from tuike import _core, views
from tuike.books.records import Refusal
from tuike.books.registry import CODE, Body, Change, Context, changed
from tuike.stores import schema


def replace(context: Context, data: Body) -> Change:
    """A list of networks, in place of what stood under its id."""
    if CODE.fullmatch(data["id"]) is None:
        raise Refusal("bad_id", "an id is 1 to 64 of A-Za-z0-9._-")
    lines: list[str] = data["networks"]
    kinds = _core.Networks.kinds(lines)
    if "bad" in kinds:
        raise Refusal("bad_network", f"{lines[kinds.index('bad')]!r} is no network such as 192.0.2.0/24")
    networks = [line for line, kind in zip(lines, kinds, strict=True) if kind == "network"]
    row = {"id": data["id"], "networks": json.dumps(networks), "updated": context.at}
    row["narrow"] = len(lines) - len(networks)
    table = schema.fraud_networks
    context.connection.execute(delete(table).where(table.c.id == row["id"]))
    context.connection.execute(insert(table).values(row))
    context.registry.note_networks(row["id"], networks)
    return changed(f"networks:{row['id']}", views.networks(row), [])


OPERATIONS: dict[str, Callable[[Context, Body], Change]] = {"fraud.networks": replace}
