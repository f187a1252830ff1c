"""Erasures: nothing is left of who is forgotten, and what is still to come is said."""

import msgspec
from sqlalchemy import Connection, select

from tuike.faults import Found
from tuike.stores import erasures
from tuike.stores.erasures import DONE, Pending
from tuike.stores.schema import erasure_journals, producers
from tuike.stores.schema import erasures as table


def check(connection: Connection) -> str:
    left = select(table.c.id).where(table.c.state == DONE, (table.c.subject != "") | (table.c.fresh != ""))
    row = connection.execute(left.limit(1)).one_or_none()
    if row is not None:
        raise Found(f"erasure {row.id}", "it is done, and still says who it was")
    counts = erasures.counts(connection)
    under_way = sum(counts.values()) - counts.get(DONE, 0)
    if not under_way:
        return f"{counts.get(DONE, 0)} done"
    return f"{counts.get(DONE, 0)} done, {under_way} under way: {_pending(connection) or _waiting(connection)}"


def _waiting(connection: Connection) -> str:
    away = select(producers.c.machine).where(producers.c.state == "away").distinct().order_by(producers.c.machine)
    machines = ", ".join(connection.scalars(away))
    return f"waiting for the books, and for what {machines} has" if machines else "waiting for the books"


def _pending(connection: Connection) -> str:
    """Where a segment is still written to, or a machine has not looked."""
    told = [
        f"{row.machine} {name} segment {', '.join(map(str, indexes))}"
        for row in connection.execute(
            select(erasure_journals).order_by(erasure_journals.c.id, erasure_journals.c.machine)
        )
        for name, indexes in msgspec.json.decode(row.pending, type=Pending).items()
    ]
    return "; ".join(sorted(set(told)))
