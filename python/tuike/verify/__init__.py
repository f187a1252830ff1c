"""Proves the books: what was accepted is accounted for, what is accounted for adds up, what was paid is right.

One reading of the database (a snapshot) against itself and against the journal; the first fault ends it. One module
for each check:

ledger     transfers, entries, the hash chain, balances     days       the roots of the ledger's days
booked     the books' journal: splits, refunds, what moved  orders     rows and lines, sales
evidence   what an order says of its lines                  moved      what was moved
sums       budgets, funding, what is due, reports           payments   payouts, settlements, months handed over
fraud      flags, and the orders they hold                  people     who was to be forgotten
hits       hits and messages                                machines   one machine's journal, of several
reports    what reports are made of (--reports)             statement  a signed statement (--statement)
"""

from collections.abc import Iterator

from sqlalchemy import Connection, Engine

from tuike.books.bookkeeper import NUMBER_KEY
from tuike.data import Data
from tuike.faults import Fault, Found, Report
from tuike.replay.logs import log_of
from tuike.stores import engine, erasures, meta, position
from tuike.verify import fraud, hits, machines, payments, people, sums
from tuike.verify.booked import Records
from tuike.verify.days import Trees
from tuike.verify.ledger import Ledger
from tuike.verify.orders import Orders

Check = tuple[str, str]
"""A check's name and what it proved."""


def verify(data: Data) -> Report:
    """Runs every check until one fails. Nothing is written; the instance may be running: where an erasure went on
    beside, what it wrote again in the journal is not what the snapshot has, and all is looked at once more."""
    if not engine.exists(data.database):
        return Report(["no books yet"])
    books = engine.open_reader(data.database)
    try:
        while True:
            report, erased = _verify(books, data)
            if report.fault is None:
                return report
            with books.begin() as connection:
                if erasures.states(connection) == erased:
                    return report
    finally:
        books.dispose()


def _verify(books: Engine, data: Data) -> tuple[Report, dict[str, str]]:
    """What one snapshot proves, and how far its erasures were."""
    report, checks = Report(), Checks()
    with books.begin() as connection:
        erased = erasures.states(connection)
        try:
            for name, proved in checks.run(connection, data):
                report.proved.append(f"{name}: {proved}")
        except Found as found:
            report.fault = Fault(checks.name, found.place, found.detail)
    return report, erased


class Checks:
    """The checks in their order: each may rest on what those before it have proved."""

    def __init__(self) -> None:
        self.name = ""
        """Of the check that is under way."""

    def run(self, connection: Connection, data: Data) -> Iterator[Check]:
        self.name = "days"
        trees = Trees(connection, data.secret)
        self.name = "ledger"
        books = Ledger(connection)
        for batch in books.batches():
            self.name = "days"
            trees.take(batch)
            self.name = "ledger"
        books.check_balances()
        yield "ledger", books.proved()
        yield self._now("days"), trees.end()
        root = str(data.journal)
        records = Records(connection, log_of(connection, root), int(meta.read(connection, NUMBER_KEY) or 0))
        yield self._now("booked"), records.check()
        left = records.left
        orders = Orders(connection, left)
        yield self._now("orders"), orders.check()
        yield self._now("flags"), fraud.check(connection, left.fraud, orders.sums.flagged)
        yield self._now("budgets"), sums.check_budgets(connection, orders.sums)
        yield self._now("funding"), sums.check_funding(connection, orders.sums)
        yield self._now("dues"), sums.check_dues(connection, orders.sums)
        yield self._now("waiting"), sums.check_waiting(connection, left)
        yield self._now("order reports"), sums.check_reports(connection, orders.sums)
        yield self._now("payouts"), payments.check_payouts(connection, left)
        yield self._now("contests"), payments.check_contests(connection, left)
        yield self._now("months"), payments.check_closings(connection, left)
        yield self._now("settlements"), payments.check_settlements(connection, left)
        yield self._now("booked days"), payments.check_days(connection, left)
        yield self._now("journal"), _check_journal(connection, root)
        yield self._now("refused"), sums.check_refused(connection)
        yield self._now("metrics"), sums.check_watched(connection)
        yield self._now("hit reports"), hits.check_reports(connection)
        yield self._now("promoters' hours"), fraud.check_hours(connection)
        yield self._now("damage"), hits.check_damage(connection)
        yield self._now("lost"), hits.lost(connection)
        yield self._now("erasures"), people.check(connection)

    def _now(self, name: str) -> str:
        self.name = name
        return name


def _check_journal(connection: Connection, root: str) -> str:
    positions = position.read_all(connection)
    if any(kept.partition for kept in positions):
        return machines.check_journal(connection, root, positions)
    return hits.check_journal(connection, root)
