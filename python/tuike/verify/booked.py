"""What was booked, as it was written then: every number is there, the ledger is what the records moved, and every
split, refund and second look is what the rule's version and the evidence make of it (money.md, sections 3 and 5)."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, bindparam, func, select

from tuike import _core
from tuike.books.records import (
    Closing,
    Contest,
    Day,
    Flag,
    Look,
    PathEnd,
    Payout,
    Purchase,
    Settlement,
    Share,
    Tier,
    Transfer,
    Waiting,
)
from tuike.books.state import RuleVersion
from tuike.books.totals import tier_of
from tuike.faults import Found
from tuike.replay.logs import BookedLog, Numbered
from tuike.stores.bulk import Lookup
from tuike.stores.schema import conversions, path_ends, rules, tiers
from tuike.stores.tiles import date_of
from tuike.verify.evidence import Evidence, SecondLook, Written, columns_of, decoded, lines_of, row_hash
from tuike.verify.fraud import Flagged
from tuike.verify.moved import Brought, Chain, zeros

RECORDS_PER_BATCH = 2_000


# What a rule asks of each credit.
ASKED = ("promoter", "kind", "weight", "total", "tier", "present")


def _reckoned(
    rule: _core.Rule, amount: int | None, at: int, steps: Sequence[dict[str, Any]]
) -> tuple[int, list[dict[str, Any]]]:
    """The pool, and the steps as the rule makes them of what they say about each credit."""
    made = rule.book(amount, at, [tuple([step[name] for name in ASKED]) for step in steps])
    if made is None:
        return -1, []
    return made[0], [step | part for step, part in zip(steps, made[1], strict=True)]


def _whole_row(table: Table) -> Lookup:
    """Whether a row is there, with all that it says."""
    names = [f"its_{column.name}" for column in table.columns]
    where = [column == bindparam(name) for column, name in zip(table.columns, names, strict=True)]
    return Lookup(select(where[0].left).where(*where), names)


TIER = _whole_row(tiers)
PATH_END = _whole_row(path_ends)


class Standing(msgspec.Struct, frozen=True):
    conversion: Written
    shares: tuple[Share, ...]


class Effect(msgspec.Struct, frozen=True):
    standing: Standing | None = None
    transfers: tuple[Transfer, ...] = ()
    tiers: tuple[Tier, ...] = ()
    path_ends: tuple[PathEnd, ...] = ()
    released: tuple[tuple[int, int], ...] = ()
    looked_at: tuple[Look, ...] = ()
    payout: Payout | None = None
    settlement: Settlement | None = None
    contest: Contest | None = None
    closing: Closing | None = None
    day: Day | None = None
    waiting: Waiting | None = None
    flags: tuple[Flag, ...] = ()
    purchases: tuple[Purchase, ...] = ()
    bad_touches: tuple[tuple[str, int], ...] = ()


class Record(Numbered, frozen=True):
    effect: Effect | None = None
    again: bool = False


@dataclass(slots=True)
class Left:
    """What all records leave behind, for the tables to be held against: 24 bytes a number of the books (with what the
    lines were brought), and what few records have."""

    standings: "array[int]"  # by an order's number: its row's `row_hash`; 0: there is no such order
    released: "array[int]"  # by an order's number: the number that released it
    looks: dict[int, str] = field(default_factory=dict)  # where that came last: how the evidence ends since
    payouts: dict[str, Payout] = field(default_factory=dict)
    settlements: dict[str, Settlement] = field(default_factory=dict)
    contests: dict[str, Contest] = field(default_factory=dict)
    closings: dict[tuple[int, str], Closing] = field(default_factory=dict)
    days: dict[int, Day] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    fraud: Flagged = field(default_factory=Flagged)


class Records:
    """Reads what was booked from its first record to `upto`."""

    def __init__(self, connection: Connection, log: BookedLog, upto: int) -> None:
        self._connection = connection
        self._log = log
        self._upto = upto
        self._rules: dict[tuple[str, int], RuleVersion] = {}
        for product, version, since, text, ceiling in connection.execute(select(rules)):
            self._rules[product, version] = RuleVersion(version, since, text, ceiling)
        self._brought = Brought(upto)
        self._ended = bytearray(upto + 1)  # orders that ended their visitor's path
        self._tiers = 0
        self.left = Left(zeros(upto), zeros(upto))
        self.splits = 0

    def check(self) -> str:
        batch: list[Record] = []
        chain = Chain(self._connection)
        for record in self._log.records(self._upto, Record):
            batch.append(record)
            if len(batch) == RECORDS_PER_BATCH:
                self._take(batch, chain)
                batch = []
        self._take(batch, chain)
        chain.end()
        for table, count in ((tiers, self._tiers), (path_ends, self._ended.count(1))):
            kept = self._connection.scalar(select(func.count()).select_from(table))
            if kept != count:
                raise Found(f"table {table.name}", f"there are {kept} rows, {count} were booked")
        return f"{self._upto} records, {chain.number} transfers, {self.splits} splits"

    def _take(self, batch: Sequence[Record], chain: Chain) -> None:
        effects = [(record, record.effect) for record in batch if record.effect is not None]
        chain.take([(record.number, transfer) for record, effect in effects for transfer in effect.transfers])
        for record, effect in effects:
            for transfer in effect.transfers:
                self._brought.take(transfer)
            if effect.standing is not None:
                self._standing(record.number, effect.standing)
            for look in effect.looked_at:
                self._look(look)
            for tier in effect.tiers:
                self._tier(tier)
            for end in effect.path_ends:
                self._path_end(end)
            for number, by in effect.released:
                self.left.released[number] = by
            self._few(effect)
        for record in batch:
            if record.again:
                self.left.waiting.pop(record.event, None)

    def _few(self, effect: Effect) -> None:
        """What few records have."""
        left = self.left
        left.fraud.take(effect)
        if effect.payout is not None:
            left.payouts[effect.payout.id] = effect.payout
        if effect.contest is not None:
            left.contests[effect.contest.id] = effect.contest
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
        if shares or self._brought.anything(conversion.number):
            self._shares(number, conversion, shares)
        evidence = bytes(conversion.evidence).decode()
        self.left.standings[conversion.number] = row_hash(columns_of(conversion), evidence, bool(shares))
        self.left.looks.pop(conversion.number, None)

    def _shares(self, number: int, conversion: Written, shares: Sequence[Share]) -> None:
        place = f"conversion {conversion.id} at number {number}"
        evidence = decoded(place, conversion.evidence, Evidence)
        if evidence.booked == number:
            rule = self._rule(place, conversion.product, conversion.rule_version, conversion.currency)
            if _reckoned(rule, conversion.amount, conversion.at, evidence.split) != (evidence.pool, evidence.split):
                raise Found(place, f"it is not split as version {conversion.rule_version} of the rule says")
            self.splits += 1
        wanted = lines_of(evidence, conversion.status, conversion.amount, conversion.refunded)
        if shares and [msgspec.structs.astuple(share) for share in shares] != wanted:
            raise Found(place, "its lines are not what its evidence and its refunds make them")
        self._brought.check(place, conversion.number, [(share.promoter, share.amount) for share in shares])

    def _look(self, look: Look) -> None:
        """A second look is what the rule makes of the sales that it found; the order's row has the rest."""
        columns = conversions.c
        of = (columns.id, columns.product, columns.rule_version, columns.currency, columns.amount, columns.at)
        row = self._connection.execute(select(*of, columns.evidence).where(columns.number == look.number)).one_or_none()
        if row is None:
            raise Found(f"conversion of number {look.number}", "its row is missing")
        place = f"conversion {row.id} at its second look"
        second = msgspec.convert(look.second_look, SecondLook)
        first = decoded(place, row.evidence, Evidence).split
        if len(first) != len(second.totals):
            raise Found(place, "its evidence is not what was booked")
        again = [step | {"total": total} for step, total in zip(first, second.totals, strict=True)]
        rule = self._rule(place, row.product, row.rule_version, row.currency)
        pool, steps = _reckoned(rule, row.amount, row.at, again)
        lines, lowered = [lines_of(Evidence(split=split), "approved", None, 0) for split in (first, steps)]
        originals = [min(line[4], lower[4]) for line, lower in zip(lines, lowered, strict=True)]
        if (pool, originals) != (second.pool, second.originals):
            raise Found(place, f"the second look is not what version {row.rule_version} of the rule says")
        stand = [(line[0], amount) for line, amount in zip(lines, look.amounts, strict=False)]
        self._brought.check(place, look.number, stand)
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

    def _path_end(self, end: PathEnd) -> None:
        """An order that is booked anew ends the same path."""
        self._ended[end.conversion] = 1
        if PATH_END.find(self._connection, *msgspec.structs.astuple(end)) is None:
            raise Found(f"path end of number {end.conversion}", "it is not there as it was booked")
