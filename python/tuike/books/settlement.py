"""A settlement's run: what is due is released, a part at a time (money.md, section 5).

Each step is booked by itself, with how far the run has come; a run that was killed is gone on with by whoever keeps
the books next, and an order is released once whatever runs ask for it."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Integer, and_, bindparam, select

from tuike import views
from tuike.books import booking
from tuike.books.booking import Desk, Line, Place
from tuike.books.ledger import promoters
from tuike.books.records import (
    Decision,
    Delta,
    Effect,
    Funding,
    Look,
    Outcome,
    Refusal,
    Settlement,
    Spent,
    Standing,
    Transfer,
)
from tuike.books.standings import orders_numbered
from tuike.stores.bulk import NONE, Lookup
from tuike.stores.dialects import further
from tuike.stores.schema import dues, settlements, shares

ORDERS_PER_STEP = 2_000
# A step is one event of the journal, of 1 MiB at most: its orders in all, and each one beside its transfers.
BYTES_PER_STEP = 600_000
BYTES_PER_ORDER = 64

Fund = tuple[str, str]
"""A merchant and a currency."""

_some = (
    select(dues)
    .where(
        further(dues.c.due, dues.c.conversion, bindparam("since"), bindparam("after")), dues.c.due <= bindparam("as_of")
    )
    .order_by(dues.c.due, dues.c.conversion)
    .limit(bindparam("most", type_=Integer))
    .offset(NONE)
    .subquery()
)
LINES = Lookup(
    select(_some, shares.c.promoter, shares.c.amount).outerjoin_from(
        _some, shares, and_(shares.c.conversion == _some.c.conversion, shares.c.amount > NONE)
    ),
    ("since", "after", "as_of", "most"),
)
"""The next orders that are due, each with its lines."""


@dataclass(slots=True)
class Due:
    """An order whose instant has come. `sums` is what its lines stand at, by promoter; the platform's under no name."""

    instant: int
    number: int
    merchant: str
    product: str
    currency: str
    version: int
    sums: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Part:
    """What one step comes to."""

    taken: int = 0
    size: int = 0
    count: int = 0
    amounts: dict[str, int] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)
    deltas: list[Delta] = field(default_factory=list)
    spent: list[Spent] = field(default_factory=list)
    pools: dict[Fund, int] = field(default_factory=dict)
    settled: list[tuple[int, int]] = field(default_factory=list)
    released: list[tuple[int, int]] = field(default_factory=list)
    looked_at: list[Look] = field(default_factory=list)

    def effect(self, run: Settlement) -> Effect:
        return Effect(
            transfers=tuple(self.transfers),
            deltas=tuple(self.deltas),
            spent=tuple(self.spent),
            funding=tuple(Funding(*fund, 0, pool) for fund, pool in self.pools.items()),
            settled=tuple(self.settled),
            released=tuple(self.released),
            looked_at=tuple(self.looked_at),
            settlement=run,
        )


