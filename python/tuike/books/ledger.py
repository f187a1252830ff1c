"""The ledger: append-only transfers in one order under one hash chain, and the accounts they add up to."""

import hashlib
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, func, insert, select, update

from tuike.books.records import Transfer
from tuike.stores.schema import accounts, entries, transfers

GENESIS = bytes(32)
NAMES_PER_SELECT = 10_000

ADD_TO_BALANCE = (
    update(accounts)
    .where(accounts.c.id == bindparam("account"))
    .values(balance=accounts.c.balance + bindparam("moved"))
)

Account = tuple[str, str]  # name and currency


def chain_hash(previous: bytes, number: int, currency: str, lines: Iterable[tuple[str, int]]) -> bytes:
    """SHA-256 over the previous hash, the transfer's number, and its entries' accounts and amounts."""
    text = "".join(f"{name}\t{currency}\t{amount}\n" for name, amount in lines)
    return hashlib.sha256(previous + f"{number}\n{text}".encode()).digest()


class Ledger:
    """Posts transfers. Holds the chain's end and the accounts' numbers, so it belongs to the one bookkeeper."""

    def __init__(self, connection: Connection) -> None:
        last = connection.execute(
            select(transfers.c.number, transfers.c.hash).order_by(transfers.c.number.desc()).limit(1)
        ).one_or_none()
        self._number: int = last.number if last else 0
        self._hash: bytes = last.hash if last else GENESIS
        self._accounts: dict[Account, int] = {}
        self._last_account: int = connection.execute(select(func.coalesce(func.max(accounts.c.id), 0))).scalar_one()

    def post(self, connection: Connection, posted: Sequence[Transfer]) -> None:
        """Appends transfers in this order. Each must sum to zero: a bug otherwise."""
        if not posted:
            return
        self._open_accounts(connection, posted)
        rows, lines = [], []
        moved: dict[int, int] = {}
        for transfer in posted:
            if sum(amount for _, amount in transfer.entries):
                raise AssertionError(f"transfer {transfer.id} does not sum to zero")
            self._number += 1
            self._hash = chain_hash(self._hash, self._number, transfer.currency, transfer.entries)
            rows.append(
                {
                    "number": self._number,
                    "id": transfer.id,
                    "kind": transfer.kind,
                    "conversion": transfer.conversion,
                    "currency": transfer.currency,
                    "at": transfer.at,
                    "hash": self._hash,
                }
            )
            for position, (name, amount) in enumerate(transfer.entries):
                account = self._accounts[name, transfer.currency]
                moved[account] = moved.get(account, 0) + amount
                lines.append({"transfer": self._number, "position": position, "account": account, "amount": amount})
        connection.execute(insert(transfers), rows)
        connection.execute(insert(entries), lines)
        connection.execute(ADD_TO_BALANCE, [{"account": id, "moved": amount} for id, amount in moved.items()])

    def _open_accounts(self, connection: Connection, posted: Sequence[Transfer]) -> None:
        """Knows the number of every account named, and opens those that are new in the order they are named."""
        named = dict.fromkeys((name, transfer.currency) for transfer in posted for name, _ in transfer.entries)
        unknown = [account for account in named if account not in self._accounts]
        for start in range(0, len(unknown), NAMES_PER_SELECT):
            names = [name for name, _ in unknown[start : start + NAMES_PER_SELECT]]
            for row in connection.execute(select(accounts).where(accounts.c.name.in_(names))):
                self._accounts[row.name, row.currency] = row.id
        opened = []
        for account in unknown:
            if account not in self._accounts:
                self._last_account += 1
                self._accounts[account] = self._last_account
                opened.append({"id": self._last_account, "name": account[0], "currency": account[1], "balance": 0})
        if opened:
            connection.execute(insert(accounts), opened)
