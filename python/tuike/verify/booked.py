"""What was booked, as the books' journal has it: every number is there, the ledger is what the records moved, and every
split, refund and second look is what the rule's version and the evidence make of it (money.md, sections 3 and 5)."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from tuike import _core
from tuike.books.records import Closing, Conversion, Day, Payout, Settlement, Share, Tier, Transfer, Waiting
from tuike.books.split import split_again
from tuike.books.state import RuleVersion
from tuike.books.totals import tier_of
from tuike.faults import Found
from tuike.replay.history import Numbered, booked
from tuike.stores.bulk import Lookup
from tuike.stores.schema import rules, tiers
from tuike.stores.tiles import date_of
from tuike.verify import ledger

RECORDS_PER_BATCH = 2_000
# What changes what an order's lines stand at. Other transfers move the same money on.
OF_SHARES = ("accrue", "reverse")
PLATFORM = "platform:revenue"
HASH_MASK = 2**61 - 1


TIER = Lookup(
    select(tiers.c.day).where(*[column == bindparam(f"its_{column.name}") for column in tiers.columns]),
    [f"its_{column.name}" for column in tiers.columns],
)


class Written(Conversion, frozen=True):
    """A conversion whose evidence is left as it is written."""

    evidence: msgspec.Raw  # type: ignore[assignment]


class Look(msgspec.Struct, frozen=True):
    """A second look: what the rule makes of the sales that still stand."""

    pool: int
    totals: list[int]
    originals: list[int]


class Evidence(msgspec.Struct, frozen=True):
    """What of an order's evidence says what it pays. `booked` is the number under which it was split."""

    booked: int = 0
    pool: int = 0
    split: list[dict[str, Any]] = []
    second_look: Look | None = None


class Standing(msgspec.Struct, frozen=True):
    conversion: Written
    shares: tuple[Share, ...]


class Effect(msgspec.Struct, frozen=True):
    standing: Standing | None = None
    transfers: tuple[Transfer, ...] = ()
    tiers: tuple[Tier, ...] = ()
    released: tuple[tuple[int, int], ...] = ()
    looked_at: tuple[Standing, ...] = ()
    payout: Payout | None = None
    settlement: Settlement | None = None
    closing: Closing | None = None
    day: Day | None = None
    waiting: Waiting | None = None


class Record(Numbered, frozen=True):
    effect: Effect | None = None
    again: bool = False


@dataclass(slots=True)
class Left:
    """What all records leave behind, for the tables to be held against: 24 bytes a number of the books, and what few
    records have."""

    standings: "array[int]"  # by an order's number: a hash of its row and lines; 0: there is no such order
    released: "array[int]"  # by an order's number: the number that released it
    payouts: dict[str, Payout]
    settlements: dict[str, Settlement]
    closings: dict[tuple[int, str], Closing]
    days: dict[int, Day]
    waiting: dict[str, Waiting]


