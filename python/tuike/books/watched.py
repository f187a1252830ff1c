"""Sums for who watches an instance: /metrics reads a few rows where it would have to count all orders.

What an order or an outcome adds is what it stands at now less what it stood at before, so that they stay the counts of
the tables they are about."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence

from sqlalchemy import Connection, select

from tuike.books.records import Booked, Look, Standing
from tuike.stores import bulk
from tuike.stores.schema import conversions, level_sums, outcomes, set_aside_sums, shares

ROWS_PER_SELECT = 10_000
# An admin sees at once what became of these.
ANSWERED = ("registry", "decision")
LEVELS = bulk.adding(level_sums, "conversions", "shares", "commission")
SET_ASIDE = bulk.adding(set_aside_sums, "messages")

Line = tuple[str, int, int]
"""Promoter, empty for the platform's; level; original."""
Sums = dict[tuple[str, int, str], list[int]]


def add_levels(
    connection: Connection, fresh: Container[int], last: Mapping[int, Standing], looks: Mapping[int, Look]
) -> None:
    """To be called before orders' rows are written: `last` are orders as they stand then, `looks` what changed of
    others or of them after that; orders with `fresh` numbers have no rows yet."""
    sums: Sums = {}
    known = sorted({number for number in (*last, *looks) if number not in fresh})
    before = _standing(connection, known)
    for product, currency, lines in before.values():
        _take(sums, product, currency, lines, -1)
    for number in last.keys() | looks.keys():
        if number in last:
            order = last[number].conversion
            product, currency = order.product, order.currency
            lines = [(share.promoter, share.level, share.original) for share in last[number].shares]
        else:
            product, currency, lines = before[number]
        if number in looks:
            originals = looks[number].second_look["originals"]
            lines = [(*line[:2], original) for line, original in zip(lines, originals, strict=True)]
        _take(sums, product, currency, lines, 1)
    LEVELS.run(connection, [(*key, *line) for key, line in sorted(sums.items()) if any(line)])


def _take(sums: Sums, product: str, currency: str, lines: Iterable[Line], sign: int) -> None:
    """An order counts once for each level of its promoters; for level 0 where it has none."""
    paid = [(level, original) for promoter, level, original in lines if promoter]
    for level in {level for level, _ in paid} or {0}:
        sums.setdefault((product, level, currency), [0, 0, 0])[0] += sign
    for level, original in paid:
        line = sums[product, level, currency]
        line[1] += sign
        line[2] += sign * original


def _standing(connection: Connection, numbers: Sequence[int]) -> dict[int, tuple[str, str, list[Line]]]:
    found: dict[int, tuple[str, str, list[Line]]] = {}
    order, line = conversions.c, shares.c
    for start in range(0, len(numbers), ROWS_PER_SELECT):
        some = numbers[start : start + ROWS_PER_SELECT]
        orders = select(order.number, order.product, order.currency).where(order.number.in_(some))
        found |= {number: (product, currency, []) for number, product, currency in connection.execute(orders)}
        lines = select(line.conversion, line.promoter, line.level, line.original).where(line.conversion.in_(some))
        for number, *rest in connection.execute(lines.order_by(line.conversion, line.position)):
            found[number][2].append((rest[0], rest[1], rest[2]))
    return found


def add_outcomes(connection: Connection, booked: Sequence[Booked]) -> None:
    """To be called before outcomes are written: how many messages of others than admins stand set aside, by code."""
    sums: Counter[str] = Counter()
    decided = [record for record in booked if record.kind not in ANSWERED]
    latest: dict[str, str] = {}
    for record in decided:
        if record.outcome is None:
            continue
        if record.again:
            known = record.event in latest
            sums[latest[record.event] if known else _code(connection, record.event)] -= 1
        code = record.outcome.code if record.outcome.status == "set_aside" else ""
        latest[record.event] = code
        sums[code] += 1
    SET_ASIDE.run(connection, [(code, count) for code, count in sorted(sums.items()) if code and count])


def _code(connection: Connection, event: str) -> str:
    """Why a message stands set aside; empty: it does not."""
    query = select(outcomes.c.code).where(outcomes.c.event_id == event, outcomes.c.status == "set_aside")
    return connection.scalar(query) or ""
