"""What was moved, held against what the ledger has and what orders' lines stand at."""

from array import array
from collections.abc import Sequence

from sqlalchemy import Connection

from tuike import _core
from tuike.books.ledger import REVENUE
from tuike.books.records import Transfer
from tuike.faults import Found
from tuike.verify import ledger

# What changes what an order's lines stand at. Other transfers move the same money on.
OF_LINES = ("accrue", "reverse")
MASK = 2**61 - 1


class Chain:
    """The transfers that records moved, held against the ledger's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._hash = ledger.GENESIS
        self.number = 0

    def take(self, moved: Sequence[tuple[int, Transfer]]) -> None:
        if not moved:
            return
        first = self.number + 1
        hashes = _core.chain_hashes(self._hash, first, [(move.currency, move.entries) for _, move in moved])
        kept = iter(ledger.rows(self._connection, first, first + len(moved) - 1))
        for (number, move), hash in zip(moved, hashes, strict=True):
            self.number += 1
            if next(kept, None) != (move.conversion, move.step, move.kind, move.currency, move.at, hash):
                raise Found(f"transfer {self.number}", f"it is not what number {number} of the books moved")
        self._hash = hashes[-1]

    def end(self) -> None:
        if ledger.rows(self._connection, self.number + 1, self.number + 1):
            raise Found(f"transfer {self.number + 1}", "nothing in the journal has moved it")


class Brought:
    """What each order's transfers have brought to its promoters and the platform, all of them in one number: their sums
    times a secret factor for each. Other sums than equal ones come to the same number with a chance of 2^-60."""

    def __init__(self, upto: int) -> None:
        self._sums = zeros(upto)
        self._factors: dict[str, int] = {}

    def take(self, transfer: Transfer) -> None:
        if not transfer.conversion or transfer.kind not in OF_LINES:
            return
        brought = self._sums[transfer.conversion]
        for account, amount in transfer.entries:
            factor = self._factors.get(account)
            if factor is None:
                factor = self._factors[account] = _factor(_owner(account))
            brought += amount * factor
        self._sums[transfer.conversion] = brought & MASK

    def anything(self, number: int) -> bool:
        return self._sums[number] != 0

    def check(self, place: str, number: int, lines: Sequence[tuple[str, int]]) -> None:
        """An order's lines (promoter, amount) stand at what its transfers brought."""
        if sum([amount * _factor(promoter) for promoter, amount in lines]) & MASK != self._sums[number]:
            raise Found(place, "its lines are not what its transfers brought")


def zeros(upto: int) -> "array[int]":
    """Eight bytes for each number of the books."""
    return array("q", bytes(8 * (upto + 1)))


def _owner(account: str) -> str | None:
    """The promoter; empty: the platform; None: neither."""
    if account.startswith("promoter:"):
        return account.split(":")[1]
    return "" if account == REVENUE else None


def _factor(owner: str | None) -> int:
    return 0 if owner is None else hash((owner, "factor")) & MASK
