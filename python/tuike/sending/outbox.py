"""How far each webhook is in the books, and what became of what was sent. On one machine that is a small database of
the sender's own, on several it stands in the books'.

Synchronous; one thread uses it. `number` is the books': what is up to it needs nothing more."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, Engine, MetaData, Table, delete, select

from tuike.stores import engine
from tuike.stores.bulk import replacing
from tuike.stores.schema import webhook_deliveries, webhook_positions
from tuike.stores.schema.webhooks import outbox as outbox_tables

Status = Literal["delivered", "failing", "dead"]

KEPT_DELIVERED = 1_000
"""Deliveries that went well and are still shown, of each webhook."""

_OWN = MetaData()
_IN_FILE = outbox_tables(_OWN, "")
_IN_BOOKS = (webhook_positions, webhook_deliveries)


@dataclass(frozen=True, slots=True)
class Position:
    """`attempts` that the next event has had, and when (ms) it is tried again."""

    number: int
    attempts: int = 0
    next_at: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """`code` is the answer's status, 0: there was none. Times are ms."""

    number: int
    type: str
    status: Status
    attempts: int
    code: int
    detail: str
    at: int
    next_at: int = 0


class Outbox:
    """Every call may raise one of SQL's errors."""

    def __init__(
        self, books: Engine, tables: tuple[Table, Table] = _IN_BOOKS, hold: Callable[[Connection], None] | None = None
    ) -> None:
        """`hold` is called first in each transaction that moves a webhook, and raises where another is to send."""
        self._engine = books
        self._hold = hold
        self._positions, self._deliveries = tables
        self._put_position, self._put_delivery = (replacing(table) for table in tables)

    @classmethod
    def of_file(cls, path: Path) -> "Outbox":
        books = engine.writer(path)
        with books.begin() as connection:
            _OWN.create_all(connection)
        return cls(books, _IN_FILE)

    def position(self, webhook: str, made: int) -> Position:
        """`made` is the number that the webhook was made under: of one that had the id before nothing is left."""
        table = self._positions
        with self._engine.begin() as connection:
            row = connection.execute(select(table).where(table.c.webhook == webhook)).one_or_none()
        known = row is not None and row.made == made
        return Position(row.number, row.attempts, row.next_at) if row is not None and known else Position(made)

    def move(self, webhook: str, made: int, position: Position, delivery: Delivery | None = None) -> None:
        """In one transaction: the position, and what became of a delivery."""
        table = self._positions
        with self._engine.begin() as connection:
            if self._hold is not None:
                self._hold(connection)
            known = connection.scalar(select(table.c.made).where(table.c.webhook == webhook))
            if known not in (None, made):
                connection.execute(delete(self._deliveries).where(self._deliveries.c.webhook == webhook))
            self._put_position.run(connection, [(webhook, made, position.number, position.attempts, position.next_at)])
            if delivery is not None:
                self._put(connection, webhook, delivery)

    def put(self, webhook: str, delivery: Delivery) -> None:
        """Of one that was sent again."""
        with self._engine.begin() as connection:
            self._put(connection, webhook, delivery)

    def _put(self, connection: Connection, webhook: str, one: Delivery) -> None:
        row = (webhook, one.number, one.type, one.status, one.attempts, one.code, one.detail, one.at, one.next_at)
        self._put_delivery.run(connection, [row])
        table = self._deliveries
        delivered = (table.c.webhook == webhook, table.c.status == "delivered")
        numbers = select(table.c.number).where(*delivered).order_by(table.c.number.desc())
        oldest = connection.scalar(numbers.limit(1).offset(KEPT_DELIVERED))
        if oldest is not None:
            connection.execute(delete(table).where(*delivered, table.c.number <= oldest))

    def deliveries(self, webhook: str, status: str, before: int, limit: int) -> list[Delivery]:
        """The newest first."""
        table = self._deliveries
        found = select(table).where(table.c.webhook == webhook, table.c.number < before)
        if status:
            found = found.where(table.c.status == status)
        with self._engine.begin() as connection:
            rows = connection.execute(found.order_by(table.c.number.desc()).limit(limit)).all()
        return [Delivery(*row[1:]) for row in rows]

    def delivery(self, webhook: str, number: int) -> Delivery | None:
        found = self.deliveries(webhook, "", number + 1, 1)
        return found[0] if found and found[0].number == number else None

    def copy_to(self, there: Connection) -> None:
        """All of it into the books of several machines, which have nothing of it, or an earlier copy."""
        with self._engine.begin() as connection:
            for mine, theirs in zip((self._positions, self._deliveries), _IN_BOOKS, strict=True):
                replacing(theirs).run(there, [tuple(row) for row in connection.execute(select(mine))])

    def close(self) -> None:
        self._engine.dispose()
