"""What was booked, as the books' journal has it: every number is there, the ledger is what the records moved, and every
split, refund and second look is what the rule's version and the evidence make of it (money.md, sections 3 and 5)."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from tuike import _core
from tuike.books.records import Closing, Conversion, Day, Look, Payout, Settlement, Share, Tier, Transfer, Waiting
from tuike.books.split import split_again
from tuike.books.state import RuleVersion
from tuike.books.totals import tier_of
from tuike.faults import Found
from tuike.replay.history import Numbered, booked
from tuike.stores.bulk import Lookup
from tuike.stores.schema import conversions, rules, tiers
from tuike.stores.tiles import date_of
from tuike.verify import ledger

RECORDS_PER_BATCH = 2_000
# What changes what an order's lines stand at. Other transfers move the same money on.
OF_SHARES = ("accrue", "reverse")
PLATFORM = "platform:revenue"
MASK = 2**61 - 1


TIER = Lookup(
    select(tiers.c.day).where(*[column == bindparam(f"its_{column.name}") for column in tiers.columns]),
    [f"its_{column.name}" for column in tiers.columns],
)


class Written(Conversion, frozen=True):
    """A conversion whose evidence is left as it is written."""

    evidence: msgspec.Raw  # type: ignore[assignment]


class SecondLook(msgspec.Struct, frozen=True):
    """What the rule makes of the sales that still stand, and what refunds are reckoned from since."""

    pool: int
    totals: list[int]
    originals: list[int]


class Step(msgspec.Struct, frozen=True):
    """What the split gave to a credited promoter's chain, and to the platform of it."""

    promoter: str
    weight: int
    chain: list[str]
    present: list[bool]
    levels: list[int]
    platform: int


class Evidence(msgspec.Struct, frozen=True):
    """What of an order's evidence says how its lines stand. `booked` is the number under which it was split."""

    booked: int = 0
    split: list[Step] = []
    second_look: SecondLook | None = None
    budget: int | None = None


class Arithmetic(msgspec.Struct, frozen=True):
    """The split as it was reckoned."""

    pool: int
    split: list[dict[str, Any]]


class Standing(msgspec.Struct, frozen=True):
    conversion: Written
    shares: tuple[Share, ...]


