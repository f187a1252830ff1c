"""How far each webhook is in the books, and what became of what was sent: a small database of the sender's own.

Synchronous; one thread uses it. `number` is the books': what is up to it needs nothing more."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Status = Literal["delivered", "failing", "dead"]

KEPT_DELIVERED = 1_000
"""Deliveries that went well and are still shown, of each webhook."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS positions (
  webhook TEXT PRIMARY KEY, made INTEGER NOT NULL, number INTEGER NOT NULL,
  attempts INTEGER NOT NULL, next_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
  webhook TEXT NOT NULL, number INTEGER NOT NULL, type TEXT NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL,
  code INTEGER NOT NULL, detail TEXT NOT NULL, at INTEGER NOT NULL, next_at INTEGER NOT NULL,
  PRIMARY KEY (webhook, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_status ON deliveries (webhook, status, number);
"""


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
    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(SCHEMA)

    def position(self, webhook: str, made: int) -> Position:
        """`made` is the number that the webhook was made under: of one that had the id before nothing is left."""
        row = self._db.execute(
            "SELECT number, attempts, next_at FROM positions WHERE webhook = ? AND made = ?", (webhook, made)
        ).fetchone()
        return Position(made) if row is None else Position(*row)

    def move(self, webhook: str, made: int, position: Position, delivery: Delivery | None = None) -> None:
        """In one transaction: the position, and what became of a delivery."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            known = self._db.execute("SELECT made FROM positions WHERE webhook = ?", (webhook,)).fetchone()
            if known is not None and known[0] != made:
                self._db.execute("DELETE FROM deliveries WHERE webhook = ?", (webhook,))
            self._db.execute(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?)",
                (webhook, made, position.number, position.attempts, position.next_at),
            )
            if delivery is not None:
                self._put(webhook, delivery)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def put(self, webhook: str, delivery: Delivery) -> None:
        """Of one that was sent again."""
        self._put(webhook, delivery)

    def _put(self, webhook: str, one: Delivery) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (webhook, one.number, one.type, one.status, one.attempts, one.code, one.detail, one.at, one.next_at),
        )
        self._db.execute(
            "DELETE FROM deliveries WHERE webhook = ?1 AND status = 'delivered' AND number <= (SELECT number FROM "
            "deliveries WHERE webhook = ?1 AND status = 'delivered' ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            (webhook, KEPT_DELIVERED),
        )

    def deliveries(self, webhook: str, status: str, before: int, limit: int) -> list[Delivery]:
        """The newest first."""
        rows = self._db.execute(
            "SELECT number, type, status, attempts, code, detail, at, next_at FROM deliveries WHERE webhook = ? "
            "AND (? = '' OR status = ?) AND number < ? ORDER BY number DESC LIMIT ?",
            (webhook, status, status, before, limit),
        )
        return [Delivery(*row) for row in rows]

    def delivery(self, webhook: str, number: int) -> Delivery | None:
        found = self.deliveries(webhook, "", number + 1, 1)
        return found[0] if found and found[0].number == number else None

    def close(self) -> None:
        self._db.close()
