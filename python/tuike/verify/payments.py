"""Payouts, settlements and months that were handed over, as they were booked and as the ledger moved them."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from tuike.books.ledger import CASH, REVENUE, promoters
from tuike.books.records import Closing, Contest, Day, Payout, Settlement, Winner
from tuike.books.tax import month_number, month_text
from tuike.faults import Found
from tuike.stores.bulk import stream
from tuike.stores.schema import accounts, closings, contests, days, entries, payouts, settlements, transfers
from tuike.stores.tiles import date_of
from tuike.verify.booked import Left
from tuike.verify.evidence import decoded

Line = tuple[str, int]

# what has moved of a payout in each of its states
MOVED = {
    "reserved": ("reserve",),
    "paid": ("reserve", "paid"),
    "failed": ("reserve", "failed"),
    "bounced": ("reserve", "paid", "bounce"),
}
OF_PAYOUTS = ("reserve", "paid", "failed", "bounce")


def check_payouts(connection: Connection, left: Left) -> str:
    """Tax and net are the amount, and each payout's transfers are those of its state."""
    moved = _moved(connection)
    rows = connection.execute(select(payouts).order_by(payouts.c.number)).all()
    for row in rows:
        payout = Payout(**{**row._mapping, "detail": decoded(f"payout {row.id}", row.detail)})
        place = f"payout {payout.id}"
        if left.payouts.get(payout.id) != payout:
            raise Found(place, "its row is not what was booked last")
        if payout.tax < 0 or payout.net < 0 or payout.tax + payout.net != payout.amount:
            raise Found(place, "tax and net are not its amount")
        for kind in OF_PAYOUTS:
            lines = moved.pop(f"{kind}:{payout.id}", None)
            wanted = _lines(payout, kind, lines or []) if kind in MOVED[payout.status] else None
            if lines != wanted:
                raise Found(place, f"it is {payout.status}, and its transfer `{kind}` is not what that says")
    for step in moved:
        raise Found(f"transfer {step}", "there is no such payout")
    if len(rows) != len(left.payouts):
        missing = min(left.payouts.keys() - {row.id for row in rows})
        raise Found(f"payout {missing}", "its row is missing")
    return f"{len(rows)} payouts"


def _moved(connection: Connection) -> dict[str, list[Line]]:
    """The entries of the transfers of payouts, by step."""
    found = (
        select(transfers.c.step, accounts.c.name, entries.c.amount)
        .join_from(transfers, entries, entries.c.transfer == transfers.c.number)
        .join(accounts, accounts.c.id == entries.c.account)
        .where(transfers.c.conversion == 0, transfers.c.kind.in_(OF_PAYOUTS))
        .order_by(transfers.c.number, entries.c.position)
    )
    moved: dict[str, list[Line]] = {}
    for step, name, amount in stream(connection, found):
        moved.setdefault(step, []).append((name, amount))
    return moved


def _lines(payout: Payout, kind: str, found: Sequence[Line]) -> list[Line]:
    """The entries of one of its transfers. What comes back pays what is owed first: how much was, the ledger says."""

    def line(purse: str, amount: int) -> Line:
        return promoters(payout.promoter, purse), amount

    owed = dict(found).get(promoters(payout.promoter, "owed"), 0)
    back = [line("owed", owed), line("available", payout.amount - owed)]
    wanted = {
        "reserve": [line("available", -payout.amount), line("reserved", payout.amount)],
        "paid": [line("reserved", -payout.amount), line("paid", payout.net), line("tax", payout.tax)],
        "failed": [line("reserved", -payout.amount), *back],
        "bounce": [line("paid", -payout.net), line("tax", -payout.tax), *back],
    }
    return [(name, amount) for name, amount in wanted[kind] if amount]


def check_closings(connection: Connection, left: Left) -> str:
    """What was handed over of a month is the tax of its paid payouts."""
    taxed: dict[tuple[int, str], int] = {}
    for row in connection.execute(select(payouts).where(payouts.c.status == "paid")):
        month = month_number(row.day), row.currency
        taxed[month] = taxed.get(month, 0) + row.tax
    _same(connection.execute(select(closings)).all(), Closing, left.closings, "month")
    remitted = _remitted(connection)
    for closing in left.closings.values():
        key = closing.month, closing.currency
        handed = remitted.pop((month_text(closing.month), closing.currency), 0)
        if handed != taxed.get(key, 0):
            place = f"month {month_text(closing.month)} {closing.currency}"
            raise Found(place, f"{handed} were handed over, its payouts withheld {taxed.get(key, 0)}")
    return f"{len(left.closings)} months handed over"


def _remitted(connection: Connection) -> dict[tuple[str, str], int]:
    found = (
        select(transfers.c.step, transfers.c.currency, entries.c.amount)
        .join_from(transfers, entries, entries.c.transfer == transfers.c.number)
        .join(accounts, accounts.c.id == entries.c.account)
        .where(transfers.c.conversion == 0, transfers.c.kind == "remit", accounts.c.name == CASH)
    )
    sums: dict[tuple[str, str], int] = {}
    for step, currency, amount in connection.execute(found):
        key = step.split(":")[1], currency
        sums[key] = sums.get(key, 0) + amount
    return sums


def check_contests(connection: Connection, left: Left) -> str:
    """Each contest is as it was booked, and what it paid are the transfers of its places."""
    rows = [_contest(row) for row in connection.execute(select(contests))]
    _same([msgspec.structs.astuple(row) for row in rows], Contest, left.contests, "contest")
    found = (
        select(transfers.c.step, entries.c.amount)
        .join(entries, entries.c.transfer == transfers.c.number)
        .join(accounts, accounts.c.id == entries.c.account)
        .where(transfers.c.conversion == 0, transfers.c.kind == "prize", transfers.c.step.like("contest:%"))
        .where(accounts.c.name == REVENUE)
    )
    paid = {step: -amount for step, amount in connection.execute(found)}
    wanted = {f"contest:{of.id}:{won.place}": won.amount for of in rows for won in of.winners if won.amount}
    for step in sorted(paid.keys() | wanted.keys()):
        if paid.get(step) != wanted.get(step):
            raise Found(f"transfer {step}", f"it moved {paid.get(step)}, the prize is {wanted.get(step)}")
    return f"{len(rows)} contests"


def _contest(row: Any) -> Contest:
    place = f"contest {row.id}"
    prizes = decoded(place, row.prizes, tuple[int, ...])
    winners = decoded(place, row.winners, tuple[Winner, ...])
    return Contest(**{**row._mapping, "prizes": prizes, "winners": winners})


def check_settlements(connection: Connection, left: Left) -> str:
    found = connection.execute(select(settlements)).all()
    rows = [{**row._mapping, "amounts": decoded(f"settlement {row.id}", row.amounts)}.values() for row in found]
    _same(rows, Settlement, left.settlements, "settlement")
    return f"{len(rows)} settlements"


def check_days(connection: Connection, left: Left) -> str:
    """The days are those that were booked."""
    _same(connection.execute(select(days)).all(), Day, {date_of(day): row for day, row in left.days.items()}, "day")
    return f"{len(left.days)} days as they were booked"


def _same(rows: Sequence[Any], kind: type[Any], booked: dict[Any, Any], what: str) -> None:
    """Rows are what was booked last of each."""
    wanted = {repr(thing): key for key, thing in booked.items()}
    for row in rows:
        thing = kind(*row)
        if wanted.pop(repr(thing), None) is None:
            raise Found(f"{what} {next(iter(row))}", "its row is not what was booked last")
    for key in wanted.values():
        raise Found(f"{what} {key}", "its row is missing")
