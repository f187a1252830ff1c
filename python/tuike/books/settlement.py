"""A settlement's run: what is due is released, a part at a time (money.md, section 5).

Each step is booked by itself, with how far the run has come; a run that was killed is gone on with by whoever keeps
the books next, and an order is released once whatever runs ask for it."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select

from tuike import views
from tuike.books import booking
from tuike.books.booking import Desk, Place
from tuike.books.ledger import promoters
from tuike.books.records import Effect, Funding, Outcome, Settlement, Standing, Transfer
from tuike.books.standings import orders_numbered
from tuike.stores.schema import conversions, dues, settlements, shares

ORDERS_PER_STEP = 2_000
# A step is one event of the journal: at most so many entries, and one order that a second look has changed.
ENTRIES_PER_STEP = 6_000

Sums = dict[str, int]


class Settlements:
    """The run that is under way, if any. Belongs to the one bookkeeper."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._run: Settlement | None = None
        self._short: dict[tuple[str, str], bool] = {}  # merchants whose payments in do not cover the next order
        self.resume(desk.connection)

    @property
    def running(self) -> bool:
        return self._run is not None

    def resume(self, connection: Connection) -> None:
        """Takes up the oldest run that is not done."""
        waiting = select(settlements).where(settlements.c.status == "running").order_by(settlements.c.number).limit(1)
        row = connection.execute(waiting).one_or_none()
        if row is None or self._run is None or row.id != self._run.id:
            self._short.clear()
        self._run = None if row is None else Settlement(*row)

    def start(self, place: Place, event: str, as_of: int) -> tuple[Outcome, Effect]:
        run = Settlement(event, place.number, as_of, "running", 0, 0, 0, place.received)
        return Outcome.waits(result=views.settlement(msgspec.structs.asdict(run))), Effect(settlement=run)

    def step(self, number: int) -> tuple[str, Effect, Outcome | None]:
        """The next part, under the books' `number`: the run's event, what moves (it is moved), at the end
        the outcome."""
        run = self._run
        assert run is not None
        rows = self._due(run)
        parts = _shares(self._desk.connection, [row.number for row in rows])
        moved: list[Effect] = []
        taken, released, entries = 0, 0, 0
        for row in rows:
            part = self._release(row, parts.get(row.number, {}), number)
            taken += 1
            if part is None:
                continue
            self._desk.ledger.move(part.transfers)
            self._desk.totals.take(part)
            moved.append(part)
            released += len(part.released) + len(part.looked_at)
            entries += sum([len(transfer.entries) for transfer in part.transfers])
            if part.looked_at or entries >= ENTRIES_PER_STEP:
                break
        done = taken == len(rows) < ORDERS_PER_STEP
        changes: dict[str, Any] = {"released": run.released + released, "status": "done" if done else "running"}
        if taken:
            changes |= {"last_due": rows[taken - 1].due, "last_conversion": rows[taken - 1].number}
        run = msgspec.structs.replace(run, **changes)
        self._run = None if done else run
        outcome = Outcome.applied(views.settlement(msgspec.structs.asdict(run)), http=201) if done else None
        return run.id, msgspec.structs.replace(_joined(moved), settlement=run), outcome

    def _due(self, run: Settlement) -> Sequence[Row[Any]]:
        names = ("number", "merchant", "product", "currency", "status", "released", "rule_version")
        return self._desk.connection.execute(
            select(dues.c.due, *(conversions.c[name] for name in names))
            .join(conversions, conversions.c.number == dues.c.conversion)
            .where(_further(run), dues.c.due <= run.as_of)
            .order_by(dues.c.due, dues.c.conversion)
            .limit(ORDERS_PER_STEP)
        ).all()

    def _release(self, row: Row[Any], sums: Sums, number: int) -> Effect | None:
        """What one row comes to; None: it waits on."""
        settled = Effect(settled=((row.due, row.number),))
        if row.status != "approved" or row.released or not sums:
            return settled
        look = self._second_look(row)
        if look is not None and look.standing is not None:
            sums = booking.by_promoter(look.standing.shares)
        pool = sum(sums.values())
        if not self._funded(row, pool):
            return None
        lines: list[tuple[str, int]] = []
        for promoter, amount in sums.items():
            if promoter:
                lines.append((promoters(promoter, "pending"), -amount))
                lines += booking.into_available(self._desk.ledger, promoter, row.currency, amount)
        moved = (Transfer(row.number, "release", "release", row.currency, row.due, tuple(lines)),) if lines else ()
        released = msgspec.structs.replace(
            settled, transfers=moved, funding=(Funding(row.merchant, row.currency, 0, pool),)
        )
        if look is None or look.standing is None:
            return msgspec.structs.replace(released, released=((row.number, number),))
        conversion = msgspec.structs.replace(look.standing.conversion, released=number)
        changed = Standing(conversion, look.standing.shares)
        return msgspec.structs.replace(look.then(released), standing=None, looked_at=(changed,))

    def _second_look(self, row: Row[Any]) -> Effect | None:
        """What a tiered rule takes back; None: nothing."""
        version = self._desk.registry.products[row.product].version(row.rule_version)
        if not version.rule(row.currency).needs_total:
            return None
        standing = orders_numbered(self._desk.connection, [row.number])[row.number]
        return booking.second_look(self._desk, standing)

    def _funded(self, row: Row[Any], pool: int) -> bool:
        """Whether what the merchant has paid in covers it; orders are released in turn, none before an earlier one."""
        if self._desk.registry.merchants[row.merchant].release_when != "funded":
            return True
        fund = row.merchant, row.currency
        if fund not in self._short:
            self._short[fund] = self._passed_over(*fund)
        if not self._short[fund]:
            self._short[fund] = self._desk.totals.fund(*fund) < pool
        return not self._short[fund]

    def _passed_over(self, merchant: str, currency: str) -> bool:
        """Whether this run has left an order of the merchant where it was, before it was interrupted."""
        run = self._run
        assert run is not None
        before = or_(
            dues.c.due < run.last_due, and_(dues.c.due == run.last_due, dues.c.conversion <= run.last_conversion)
        )
        found = (
            select(dues.c.due)
            .join(conversions, conversions.c.number == dues.c.conversion)
            .where(before, conversions.c.merchant == merchant, conversions.c.currency == currency)
            .limit(1)
        )
        return self._desk.connection.execute(found).first() is not None


def _further(run: Settlement) -> ColumnElement[bool]:
    """What the run has not come to."""
    same = and_(dues.c.due == run.last_due, dues.c.conversion > run.last_conversion)
    return or_(dues.c.due > run.last_due, same)


def _joined(parts: Sequence[Effect]) -> Effect:
    """All that one step releases, as one."""
    names = ("transfers", "deltas", "spent", "funding", "settled", "released", "looked_at")
    whole: dict[str, Any] = {
        name: tuple(chain.from_iterable([getattr(part, name) for part in parts])) for name in names
    }
    return Effect(**whole)


def _shares(connection: Connection, numbers: Sequence[int]) -> dict[int, Sums]:
    """What each order's lines stand at, by promoter; the platform's under no name."""
    found: dict[int, Sums] = {}
    theirs = select(shares.c.conversion, shares.c.promoter, shares.c.amount).where(
        shares.c.conversion.in_(numbers), shares.c.amount > 0
    )
    for number, promoter, amount in connection.execute(theirs):
        sums = found.setdefault(number, {})
        sums[promoter] = sums.get(promoter, 0) + amount
    return found