class Records:
    """Reads the books' journal from its first record to `upto`."""

    def __init__(self, connection: Connection, root: str, upto: int) -> None:
        self._connection = connection
        self._root = root
        self._upto = upto
        self._rules: dict[tuple[str, int], RuleVersion] = {}
        for product, version, since, text in connection.execute(select(rules)):
            self._rules[product, version] = RuleVersion(version, since, text)
        self._purses: dict[str, int] = {}
        self._looked: dict[int, list[int]] = {}
        # what each order's transfers brought to its promoters, in one number: see `_fingerprint`
        self._brought = _zeros(upto)
        self.left = Left(_zeros(upto), _zeros(upto), {}, {}, {}, {}, {})
        self.splits = 0
        self._tiers = 0

    def check(self) -> str:
        batch: list[Record] = []
        chain = _Chain(self._connection)
        for record in booked(self._root, self._upto, Record):
            batch.append(record)
            if len(batch) == RECORDS_PER_BATCH:
                self._take(batch, chain)
                batch = []
        self._take(batch, chain)
        chain.end()
        kept = self._connection.scalar(select(func.count()).select_from(tiers))
        if kept != self._tiers:
            raise Found("promoter tiers", f"there are {kept} rows, {self._tiers} were booked")
        return f"{self._upto} records, {chain.number} transfers, {self.splits} splits"

    def _take(self, batch: Sequence[Record], chain: "_Chain") -> None:
        effects = [(record, record.effect) for record in batch if record.effect is not None]
        chain.take([(record.number, transfer) for record, effect in effects for transfer in effect.transfers])
        for record, effect in effects:
            for transfer in effect.transfers:
                if transfer.conversion and transfer.kind in OF_SHARES:
                    self._brought[transfer.conversion] = self._after(transfer)
            for standing in (effect.standing, *effect.looked_at):
                if standing is not None:
                    self._standing(record.number, standing, looked=standing is not effect.standing)
            for tier in effect.tiers:
                self._tier(tier)
            for number, by in effect.released:
                self.left.released[number] = by
            self._few(effect)
        for record in batch:
            if record.again:
                self.left.waiting.pop(record.event, None)

    def _few(self, effect: Effect) -> None:
        """What few records have."""
        left = self.left
        if effect.payout is not None:
            left.payouts[effect.payout.id] = effect.payout
        if effect.settlement is not None:
            left.settlements[effect.settlement.id] = effect.settlement
        if effect.closing is not None:
            left.closings[effect.closing.month, effect.closing.currency] = effect.closing
        if effect.day is not None:
            left.days[effect.day.day] = effect.day
        if effect.waiting is not None:
            left.waiting[effect.waiting.message.id] = effect.waiting

    def _standing(self, number: int, standing: Standing, *, looked: bool) -> None:
        """An order as a record leaves it."""
        conversion, shares = standing.conversion, standing.shares
        if shares or self._brought[conversion.number]:
            self._shares(number, conversion, shares, looked)
        evidence = bytes(conversion.evidence).decode()
        self.left.standings[conversion.number] = row_hash(columns_of(conversion), evidence, shares)
        self.left.released[conversion.number] = conversion.released

    def _shares(self, number: int, conversion: Written, shares: Sequence[Share], looked: bool) -> None:
        place = f"conversion {conversion.id} at number {number}"
        evidence = msgspec.json.decode(conversion.evidence, type=Evidence)
        if evidence.booked == number:
            self._split(place, conversion, evidence, shares)
        if looked:
            self._second_look(place, conversion, evidence)
        amounts = [share.amount for share in shares]
        wanted = self._stands_at(conversion, evidence, shares)
        if amounts != wanted:
            raise Found(place, f"its lines stand at {amounts}; of what it was refunded they are {wanted}")
        if looked:
            self._looked[conversion.number] = amounts
        if self._fingerprint(shares) != self._brought[conversion.number]:
            raise Found(place, "its lines are not what its transfers brought")

    def _split(self, place: str, conversion: Written, evidence: Evidence, shares: Sequence[Share]) -> None:
        """The split is the rule's, and sums to the pool."""
        parts = split_again(self._rule(place, conversion), conversion.amount, conversion.at, evidence.split)
        lines = tuple([msgspec.structs.replace(share, amount=share.original) for share in shares])
        if parts is None or parts.pool != evidence.pool or parts.shares != lines or parts.steps != evidence.split:
            raise Found(place, f"it is not split as version {conversion.rule_version} of the rule says")
        self.splits += 1

    def _second_look(self, place: str, conversion: Written, evidence: Evidence) -> None:
        look = evidence.second_look
        if look is None or len(look.totals) != len(evidence.split):
            raise Found(place, "there was a second look, and the evidence has none")
        steps = [step | {"total": total} for step, total in zip(evidence.split, look.totals, strict=True)]
        parts = split_again(self._rule(place, conversion), conversion.amount, conversion.at, steps)
        if parts is None or parts.pool != look.pool or [share.original for share in parts.shares] != look.originals:
            raise Found(place, f"the second look is not what version {conversion.rule_version} of the rule says")

    def _stands_at(self, conversion: Written, evidence: Evidence, shares: Sequence[Share]) -> list[int]:
        """floor(original x (amount - refunded) / amount), of the second look's originals where there was one; and
        never more than what it left."""
        amount, look = conversion.amount or 0, evidence.second_look
        if conversion.status == "rejected" or (conversion.status == "refunded" and not amount):
            return [0] * len(shares)
        originals = [share.original for share in shares]
        left = amount - conversion.refunded
        stands = [original * left // amount if amount else original for original in originals]
        if look is None:
            return stands
        again = [original * left // amount for original in look.originals]
        ceilings = self._looked.get(conversion.number, stands)
        return [min(ceiling, lower) for ceiling, lower in zip(ceilings, again, strict=True)]

    def _rule(self, place: str, conversion: Written) -> _core.Rule:
        version = self._rules.get((conversion.product, conversion.rule_version))
        if version is None:
            raise Found(place, f"product {conversion.product!r} has no version {conversion.rule_version} of its rule")
        try:
            return version.rule(conversion.currency)
        except ValueError as error:
            raise Found(place, f"version {conversion.rule_version} of its rule cannot be read: {error}") from error

    def _tier(self, tier: Tier) -> None:
        """A tier stands as it was fixed, and is what its sales make."""
        self._tiers += 1
        place = f"tier of {tier.promoter} in {tier.currency} on {date_of(tier.day)}"
        if tier.tier != tier_of(tier.net, tier.currency):
            raise Found(place, f"it is {tier.tier}, for sales of {tier.net}")
        if TIER.find(self._connection, *msgspec.structs.astuple(tier)) is None:
            raise Found(place, f"it is not {tier.tier} for sales of {tier.net}, as it was booked")

    # --- what moved, against what stands -----------------------------------------------------------

    def _after(self, transfer: Transfer) -> int:
        sum = self._brought[transfer.conversion]
        for account, amount in transfer.entries:
            factor = self._purses.get(account)
            if factor is None:
                factor = self._purses[account] = _factor(_owner(account))
            sum += amount * factor
        return sum & HASH_MASK

    def _fingerprint(self, shares: Sequence[Share]) -> int:
        """The sums of an order's lines by promoter, as one number: equal sums are equal numbers, and others are not
        but by a chance of 2^-60."""
        return sum([share.amount * _factor(share.promoter) for share in shares]) & HASH_MASK


class _Chain:
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


def columns_of(conversion: Conversion) -> tuple[Any, ...]:
    """What a row of `conversions` says that every record of its order says too, but its evidence."""
    whole = msgspec.structs.astuple(conversion)
    return tuple([value for value, kept in zip(whole, IN_HASH, strict=True) if kept])


def row_hash(columns: tuple[Any, ...], evidence: str, shares: Iterator[Any] | Sequence[Any]) -> int:
    """Of an order's row and lines, never 0."""
    return hash((columns, evidence, tuple(shares))) or 1


# `created` stays what the first record says, `released` is also told by itself
IN_HASH = [name not in ("created", "released", "evidence") for name in Conversion.__struct_fields__]


def _zeros(upto: int) -> "array[int]":
    return array("q", bytes(8 * (upto + 1)))


def _owner(account: str) -> str | None:
    """The promoter; empty: the platform; None: neither."""
    if account.startswith("promoter:"):
        return account.split(":")[1]
    return "" if account == PLATFORM else None


def _factor(owner: str | None) -> int:
    return 0 if owner is None else hash((owner, "factor")) & HASH_MASK
