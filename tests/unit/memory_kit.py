"""Real books in memory, made anew in a millisecond, and what must hold in them whatever happens."""

import itertools
import json
import sqlite3
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from money_kit import MoneyBooks
from sqlalchemy import Engine

from tuike.books.backlog import Item
from tuike.books.bookkeeper import Bookkeeper
from tuike.books.records import Booked
from tuike.books.touches import NoTouches
from tuike.replay.compare import NOT_DERIVED
from tuike.stores import engine, migrations, schema

FIRST_EVENT = 1_000
"""Below it are the events of the template."""
MEMORY = Path(":memory:")
LINES = "SELECT conversion, position, promoter, level, via, original, amount FROM shares ORDER BY conversion, position"

Registered = tuple[int, str, dict[str, Any]]
"""A registry write: when, its operation, its data."""


class Crash(Exception):
    """The processor is killed between its journal and its commit."""


@cache
def memory(which: str) -> Engine:
    """One engine for all cases: what is compiled for it is compiled once. `which` tells apart two that are needed at
    the same time."""
    return engine.scratch(MEMORY)


def driver(made: Engine) -> sqlite3.Connection:
    """The one connection of an engine in memory, for what SQLAlchemy need not read."""
    borrowed = made.raw_connection()
    connection = borrowed.driver_connection
    borrowed.close()  # gives it back
    assert isinstance(connection, sqlite3.Connection)
    return connection


def tables(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """All rows of all that is made of the journal."""
    names = [table.name for table in schema.metadata.sorted_tables if table.name not in NOT_DERIVED]
    return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}  # noqa: S608


