"""Proves the books: what was accepted is accounted for, what is accounted for adds up.

One reading of the database (a snapshot) against itself and against the journal. The first fault ends it.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select

from tuike import _core
from tuike.books.backlog import BOOKED_KINDS, event_id
from tuike.books.ledger import GENESIS, chain_hash
from tuike.data import Data
from tuike.process import clock
from tuike.stores import engine, position
from tuike.stores.schema import (
    accounts,
    conversions,
    damage,
    entries,
    hit_counts,
    order_rollups,
    outcomes,
    rollups,
    shares,
    transfers,
)

READ_LIMIT = 50_000
ROWS_PER_FETCH = 10_000
IDS_PER_SELECT = 10_000
# what moves shares; later moves take money out of pending and leave the shares as they are
SHARE_TRANSFERS = ("accrue", "reverse")


@dataclass(frozen=True, slots=True)
class Fault:
    """What does not hold, and where."""

    check: str
    place: str
    detail: str


@dataclass(slots=True)
class Report:
    """What was proved, with how much of it there was; or the first fault."""

    proved: list[str] = field(default_factory=list)
    fault: Fault | None = None

    def text(self) -> str:
        lines = [f"ok     {line}" for line in self.proved]
        if self.fault is not None:
            lines.append(f"FAULT  {self.fault.check}: {self.fault.place}: {self.fault.detail}")
        return "\n".join(lines)


class _Found(Exception):
    """Carries the first fault out of a check. Stays in this module."""

    def __init__(self, place: str, detail: str) -> None:
        super().__init__(place)
        self.place = place
        self.detail = detail


def verify(data: Data) -> Report:
    """Runs every check until one fails. Nothing is written; the instance may be running."""
    report = Report()
    if not data.books.exists():
        report.proved.append("no books yet")
        return report
    books = engine.reader(data.books)
    checks: tuple[tuple[str, Callable[[Connection], str]], ...] = (
        ("ledger", _check_ledger),
        ("shares", _check_shares),
        ("order reports", _check_order_rollups),
        ("journal", lambda connection: _check_journal(connection, str(data.journal))),
        ("hit reports", _check_rollups),
        ("damage", _check_damage),
    )
    try:
        with books.begin() as connection:
            for name, check in checks:
                try:
                    report.proved.append(f"{name}: {check(connection)}")
                except _Found as found:
                    report.fault = Fault(name, found.place, found.detail)
                    break
    finally:
        books.dispose()
    return report


def _rows(connection: Connection, statement: Any) -> Iterator[Any]:
    return iter(connection.execute(statement, execution_options={"yield_per": ROWS_PER_FETCH}))


# --- money -----------------------------------------------------------------------------------------


def _check_ledger(connection: Connection) -> str:
    """No number is missing, entries sum to zero, the hash chain is unbroken, balances are their entries' sums."""
    known = {row.id: row for row in connection.execute(select(accounts))}
    sums: Counter[int] = Counter()
    lines = _rows(connection, select(entries).order_by(entries.c.transfer, entries.c.position))
    by_transfer = itertools.groupby(lines, key=lambda line: line.transfer)
    number, previous = 0, GENESIS
    for transfer in _rows(connection, select(transfers).order_by(transfers.c.number)):
        number += 1
        place = f"transfer {transfer.number}"
        if transfer.number != number:
            raise _Found(place, f"transfer {number} is missing")
        owner, group = next(by_transfer, (None, iter(())))
        whole = list(group)
        if owner != number or any(line.account not in known for line in whole):
            raise _Found(place, "its entries are not its own")
        if sum(line.amount for line in whole) or any(
            known[line.account].currency != transfer.currency for line in whole
        ):
            raise _Found(place, "its entries do not sum to zero in its currency")
        named = [(known[line.account].name, line.amount) for line in whole]
        previous = chain_hash(previous, number, transfer.currency, named)
        if previous != transfer.hash:
            raise _Found(place, "the hash chain is broken here")
        for line in whole:
            sums[line.account] += line.amount
    if (stray := next(by_transfer, None)) is not None:
        raise _Found(f"transfer {stray[0]}", "entries without a transfer")
    for row in known.values():
        if row.balance != sums[row.id]:
            raise _Found(f"account {row.name} {row.currency}", f"balance {row.balance}, entries sum to {sums[row.id]}")
    return f"{number} transfers, {len(known)} accounts"


