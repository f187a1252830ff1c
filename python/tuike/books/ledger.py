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


@dataclass(slots=True, eq=False)
class Account:
    """An account as all that was moved leaves it. `id` 0: it has no row yet; None: its row was not looked up, and
    `balance` is only what was moved since."""

    name: str
    currency: str
    id: int | None = None
    balance: int = 0


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
        self._moved: list[Account] = []  # of each entry that is moved and not written
        self._last_account: int = connection.execute(select(func.coalesce(func.max(accounts.c.id), 0))).scalar_one()

    def begin(self, connection: Connection) -> None:
        """From now on reads by this transaction's connection."""
        self._connection = connection
        if len(self._accounts) > MAX_HELD:
            self._accounts.clear()

    def prepare(self, keys: Iterable[tuple[str, str]]) -> None:
        """Looks up together the accounts (name, currency) whose balances are about to be asked for."""
        named = [self._account(*key) for key in dict.fromkeys(keys)]
        self._look_up([account for account in named if account.id is None])

    def balance(self, name: str, currency: str) -> int:
        """What the account stands at after all that was moved."""
        account = self._account(name, currency)
        if account.id is None:
            self._look_up([account])
        return account.balance

    def move(self, moved: Iterable[Transfer]) -> None:
        """Takes transfers into the balances. Each must sum to zero: a bug otherwise."""
        for transfer in moved:
            total, currency = 0, transfer.currency
            for name, amount in transfer.entries:
                account = self._accounts.get((name, currency)) or self._account(name, currency)
                account.balance += amount
                total += amount
                self._moved.append(account)
            if total:
                raise AssertionError(f"transfer {transfer.conversion}:{transfer.step} does not sum to zero")

    def write(self, connection: Connection, written: Sequence[Transfer]) -> None:
        """Appends all transfers that were moved, in the order in which they were."""
        moved, self._moved = self._moved, []
        if not written:
            return
        touched = self._open(connection, list(dict.fromkeys(moved)))
        hashes = _core.chain_hashes(
            self._hash, self.number + 1, [(transfer.currency, transfer.entries) for transfer in written]
        )
        rows, lines = [], []
        number, touching = self.number, iter(moved)
        for transfer, hash in zip(written, hashes, strict=True):
            number += 1
            currency = transfer.currency
            rows.append((number, transfer.conversion, transfer.step, transfer.kind, currency, transfer.at, hash))
            for position, (name, amount) in enumerate(transfer.entries):
                account = next(touching)
                if account.name != name:
                    raise AssertionError(f"transfer {transfer.conversion}:{transfer.step} was not moved in its turn")
                lines.append((number, position, account.id, amount))
        if next(touching, None) is not None:
            raise AssertionError("more was moved than is written")
        INSERT_TRANSFERS.run(connection, rows)
        INSERT_ENTRIES.run(connection, lines)
        SET_BALANCES.run(connection, [(account.balance, account.id) for account in touched])
        self.number, self._hash = number, hashes[-1]

    def _account(self, name: str, currency: str) -> Account:
        account = self._accounts.get((name, currency))
        if account is None:
            account = self._accounts[name, currency] = Account(name, currency)
        return account

    def _open(self, connection: Connection, named: Sequence[Account]) -> list[Account]:
        """Gives every account named a row, in the order they are named; answers with those that had one."""
        self._look_up([account for account in named if account.id is None])
        touched, opened = [], []
        for account in named:
            if account.id:
                touched.append(account)
                continue
            self._last_account += 1
            account.id = self._last_account
            opened.append((account.id, account.name, account.currency, account.balance))
        INSERT_ACCOUNTS.run(connection, opened)
        return touched

    def _look_up(self, named: Sequence[Account]) -> None:
        """Adds to what was moved what stands in the rows."""
        for start in range(0, len(named), NAMES_PER_SELECT):
            chunk = named[start : start + NAMES_PER_SELECT]
            names = {account.name for account in chunk}
            for row in self._connection.execute(select(accounts).where(accounts.c.name.in_(names))):
                known = self._accounts.get((row.name, row.currency))
                if known is not None and known.id is None:
                    known.id = row.id
                    known.balance += row.balance
            for account in chunk:
                account.id = account.id or 0
