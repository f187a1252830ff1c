"""Books with time and decisions about money: what the tests of settlements, payouts and taxes share."""

import itertools
import json
from pathlib import Path
from typing import Any

from books_kit import DAY, NOW, TEN_PERCENT, Books
from sqlalchemy import select

from tuike.books.backlog import Item
from tuike.books.bookkeeper import Bookkeeper
from tuike.books.records import Message
from tuike.config import PAYOUT_MINIMUM
from tuike.stores import schema

ACCOUNTS = ("pending", "available", "reserved", "paid", "tax", "owed")
PASSED = 90 * DAY
"""After it all that the tests sell is due."""


class MoneyBooks(Books):
    """Orders of `aff`, decisions at given instants. `minimum` is the least payout per currency."""

    def __init__(self, path: Path, minimum: dict[str, int] | None = None) -> None:
        self.minimum = dict(PAYOUT_MINIMUM) if minimum is None else minimum
        self._events = itertools.count(1)
        super().__init__(path)

    def open(self) -> None:
        with self.engine.begin() as connection:
            self.bookkeeper = Bookkeeper(connection, self.touches, self.journal.extend, 3, self.minimum)

    def event(self, kind: str, *, received: int, **fields: Any) -> Item:
        seq = next(self._events)
        message = Message(
            **{"id": f"{1 << 120 | seq:032x}", "kind": kind, "at": received, "received": received} | fields
        )
        return Item(received, "edge-1", seq, 2, message)

    def sell(self, oid: str, amount: int = 10_000, *, aff: str = "alice", received: int = NOW, **more: Any) -> Any:
        """The merchant's word on an order of `aff`; its outcome."""
        fields: dict[str, Any] = {"merchant": "shop", "pid": "tea", "currency": "CNY", "source": "postback"}
        item = self.event("order", received=received, **fields | {"oid": oid, "amount": amount, "aff": aff} | more)
        self.apply(orders=[item])
        return self.outcome(item.message.id)

    def decision(self, op: str, data: dict[str, Any], *, received: int, idem: str | None = None) -> Item:
        request = {"op": op, "data": data, "actor": "token:1", "idem": idem, "fingerprint": json.dumps(data)}
        return self.event("decision", received=received, body=json.dumps(request).encode())

    def ask_money(self, op: str, *, received: int = NOW + PASSED, idem: str | None = None, **data: Any) -> Any:
        """A decision about money; its outcome. A settlement only begins."""
        item = self.decision(op, data, received=received, idem=idem)
        self.apply(orders=[item])
        return self.outcome(item.message.id)

    def step(self, now: int = NOW + PASSED) -> bool:
        """What nobody asks for: one transaction. Whether there was anything to do."""
        if not self.bookkeeper.has_steps(now):
            return False
        with self.engine.begin() as connection:
            self.bookkeeper.step(connection, now)
        return True

    def settle(self, as_of: int | None = None, *, received: int = NOW + PASSED) -> Any:
        """A settlement and all its steps; its outcome."""
        item = self.decision("settlement.run", {"as_of": as_of}, received=received)
        self.apply(orders=[item])
        while self.step(received):
            pass
        return self.outcome(item.message.id)

    def payout(self, promoter: str = "alice", **more: Any) -> Any:
        """A payout that is asked for; its outcome."""
        return self.ask_money("payout.create", promoter=promoter, **more)

    def purses(self, promoter: str = "alice", currency: str = "CNY") -> dict[str, int]:
        """A promoter's accounts that are not at zero, by their short names."""
        names = {f"promoter:{promoter}:{purse}": purse for purse in ACCOUNTS}
        kept = select(schema.accounts).where(schema.accounts.c.name.in_(names), schema.accounts.c.currency == currency)
        return {names[row["name"]]: row["balance"] for row in self.rows(kept) if row["balance"]}

    def account(self, name: str, currency: str = "CNY") -> int:
        columns = schema.accounts.c
        rows = self.rows(select(columns.balance).where(columns.name == name, columns.currency == currency))
        return sum(row["balance"] for row in rows)

    def ledger(self) -> list[tuple[str, str, int, bytes]]:
        """All entries in the order of booking, with the chain's hashes."""
        table = schema.transfers
        entries, accounts = schema.entries, schema.accounts
        lines = (
            select(table.c.step, accounts.c.name, entries.c.amount, table.c.hash)
            .join_from(table, entries, entries.c.transfer == table.c.number)
            .join(accounts, accounts.c.id == entries.c.account)
            .order_by(table.c.number, entries.c.position)
        )
        return [tuple(row.values()) for row in self.rows(lines)]  # type: ignore[misc]

    def proved(self) -> None:
        """Every transfer and every currency sums to zero; nothing of a promoter's is below it, but what is owed."""
        sums = self.rows(select(schema.entries.c.transfer, schema.entries.c.amount))
        by_transfer: dict[int, int] = {}
        for row in sums:
            by_transfer[row["transfer"]] = by_transfer.get(row["transfer"], 0) + row["amount"]
        assert set(by_transfer.values()) <= {0}
        for name, balance in self.balances().items():
            if name.startswith("promoter:"):
                assert (balance < 0) == name.endswith(":owed"), (name, balance)


def made(
    path: Path, rule: dict[str, Any] = TEN_PERCENT, minimum: dict[str, int] | None = None, **product: Any
) -> MoneyBooks:
    """Books with a shop that settles at once what is approved."""
    books = MoneyBooks(path, minimum)
    books.shop(rule, **product)
    books.ask("merchant.update", id="shop", settlement="T+0")
    return books
