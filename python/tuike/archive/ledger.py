"""Transfers of the ledger's closed days, an entry a row; nothing of them changes any more."""

from sqlalchemy import Connection, select

from tuike import views
from tuike.archive.stage import Stage
from tuike.archive.tables import TRANSFERS
from tuike.faults import Found
from tuike.stores.bulk import stream
from tuike.stores.schema import accounts, conversions, days, entries, transfers

UNBALANCED = (
    "SELECT transfer, sum(amount) FROM transfers GROUP BY transfer HAVING sum(amount) <> 0 ORDER BY ALL LIMIT 1"
)


def closed(connection: Connection) -> dict[int, int]:
    """How many entries each day has."""
    return {row.day: row.leaves for row in connection.execute(select(days.c.day, days.c.leaves))}


def lay_out(stage: Stage, connection: Connection, day: int) -> int:
    first, last = connection.execute(select(days.c.first, days.c.last).where(days.c.day == day)).one()
    asked = (
        select(
            *(entries.c.transfer, entries.c.position, conversions.c.id, transfers.c.step, transfers.c.kind),
            *(accounts.c.name, entries.c.amount, transfers.c.currency, transfers.c.at),
        )
        .join_from(entries, transfers, transfers.c.number == entries.c.transfer)
        .join(accounts, accounts.c.id == entries.c.account)
        .outerjoin(conversions, conversions.c.number == transfers.c.conversion)
        .where(entries.c.transfer >= first, entries.c.transfer <= last)
        .order_by(entries.c.transfer, entries.c.position)
    )
    stage.begin(TRANSFERS)
    rows = ((*row[:2], row[2] or "", *row[3:]) for row in stream(connection, asked))
    return stage.add(TRANSFERS.name, rows)


def compare(stage: Stage, connection: Connection, day: int) -> None:
    """Raises Found where a transfer does not balance, or the day's tree has another number of leaves."""
    row = stage.connection.execute(UNBALANCED).fetchone()
    if row is not None:
        raise Found(f"transfer {row[0]}", f"its entries sum to {row[1]}")
    leaves = connection.scalar(select(days.c.leaves).where(days.c.day == day))
    count = stage.connection.execute("SELECT count(*) FROM transfers").fetchone()
    if count != (leaves,):
        raise Found(views.day(day), f"{count and count[0]} entries of the ledger, its tree has {leaves}")