def _check_shares(connection: Connection) -> str:
    """What each order's lines stand at is what its transfers brought to their accounts."""
    posted = (
        select(transfers.c.conversion, accounts.c.name, func.sum(entries.c.amount).label("amount"))
        .join(entries, entries.c.transfer == transfers.c.number)
        .join(accounts, accounts.c.id == entries.c.account)
        .where(transfers.c.kind.in_(SHARE_TRANSFERS), accounts.c.name.not_like("merchant:%"))
        .group_by(transfers.c.conversion, accounts.c.name)
        .order_by(transfers.c.conversion)
    )
    standing = (
        select(shares.c.conversion, shares.c.promoter, func.sum(shares.c.amount).label("amount"))
        .group_by(shares.c.conversion, shares.c.promoter)
        .order_by(shares.c.conversion)
    )
    orders = 0
    wanted = _by_conversion(_rows(connection, standing), _account_of)
    brought = _by_conversion(_rows(connection, posted), lambda row: row.name)
    for share, entry in itertools.zip_longest(wanted, brought):
        orders += 1
        if share != entry:
            place = min(side[0] for side in (share, entry) if side is not None)
            raise _Found(f"conversion {place}", "its shares are not what its transfers brought")
    return f"{orders} orders with commission"


def _account_of(row: Any) -> str:
    return f"promoter:{row.promoter}:pending" if row.promoter else "platform:revenue"


def _by_conversion(rows: Iterator[Any], account: Callable[[Any], str]) -> Iterator[tuple[str, dict[str, int]]]:
    """Sums that are not zero, order by order; orders without any are left out."""
    for conversion, group in itertools.groupby(rows, key=lambda row: row.conversion):
        sums = {account(row): row.amount for row in group if row.amount}
        if sums:
            yield conversion, sums


def _check_order_rollups(connection: Connection) -> str:
    """Conversions, sales and commission in the reports are those of the credited orders."""
    paid = (
        select(shares.c.conversion, func.sum(shares.c.amount).label("commission"))
        .where(shares.c.promoter != "")
        .group_by(shares.c.conversion)
        .subquery()
    )
    keys = (conversions.c.merchant, conversions.c.product, conversions.c.currency)
    net = func.coalesce(conversions.c.amount, 0) - conversions.c.refunded
    wanted = (
        select(*keys, func.count(), func.sum(net), func.sum(paid.c.commission))
        .join(paid, paid.c.conversion == conversions.c.id)
        .where(conversions.c.status != "rejected")
        .group_by(*keys)
    )
    kept = order_rollups.c
    reported = (
        select(
            kept.merchant,
            kept.product,
            kept.currency,
            func.sum(kept.conversions),
            func.sum(kept.sales),
            func.sum(kept.commission),
        )
        .where(kept.label_number == 0)
        .group_by(kept.merchant, kept.product, kept.currency)
    )
    orders = {tuple(row[:3]): tuple(row[3:]) for row in connection.execute(wanted)}
    lines = {tuple(row[:3]): tuple(row[3:]) for row in connection.execute(reported)}
    for key in sorted(orders.keys() | lines.keys()):
        order, line = orders.get(key, (0, 0, 0)), lines.get(key, (0, 0, 0))
        if order != line:
            detail = f"conversions, sales, commission are {order}, the reports say {line}"
            raise _Found(f"merchant {key[0]} product {key[1]} {key[2]}", detail)
    return f"{sum(order[0] for order in orders.values())} conversions"


# --- hits ------------------------------------------------------------------------------------------


