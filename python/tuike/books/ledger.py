"""The ledger: append-only transfers in one order under one hash chain, and the accounts they add up to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select, update

from tuike import _core
from tuike.books.records import Transfer
from tuike.stores.bulk import Bulk, inserting
from tuike.stores.schema import accounts, entries, transfers

GENESIS = bytes(32)
# Accounts whose balances are held between batches.
MAX_HELD = 1_000_000
NAMES_PER_SELECT = 10_000

INSERT_ACCOUNTS = inserting(accounts)
INSERT_TRANSFERS = inserting(transfers)
INSERT_ENTRIES = inserting(entries)
SET_BALANCES = Bulk(
    update(accounts).where(accounts.c.id == bindparam("account")).values(balance=bindparam("stands")),
    ("stands", "account"),
)


@dataclass(slots=True)
class Account:
    """An account as all that was moved leaves it. `id` 0: it has no row yet; None: its row was not looked up, and
    `balance` is only what was moved since."""

    id: int | None
    balance: int


PURSES = ("pending", "available", "reserved", "paid", "owed", "tax")


def payable(merchant: str) -> str:
    return f"merchant:{merchant}:payable"


def promoters(promoter: str, purse: str) -> str:
    """One of a promoter's accounts, of PURSES."""
    return f"promoter:{promoter}:{purse}"


REVENUE = "platform:revenue"
CASH = "platform:cash"


class Ledger:
    """Holds the chain's end and the balances, so it belongs to the one bookkeeper.

    What is decided is `moved` at once, so that the next decision sees it, and `written` with its batch."""

    def __init__(self, connection: Connection) -> None:
        last = connection.execute(
            select(transfers.c.number, transfers.c.hash).order_by(transfers.c.number.desc()).limit(1)
        ).one_or_none()
        self._connection = connection
        self.number: int = last.number if last else 0
        self._hash: bytes = last.hash if last else GENESIS
        self._accounts: dict[tuple[str, str], Account] = {}
        self._last_account: int = connection.execute(select(func.coalesce(func.max(accounts.c.id), 0))).scalar_one()

    def begin(self, connection: Connection) -> None:
        """From now on reads by this transaction's connection."""
        self._connection = connection
        if len(self._accounts) > MAX_HELD:
            self._accounts.clear()

    def prepare(self, keys: Iterable[tuple[str, str]]) -> None:
        """Looks up together the accounts (name, currency) whose balances are about to be asked for."""
        fresh = [key for key in dict.fromkeys(keys) if self._accounts.setdefault(key, Account(None, 0)).id is None]
        self._look_up(fresh)

    def balance(self, name: str, currency: str) -> int:
        """What the account stands at after all that was moved."""
        key = name, currency
        account = self._accounts.setdefault(key, Account(None, 0))
        if account.id is None:
            self._look_up([key])
        return account.balance

    def move(self, moved: Iterable[Transfer]) -> None:
        """Takes transfers into the balances. Each must sum to zero: a bug otherwise."""
        for transfer in moved:
            if sum([amount for _, amount in transfer.entries]):
                raise AssertionError(f"transfer {transfer.conversion}:{transfer.step} does not sum to zero")
            for name, amount in transfer.entries:
                account = self._accounts.get((name, transfer.currency))
                if account is None:
                    account = self._accounts[name, transfer.currency] = Account(None, 0)
                account.balance += amount

    def write(self, connection: Connection, written: Sequence[Transfer]) -> None:
        """Appends transfers that were moved, in this order."""
        if not written:
            return
        touched = self._open(connection, written)
        hashes = _core.chain_hashes(
            self._hash, self.number + 1, [(transfer.currency, transfer.entries) for transfer in written]
        )
        rows, lines = [], []
        number = self.number
        for transfer, hash in zip(written, hashes, strict=True):
            number += 1
            currency = transfer.currency
            rows.append((number, transfer.conversion, transfer.step, transfer.kind, currency, transfer.at, hash))
            for position, (name, amount) in enumerate(transfer.entries):
                lines.append((number, position, self._accounts[name, currency].id, amount))
        INSERT_TRANSFERS.run(connection, rows)
        INSERT_ENTRIES.run(connection, lines)
        SET_BALANCES.run(connection, [(account.balance, account.id) for account in touched])
        self.number, self._hash = number, hashes[-1]

    def _open(self, connection: Connection, written: Sequence[Transfer]) -> list[Account]:
        """Gives every account named a row, in the order they are named; answers with those that had one."""
        named = dict.fromkeys([(name, transfer.currency) for transfer in written for name, _ in transfer.entries])
        self._look_up([key for key in named if self._accounts[key].id is None])
        touched, opened = [], []
        for key in named:
            account = self._accounts[key]
            if account.id:
                touched.append(account)
                continue
            self._last_account += 1
            account.id = self._last_account
            opened.append((account.id, *key, account.balance))
        INSERT_ACCOUNTS.run(connection, opened)
        return touched

    def _look_up(self, keys: Sequence[tuple[str, str]]) -> None:
        """Adds to what was moved what stands in the rows."""
        for start in range(0, len(keys), NAMES_PER_SELECT):
            chunk = keys[start : start + NAMES_PER_SELECT]
            names = {name for name, _ in chunk}
            for row in self._connection.execute(select(accounts).where(accounts.c.name.in_(names))):
                account = self._accounts.get((row.name, row.currency))
                if account is not None and account.id is None:
                    account.id = row.id
                    account.balance += row.balance
            for key in chunk:
                if self._accounts[key].id is None:
                    self._accounts[key].id = 0
