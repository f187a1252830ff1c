"""The ledger: no number is missing, entries sum to zero, the hash chain is unbroken, balances are their entries' sums.

Every transfer and every entry is read once; the days' trees are made from the same reading."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, select

from tuike import _core
from tuike.faults import Found
from tuike.stores.bulk import Row, stream
from tuike.stores.schema import accounts, conversions, entries, transfers
from tuike.stores.tiles import Entry

TRANSFERS_PER_BATCH = 5_000
GENESIS = bytes(32)

HEADS = (
    select(
        transfers.c.number,
        transfers.c.conversion,
        transfers.c.step,
        transfers.c.kind,
        transfers.c.currency,
        transfers.c.at,
        transfers.c.hash,
        conversions.c.id,
    )
    .outerjoin(conversions, conversions.c.number == transfers.c.conversion)
    .order_by(transfers.c.number)
)
LINES = select(entries).order_by(entries.c.transfer, entries.c.position)


class Ledger:
    """Reads the ledger from its first transfer on, and adds up what it finds."""

    def __init__(self, connection: Connection) -> None:
        self._names: dict[int, str] = {}
        self._currencies: dict[int, str] = {}
        self._balances: dict[int, int] = {}
        for id, name, currency, balance in stream(connection, select(accounts)):
            self._names[id], self._currencies[id], self._balances[id] = name, currency, balance
        self._sums = dict.fromkeys(self._names, 0)
        self._heads = stream(connection, HEADS)
        self._lines = stream(connection, LINES)
        self._line: Row | None = next(self._lines, None)
        self.number = 0
        self.hash = GENESIS

    def batches(self) -> Iterator[list[Entry]]:
        """Checks transfer after transfer; their entries, as they are in the days' trees."""
        while heads := list(islice(self._heads, TRANSFERS_PER_BATCH)):
            found: list[Entry] = []
            chained = [self._transfer(head, found) for head in heads]
            hashes = _core.chain_hashes(self.hash, self.number + 1 - len(heads), chained)
            for head, hash in zip(heads, hashes, strict=True):
                if head[6] != hash:
                    raise Found(f"transfer {head[0]}", "the hash chain is broken here")
            self.hash = hashes[-1]
            yield found
        if self._line is not None:
            raise Found(f"transfer {self._line[0]}", "entries without a transfer")

    def _transfer(self, head: Row, found: list[Entry]) -> tuple[str, list[tuple[str, int]]]:
        """Checks one transfer and takes its entries; what of it is hashed."""
        number, conversion, step, kind, currency, at, _, order = head
        self.number += 1
        if number != self.number:
            raise Found(f"transfer {number}", f"transfer {self.number} is missing")
        if conversion and order is None:
            raise Found(f"transfer {number}", f"there is no order {conversion}")
        id = f"{order}:{step}" if conversion else step
        names, currencies, sums = self._names, self._currencies, self._sums
        entries: list[tuple[str, int]] = []
        line, total = self._line, 0
        while line is not None and line[0] == number:
            _, position, account, amount = line
            name = names.get(account)
            if name is None or position != len(entries):
                raise Found(f"transfer {number}", "its entries are not its own")
            if currencies[account] != currency:
                raise Found(f"transfer {number}", f"its entries are not all in {currency}")
            sums[account] += amount
            total += amount
            entries.append((name, amount))
            found.append((number, position, name, currency, amount, kind, at, id))
            line = next(self._lines, None)
        self._line = line
        if total or len(entries) < 2:
            raise Found(f"transfer {number}", "its entries are not two or more that sum to zero")
        return currency, entries

    def check_balances(self) -> None:
        """Each account stands at the sum of its entries; call it after the last batch."""
        for id, balance in self._balances.items():
            if balance != self._sums[id]:
                place = f"account {self._names[id]} {self._currencies[id]}"
                raise Found(place, f"balance {balance}, entries sum to {self._sums[id]}")

    def proved(self) -> str:
        return f"{self.number} transfers, {len(self._names)} accounts"


def rows(connection: Connection, first: int, last: int) -> list[tuple[Any, ...]]:
    """Conversion, step, kind, currency, instant and hash of a stretch of transfers."""
    columns = transfers.c
    names = (columns.conversion, columns.step, columns.kind, columns.currency, columns.at, columns.hash)
    found = select(*names).where(columns.number.between(first, last)).order_by(columns.number)
    return list(stream(connection, found))
