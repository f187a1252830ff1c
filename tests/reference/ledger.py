"""The ledger (money.md section 5): accounts are dicts, transfers a list, nothing is ever changed.

A balance is what entered less what left: a merchant's payable is negative while he owes, `platform:cash` negative
while it holds money of merchants, and `promoter:ID:owed` negative by what the promoter owes (decided).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

Entry = tuple[str, int]


@dataclass(frozen=True)
class Transfer:
    """`concerns`: the order (its key), payout or decision that it is about."""

    step: str
    concerns: object
    currency: str
    entries: tuple[Entry, ...]


class Ledger:
    def __init__(self) -> None:
        self.transfers: list[Transfer] = []

    @property
    def accounts(self) -> dict[tuple[str, str], int]:
        """(account, currency) → balance, without those that are 0: all transfers added up."""
        balances: dict[tuple[str, str], int] = defaultdict(int)
        for transfer in self.transfers:
            for account, amount in transfer.entries:
                balances[account, transfer.currency] += amount
        return {account: balance for account, balance in balances.items() if balance}

    def balance(self, account: str, currency: str) -> int:
        return self.accounts.get((account, currency), 0)

    def owed(self, promoter: str, currency: str) -> int:
        return -self.balance(f"promoter:{promoter}:owed", currency)

    def post(self, step: str, concerns: object, currency: str, entries: Iterable[Entry]) -> None:
        """One transfer; entries of one account are one, nothing is posted where nothing moves."""
        moved: dict[str, int] = defaultdict(int)
        for account, amount in entries:
            moved[account] += amount
        assert sum(moved.values()) == 0, (step, moved)
        if left := tuple((account, amount) for account, amount in moved.items() if amount):
            self.transfers.append(Transfer(step, concerns, currency, left))

    def into_available(self, promoter: str, currency: str, amount: int) -> list[Entry]:
        """What enters available: owed is taken from it first."""
        taken = min(amount, self.owed(promoter, currency))
        return [(f"promoter:{promoter}:owed", taken), (f"promoter:{promoter}:available", amount - taken)]

    def out_of_available(self, promoter: str, currency: str, amount: int) -> list[Entry]:
        """What leaves available by reversal or correction: what is missing there becomes owed."""
        there = min(amount, self.balance(f"promoter:{promoter}:available", currency))
        return [(f"promoter:{promoter}:available", -there), (f"promoter:{promoter}:owed", there - amount)]
