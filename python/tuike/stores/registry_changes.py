"""What edges on other machines must hear, written in the transaction that changes it and kept for a day."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select

from tuike.stores import meta
from tuike.stores.bulk import missing
from tuike.stores.schema import registry_changes

KEPT_MS = 86_400_000
MOST = 50_000
"""Entries that are told one by one; with more to hear, a mirror begins anew with a snapshot."""
PRUNED_KEY = "registry_changes_pruned"  # up to this number of the books

Entry = dict[str, Any]

_INSERT = missing(registry_changes)


@dataclass(frozen=True, slots=True)
class Told:
    """Entries that came with one number of the books."""

    number: int
    entries: list[Entry]


def write(connection: Connection, entries: Sequence[Entry], number: int, now: int) -> None:
    """`number` is as high as any under which something was written. Twice is once."""
    rows = [(number, place, json.dumps(entry, ensure_ascii=False), now) for place, entry in enumerate(entries)]
    _INSERT.run(connection, rows)


def prune(connection: Connection, now: int) -> None:
    """Drops what is older than a day."""
    old = registry_changes.c.at < now - KEPT_MS
    last = connection.scalar(select(func.max(registry_changes.c.number)).where(old))
    if last is not None:
        connection.execute(delete(registry_changes).where(registry_changes.c.number <= last))
        meta.write(connection, PRUNED_KEY, str(last))


def since(connection: Connection, number: int) -> list[Told] | None:
    """What came after a number, in turn; None where some of it is kept no more, or it is more than `MOST` entries."""
    if number < int(meta.read(connection, PRUNED_KEY) or 0):
        return None
    columns = registry_changes.c
    query = select(columns.number, columns.entry).where(columns.number > number)
    rows = connection.execute(query.order_by(columns.number, columns.position).limit(MOST + 1)).all()
    if len(rows) > MOST:
        return None
    told: list[Told] = []
    for row in rows:
        if not told or told[-1].number != row.number:
            told.append(Told(row.number, []))
        told[-1].entries.append(json.loads(row.entry))
    return told