class Effect(msgspec.Struct, frozen=True):
    standing: Standing | None = None
    transfers: tuple[Transfer, ...] = ()
    tiers: tuple[Tier, ...] = ()
    released: tuple[tuple[int, int], ...] = ()
    looked_at: tuple[Look, ...] = ()
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
    """What all records leave behind, for the tables to be held against: 16 bytes a number of the books, and what few
    records have."""

    standings: "array[int]"  # by an order's number: the hash of its row and lines; 0: there is no such order
    released: "array[int]"  # by an order's number: the number that released it
    looks: dict[int, str] = field(default_factory=dict)  # where that came last: how the evidence ends since
    payouts: dict[str, Payout] = field(default_factory=dict)
    settlements: dict[str, Settlement] = field(default_factory=dict)
    closings: dict[tuple[int, str], Closing] = field(default_factory=dict)
    days: dict[int, Day] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)


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
        # what each order's transfers brought to its promoters, in one number: see `_check_brought`
        self._brought = _zeros(upto)
        self.left = Left(_zeros(upto), _zeros(upto))
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
            if effect.standing is not None:
                self._standing(record.number, effect.standing)
            for look in effect.looked_at:
                self._look(look)
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

    def _standing(self, number: int, standing: Standing) -> None:
        """An order as a record leaves it."""
        conversion, shares = standing.conversion, standing.shares
        if shares or self._brought[conversion.number]:
            self._shares(number, conversion, shares)
        evidence = bytes(conversion.evidence).decode()
        self.left.standings[conversion.number] = row_hash(columns_of(conversion), evidence, bool(shares))
        self.left.released[conversion.number] = conversion.released
        self.left.looks.pop(conversion.number, None)

    def _shares(self, number: int, conversion: Written, shares: Sequence[Share]) -> None:
        place = f"conversion {conversion.id} at number {number}"
        evidence = msgspec.json.decode(conversion.evidence, type=Evidence)
        if evidence.booked == number:
            self._split(place, conversion)
        wanted = lines_of(evidence, conversion.status, conversion.amount, conversion.refunded)
        if shares and [msgspec.structs.astuple(share) for share in shares] != wanted:
            raise Found(place, "its lines are not what its evidence and its refunds make them")
        self._check_brought(place, conversion.number, [(share.promoter, share.amount) for share in shares])

    def _split(self, place: str, conversion: Written) -> None:
        """The split is the rule's."""
        reckoned = msgspec.json.decode(conversion.evidence, type=Arithmetic)
        rule = self._rule(place, conversion.product, conversion.rule_version, conversion.currency)
        parts = split_again(rule, conversion.amount, conversion.at, reckoned.split)
        if parts is None or parts.pool != reckoned.pool or parts.steps != reckoned.split:
            raise Found(place, f"it is not split as version {conversion.rule_version} of the rule says")
        self.splits += 1

    def _look(self, look: Look) -> None:
        """A second look is what the rule makes of the sales that it found; the order's row has the rest."""
        columns = conversions.c
        of = (columns.id, columns.product, columns.rule_version, columns.currency, columns.amount, columns.at)
        row = self._connection.execute(select(*of, columns.evidence).where(columns.number == look.number)).one_or_none()
        if row is None:
            raise Found(f"conversion of number {look.number}", "its row is missing")
        place = f"conversion {row.id} at its second look"
        second = msgspec.convert(look.second_look, SecondLook)
        steps = msgspec.json.decode(row.evidence, type=Arithmetic).split
        lines = lines_of(Evidence(split=msgspec.convert(steps, list[Step])), "approved", None, 0)
        again = [step | {"total": total} for step, total in zip(steps, second.totals, strict=False)]
        rule = self._rule(place, row.product, row.rule_version, row.currency)
        parts = split_again(rule, row.amount, row.at, again)
        made = () if parts is None else zip(lines, parts.shares, strict=False)
        originals = [min(line[4], share.original) for line, share in made]
        if parts is None or parts.pool != second.pool or originals != second.originals:
            raise Found(place, f"the second look is not what version {row.rule_version} of the rule says")
        stand = [(line[0], amount) for line, amount in zip(lines, look.amounts, strict=False)]
        self._check_brought(place, look.number, stand)
        self.left.looks[look.number] = f',"second_look":{msgspec.json.encode(look.second_look).decode()}}}'

    def _rule(self, place: str, product: str, number: int, currency: str) -> _core.Rule:
        version = self._rules.get((product, number))
        if version is None:
            raise Found(place, f"product {product!r} has no version {number} of its rule")
        try:
            return version.rule(currency)
        except ValueError as error:
            raise Found(place, f"version {number} of its rule cannot be read: {error}") from error

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
        return sum & MASK

    def _check_brought(self, place: str, number: int, lines: Sequence[tuple[str, int]]) -> None:
        """What an order's lines stand at is, promoter by promoter, what its transfers brought. All promoters' sums are
        compared as one number: others than equal ones come to the same with a chance of 2^-60."""
        stands = sum([amount * _factor(promoter) for promoter, amount in lines]) & MASK
        if stands != self._brought[number]:
            raise Found(place, "its lines are not what its transfers brought")


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


def row_hash(columns: tuple[Any, ...], evidence: str, has_lines: bool) -> int:
    """Of an order's row, and whether it has lines: what they are, `lines_of` says. Never 0."""
    return hash((columns, evidence, has_lines)) or 1


def lines_of(evidence: Evidence, status: str, amount: int | None, refunded: int) -> list[tuple[Any, ...]]:
    """An order's lines as rows of `shares` have them, from the promoter on: what was split, which a second look may
    have lowered, and of it floor(original x (amount - refunded) / amount)."""
    lines: list[tuple[str, int, str, int, int]] = []
    platform = 0
    for step in evidence.split:
        platform += step.platform
        for level, (promoter, present, part) in enumerate(
            zip(step.chain, step.present, step.levels, strict=False), start=1
        ):
            if present:
                lines.append((promoter, level, step.promoter, step.weight, part))
    lines.append(("", 0, "", 0, platform))
    if evidence.second_look is not None:
        lowered = zip(lines, evidence.second_look.originals, strict=False)
        lines = [(*line[:4], original) for line, original in lowered]
    if status == "rejected" or (status == "refunded" and not amount):
        return [(*line, 0) for line in lines]
    if not amount or not refunded:
        return [(*line, line[4]) for line in lines]
    return [(*line, line[4] * (amount - refunded) // amount) for line in lines]


# `created` stays what the first record says, `released` is also told by itself
NOT_IN_HASH = ("created", "released", "evidence")
IN_HASH = [name not in NOT_IN_HASH for name in Conversion.__struct_fields__]


def _zeros(upto: int) -> "array[int]":
    return array("q", bytes(8 * (upto + 1)))


def _owner(account: str) -> str | None:
    """The promoter; empty: the platform; None: neither."""
    if account.startswith("promoter:"):
        return account.split(":")[1]
    return "" if account == PLATFORM else None


def _factor(owner: str | None) -> int:
    return 0 if owner is None else hash((owner, "factor")) & MASK