class MemoryBooks(MoneyBooks):
    """Books that begin as `template` and can be killed. After each batch `obey` checks what always holds."""

    def __init__(self, template: Engine | None = None, minimum: dict[str, int] | None = None) -> None:
        self._template = template
        self.crashing = self.marked = False
        self.written: dict[str, Item] = {}
        self._standing: dict[int, tuple[str, list[int]]] = {}
        self._proved = 0
        super().__init__(MEMORY, minimum)
        self._events = itertools.count(1 if template is None else FIRST_EVENT)

    def database(self, path: Path) -> Engine:
        made = memory("books")
        self.raw = driver(made)
        if self._template is None:
            migrations.upgrade(made)
        else:
            driver(self._template).backup(self.raw)
        return made

    def registered(self, writes: Sequence[Registered]) -> list[str]:
        """Applies registry writes in one batch; their codes."""
        bodies = [(at, json.dumps({"op": op, "data": data, "actor": "token:1"}).encode()) for at, op, data in writes]
        items = [self.event("registry", received=at, body=body) for at, body in bodies]
        self.run(registry=items)
        return [self.answer(item)[1] for item in items]

    # --- the processor's life ---

    def run(self, orders: Sequence[Item] = (), registry: Sequence[Item] = (), now: int = 0) -> None:
        """One transaction of the processor; if it is to be killed, all of it is lost but its journal. Then the same
        messages once more: nothing is written (of what is checked, so after `mark`)."""
        self.written |= {item.message.id: item for item in registry}
        before = len(self.journal)
        try:
            with self.engine.begin() as connection:
                self.bookkeeper.apply(connection, registry, orders)
                if not orders and not registry:
                    self.bookkeeper.step(connection, now)
                if self.crashing and len(self.journal) > before:
                    raise Crash
        except Crash:
            self.crashing = False
            self.restart()
        if self.marked and (orders or registry):
            rows = self.raw.total_changes
            self.apply(registry, orders)
            assert self.raw.total_changes == rows, "posted twice"

    def restart(self) -> None:
        """A start of the processor: what the journal has and the tables lack is posted first."""
        self.open()
        with self.engine.begin() as connection:
            self.bookkeeper.recover(connection, self.journal, self)  # type: ignore[arg-type]  # it has the writes

    def registry_write(self, id: str) -> Item | None:
        return self.written.get(id)

    def answer(self, item: Item) -> tuple[str, str]:
        """Status and code of what became of it."""
        row = self.raw.execute("SELECT status, code FROM outcomes WHERE event_id = ?", (item.message.id,)).fetchone()
        return row[0], row[1]

    # --- what they hold ---

    def accounts_now(self) -> dict[tuple[str, str], int]:
        rows = self.raw.execute("SELECT name, currency, balance FROM accounts WHERE balance != 0")
        return {(name, currency): balance for name, currency, balance in rows}

    def orders_now(self) -> dict[tuple[str, str, str], tuple[Any, ...]]:
        """By merchant, order and product: status, refunded, reason, whether released, the shares above 0."""
        shares: dict[int, list[Any]] = {}
        for conversion, _, promoter, level, via, _, amount in self.raw.execute(LINES):
            if promoter and amount:
                shares.setdefault(conversion, []).append((promoter, level, via, amount))
        rows = self.raw.execute(
            "SELECT merchant, order_id, product, c.number, status, refunded, reason, r.number IS NOT NULL"
            " FROM conversions c LEFT JOIN releases r ON r.conversion = c.number"
        )
        return {
            (merchant, order, product): (status, refunded, reason, bool(released), sorted(shares.get(number, [])))
            for merchant, order, product, number, status, refunded, reason, released in rows
        }

    def payouts_now(self) -> dict[str, tuple[Any, ...]]:
        rows = self.raw.execute("SELECT id, promoter, amount, tax, net, status FROM payouts")
        return {id: tuple(columns) for id, *columns in rows}

    # --- what always holds ---

    def obey(self) -> None:
        """Of money.md, sections 2 and 5: transfers are appended and sum to zero; nobody's purse but `owed` is below
        zero; a share of an order that is approved only falls; what is rejected or refunded whole stands at zero."""
        last = self.raw.execute("SELECT coalesce(max(number), 0) FROM transfers").fetchone()[0]
        sums = self.raw.execute(
            "SELECT transfer, sum(amount), count(*) FROM entries WHERE transfer > ? GROUP BY transfer", (self._proved,)
        ).fetchall()
        assert [number for number, _, _ in sums] == list(range(self._proved + 1, last + 1))
        assert all(total == 0 and count >= 2 for _, total, count in sums), sums
        self._proved = last
        for (name, _), balance in self.accounts_now().items():
            if name.startswith("promoter:"):
                assert (balance < 0) == name.endswith(":owed"), (name, balance)
        lines: dict[int, list[int]] = {}
        for conversion, _, _, _, _, original, amount in self.raw.execute(LINES):
            assert 0 <= amount <= original
            lines.setdefault(conversion, []).append(amount)
        for number, status in self.raw.execute("SELECT number, status FROM conversions"):
            now = lines.get(number, [])
            assert status not in ("rejected", "refunded") or not any(now), (number, status, now)
            before, stood = self._standing.get(number, ("", []))
            if before not in ("", "pending"):
                assert len(now) == len(stood), (number, stood, now)
                assert all(a >= b for a, b in zip(stood, now, strict=True)), (number, stood, now)
            self._standing[number] = status, now

    def mark(self) -> None:
        """What `replayed` begins with."""
        self.raw.backup(driver(memory("again")))
        self.journal.clear()
        self.marked = True

    def replayed(self) -> None:
        """The journal, read from its bytes, makes the same rows in all tables that are made of it."""
        again = memory("again")
        with again.begin() as connection:
            keeper = Bookkeeper(connection, NoTouches(), lambda records: None, 3, self.minimum)
            for written in self.journal:
                record = msgspec.json.decode(msgspec.json.encode(written), type=Booked)
                if record.kind == "registry":
                    keeper.repeat_write(connection, self.written[record.event], record.number)
                else:
                    keeper.repeat(connection, [record])
        live, made = tables(self.raw), tables(driver(again))
        assert live == made, [(name, live[name], made[name]) for name in live if live[name] != made[name]]
