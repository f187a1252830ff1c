"""Erasures: nothing is left of who is forgotten, and what is still to come is said."""

import msgspec
from sqlalchemy import Connection, select

from tuike.faults import Found
from tuike.stores import erasures
from tuike.stores.erasures import DONE, WAITING, Pending
from tuike.stores.schema import erasure_journals, producers
from tuike.stores.schema import erasures as table


def check(connection: Connection) -> str:
    left = select(table.c.id).where(table.c.state == DONE, (table.c.subject != "") | (table.c.fresh != ""))
    row = connection.execute(left.limit(1)).one_or_none()
    if row is not None:
        raise Found(f"erasure {row.id}", "it is done, and still says who it was")
    counts = erasures.counts(connection)
    done, under_way = f"{counts.get(DONE, 0)} done", sum(counts.values()) - counts.get(DONE, 0)
    if not under_way:
        return done
    books = [_books(connection)] if counts.get(WAITING) else []
    return f"{done}, {under_way} under way: {'; '.join([*books, *_pending(connection)])}"


def _books(connection: Connection) -> str:
    """Whose events books that are not complete lack."""
    away = select(producers.c.machine).where(producers.c.state == "away").distinct().order_by(producers.c.machine)
    machines = ", ".join(connection.scalars(away))
    return f"waiting for the books, and for what {machines} has" if machines else "waiting for the books"


def _pending(connection: Connection) -> list[str]:
    """Where a segment is still written to, or a machine has not looked."""
    told = {
        f"{row.machine} {name} segment {', '.join(map(str, indexes))}"
        for row in connection.execute(select(erasure_journals))
        for name, indexes in msgspec.json.decode(row.pending, type=Pending).items()
    }
    return sorted(told)