class Settlements:
    """The run that is under way, if any. Belongs to the one bookkeeper."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._run: Settlement | None = None
        self._short: dict[Fund, bool] = {}  # whose payments in do not cover the next order
        self._owing: set[tuple[str, str]] = set()  # promoters and currencies of the step at hand
        self.resume(desk.connection)

    @property
    def running(self) -> bool:
        return self._run is not None

    def resume(self, connection: Connection) -> None:
        """Takes up the oldest run that is not done, as it stands in its row."""
        waiting = select(settlements).where(settlements.c.status == "running").order_by(settlements.c.number).limit(1)
        row = connection.execute(waiting).one_or_none()
        if row is None or self._run is None or row.id != self._run.id:
            self._short.clear()
        self._run = None if row is None else of_row(row)

    def start(self, place: Place, event: str, data: dict[str, Any]) -> Decision:
        """Begins a run, after those that are under way. Without `as_of` it is for what is due by now."""
        as_of = place.received if data.get("as_of") is None else data["as_of"]
        if as_of > place.received:
            raise Refusal("as_of_in_future", "a settlement releases what is due by now, at the latest")
        if as_of < 0:
            raise Refusal("bad_time", "nothing was due before 1970")
        run = Settlement(event, place.number, as_of, "running", 0, 0, 0, place.received)
        return Decision(Outcome.waits(result=view(run)), (Effect(settlement=run),), f"settlement:{event}")

    def note(self, place: Place, event: str, data: dict[str, Any]) -> Decision:
        row = self._desk.connection.execute(select(settlements).where(settlements.c.id == data["id"])).one_or_none()
        if row is None:
            raise Refusal("unknown_settlement", f"there is no settlement {data['id']!r}", http=404)
        run = msgspec.structs.replace(of_row(row), note=data["note"])
        return Decision(Outcome.applied(view(run)), (Effect(settlement=run),), f"settlement:{run.id}")

    def step(self, number: int) -> tuple[str, Effect, Outcome | None]:
        """The next part, under the books' `number`: the run's event, what moves (it is moved), at the end
        the outcome."""
        run = self._run
        assert run is not None
        orders = self._due(run)
        part = self._part(orders, number)
        done = part.taken == len(orders) < ORDERS_PER_STEP
        amounts = {**run.amounts}
        for currency, amount in part.amounts.items():
            amounts[currency] = amounts.get(currency, 0) + amount
        changes: dict[str, Any] = {"released": run.released + part.count, "amounts": amounts}
        if part.taken:
            last = orders[part.taken - 1]
            changes |= {"last_due": last.instant, "last_conversion": last.number}
        run = msgspec.structs.replace(run, status="done" if done else "running", **changes)
        self._run = None if done else run
        outcome = Outcome.applied(view(run), http=201) if done else None
        return run.id, part.effect(run), outcome

    def _part(self, orders: list[Due], number: int) -> Part:
        desk = self._desk
        self._owing = self._owed_by({(promoter, due.currency) for due in orders for promoter in due.sums})
        tiered = {rule: self._is_tiered(*rule) for rule in {(due.product, due.version, due.currency) for due in orders}}
        again = [due.number for due in orders if tiered[due.product, due.version, due.currency]]
        looks = orders_numbered(desk.connection, again)
        part = Part()
        for due in orders:
            if not self._release(part, due, looks.get(due.number), number):
                break
            part.taken += 1
        return part

    def _due(self, run: Settlement) -> list[Due]:
        found: dict[int, Due] = {}
        after = run.last_due, run.last_conversion
        for line in LINES.rows(self._desk.connection, *after, run.as_of, ORDERS_PER_STEP):
            due = found.get(line[1])
            if due is None:
                due = found[line[1]] = Due(*line[:6])
            promoter, amount = line[6:]
            if amount:
                due.sums[promoter] = due.sums.get(promoter, 0) + amount
        return sorted(found.values(), key=lambda due: (due.instant, due.number))

    def _release(self, part: Part, due: Due, standing: Standing | None, number: int) -> bool:
        """Moves an approved order's money, or leaves it waiting; False: there is no room for it in this part."""
        fallen = None if standing is None else booking.second_look(self._desk, standing)
        sums = due.sums if fallen is None else booking.by_promoter(_after(fallen).shares)
        pool = sum(sums.values())
        fund = due.merchant, due.currency
        if not self._funded(part, fund, pool):
            return True
        lines: list[Line] = []
        for promoter, amount in sums.items():
            if promoter:
                lines.append((promoters(promoter, "pending"), -amount))
                if (promoter, due.currency) in self._owing:
                    lines += booking.into_available(self._desk.ledger, promoter, due.currency, amount)
                else:
                    lines.append((promoters(promoter, "available"), amount))
        moved = () if fallen is None else fallen.transfers
        if lines:
            moved += (Transfer(due.number, "release", "release", due.currency, due.instant, tuple(lines)),)
        looked = None if fallen is None else _look(_after(fallen))
        size = BYTES_PER_ORDER + len(msgspec.json.encode((moved, looked, fallen and fallen.deltas)))
        if part.taken and part.size + size > BYTES_PER_STEP:
            return False
        self._desk.ledger.move(moved)
        part.size += size
        part.count += 1
        part.transfers += moved
        part.pools[fund] = part.pools.get(fund, 0) + pool
        part.amounts[due.currency] = part.amounts.get(due.currency, 0) + pool - sums.get("", 0)
        part.settled.append((due.instant, due.number))
        part.released.append((due.number, number))
        if fallen is not None and looked is not None:
            self._desk.totals.take(fallen)
            part.deltas += fallen.deltas
            part.spent += fallen.spent
            part.looked_at.append(looked)
        return True

    def _owed_by(self, purses: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these promoters owe something in these currencies."""
        ledger = self._desk.ledger
        names = {(promoters(promoter, "owed"), currency): (promoter, currency) for promoter, currency in purses}
        ledger.prepare(names)
        return {purse for name, purse in names.items() if ledger.balance(*name)}

    def _is_tiered(self, product: str, version: int, currency: str) -> bool:
        return self._desk.registry.products[product].version(version).rule(currency).needs_total

    def _funded(self, part: Part, fund: Fund, pool: int) -> bool:
        """Whether what the merchant has paid in covers it; orders are released in turn, none before an earlier one."""
        if self._desk.registry.merchants[fund[0]].release_when != "funded":
            return True
        if fund not in self._short:
            self._short[fund] = self._passed_over(fund)
        if not self._short[fund]:
            self._short[fund] = self._desk.totals.fund(*fund) - part.pools.get(fund, 0) < pool
        return not self._short[fund]

    def _passed_over(self, fund: Fund) -> bool:
        """Whether this run has left an order of the merchant where it was, before it was interrupted."""
        run = self._run
        assert run is not None
        merchant, currency = fund
        found = (
            select(dues.c.due).where(~_further(run), dues.c.merchant == merchant, dues.c.currency == currency).limit(1)
        )
        return self._desk.connection.execute(found).first() is not None


def of_row(row: Any) -> Settlement:
    """A row of `settlements`."""
    return Settlement(**{**row._mapping, "amounts": msgspec.json.decode(row.amounts)})


def view(run: Settlement) -> dict[str, Any]:
    return views.settlement(msgspec.structs.asdict(run))


def _further(run: Settlement) -> ColumnElement[bool]:
    """What the run has not come to."""
    return further(dues.c.due, dues.c.conversion, run.last_due, run.last_conversion)


def _after(fallen: Effect) -> Standing:
    assert fallen.standing is not None
    return fallen.standing


def _look(after: Standing) -> Look:
    amounts = tuple([share.amount for share in after.shares])
    return Look(after.conversion.number, after.conversion.evidence["second_look"], amounts)