def _check_journal(connection: Connection, root: str) -> str:
    """Every hit up to the fold's position is counted, every message up to the books' position has its outcome."""
    folded = position.read(connection, "hits").upto
    booked = position.read(connection, "books").upto
    counted: Counter[tuple[str, str]] = Counter()
    read: dict[int, int] = {}
    answered = 0
    for batch in _batches(root, {}, folded):
        _check_sound(batch)
        read.update(batch.upto)
        counted.update(_outcomes(batch))
        answered += _check_answers(connection, batch, booked)
    for batch in _batches(root, folded, booked):
        _check_sound(batch)
        answered += _check_answers(connection, batch, booked)
    for incarnation, seq in folded.items():
        if read.get(incarnation, 0) < seq:
            detail = f"it ends at event {read.get(incarnation, 0)}, event {seq} was applied"
            raise _Found(f"journal {incarnation:016x}", detail)
    kept = {(row.incarnation, row.outcome): row.hits for row in connection.execute(select(hit_counts))}
    for key in sorted(counted.keys() | kept.keys()):
        if counted[key] != kept.get(key, 0):
            detail = f"{counted[key]} hits in the journal, {kept.get(key, 0)} counted"
            raise _Found(f"journal {key[0]} outcome {key[1]}", detail)
    waiting = sum(sum(_outcomes(batch).values()) for batch in _batches(root, folded, None))
    return f"{counted.total()} hits, {answered} messages, {waiting} hits not folded yet"


def _batches(root: str, after: Mapping[int, int], upto: Mapping[int, int] | None) -> Iterator[_core.Batch]:
    """All that lies between two positions."""
    follower = _core.Follower(root)
    read = dict(after)
    more = True
    while more:
        batch = follower.read(read, READ_LIMIT, clock(), upto)
        yield batch
        read.update(batch.upto)
        more = batch.more


def _check_sound(batch: _core.Batch) -> None:
    """No record of it has been damaged, not even since it was applied."""
    for producer, incarnation, offset, length in batch.damage:
        raise _Found(f"journal {producer}/{incarnation:016x} byte {offset}", f"{length} bytes are damaged")


def _outcomes(batch: _core.Batch) -> Counter[tuple[str, str]]:
    return Counter(
        {
            (f"{incarnation:016x}", outcome): hits
            for incarnation, outcomes in batch.hit_counts().items()
            for outcome, hits in outcomes.items()
        }
    )


def _check_answers(connection: Connection, batch: _core.Batch, booked: Mapping[int, int]) -> int:
    """How many messages of the batch the books have come past; each must have its outcome."""
    places = {
        event_id(incarnation, seq, fields): f"journal {incarnation:016x} event {seq}"
        for incarnation, seq, _, fields in batch.events()
        if fields["kind"] in BOOKED_KINDS and seq <= booked.get(incarnation, 0)
    }
    ids = list(places)
    for start in range(0, len(ids), IDS_PER_SELECT):
        chunk = ids[start : start + IDS_PER_SELECT]
        found = set(connection.scalars(select(outcomes.c.event_id).where(outcomes.c.event_id.in_(chunk))))
        for id in chunk:
            if id not in found:
                raise _Found(places[id], f"message {id} was passed over")
    return len(places)


def _check_rollups(connection: Connection) -> str:
    """The reports' clicks and impressions are the hits that counted; their bots are bots."""
    sums = connection.execute(
        select(
            func.coalesce(func.sum(rollups.c.impressions + rollups.c.clicks), 0).label("counted"),
            func.coalesce(func.sum(rollups.c.bots), 0).label("bot"),
            func.coalesce(func.sum(rollups.c.prefetches), 0).label("prefetch"),
        ).where(rollups.c.label_number == 0)
    ).one()
    hits = Counter(
        {
            row.outcome: row.hits
            for row in connection.execute(
                select(hit_counts.c.outcome, func.sum(hit_counts.c.hits).label("hits")).group_by(hit_counts.c.outcome)
            )
        }
    )
    # bots and prefetches of codes that nobody knows are counted and stand in no report
    if sums.counted != hits["counted"] or sums.bot > hits["bot"] or sums.prefetch > hits["prefetch"]:
        raise _Found("all hits", f"counted {dict(hits)}, the reports say {dict(sums._mapping)}")
    return f"{sums.counted} impressions and clicks"


def _check_damage(connection: Connection) -> str:
    """No stretch of a journal was found damaged."""
    row = connection.execute(select(damage).order_by(damage.c.found).limit(1)).one_or_none()
    if row is not None:
        place = f"journal {row.producer}/{row.incarnation} byte {row.offset}"
        raise _Found(place, f"{row.length} bytes are damaged and were passed over")
    return "none"
