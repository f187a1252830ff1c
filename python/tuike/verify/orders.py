"""Orders as the tables have them: each row, with its lines, is what the last record about it left; what follows from
orders (sales, budgets, funding, what is due, reports) is what the rows come to."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, func, select

from tuike.books.split import WEIGHT_UNIT
from tuike.faults import Found
from tuike.stores.bulk import Row, stream
from tuike.stores.schema import conversions, releases, sales, shares
from tuike.verify.booked import Left
from tuike.verify.evidence import KEPT, Evidence, decoded, lines_of, row_hash

CONVERSIONS = (
    select(conversions, func.coalesce(releases.c.number, 0).label("released"))
    .outerjoin(releases, releases.c.conversion == conversions.c.number)
    .order_by(conversions.c.number)
)
SHARES = select(shares).order_by(shares.c.conversion, shares.c.position)
# rows of an order that counts no more stand at 0
SALES = (
    select(
        sales.c.conversion,
        sales.c.promoter,
        sales.c.currency,
        sales.c.day,
        sales.c.merchant,
        sales.c.booked,
        sales.c.net,
    )
    .where(sales.c.net != 0)
    .order_by(sales.c.conversion, sales.c.promoter)
)
PLACES = {column.name: place for place, column in enumerate(CONVERSIONS.selected_columns)}

Key = tuple[str, str, str]


@dataclass(slots=True)
class Sums:
    """What all orders come to."""

    due: int = 0
    budgets: dict[tuple[str, str, int], int] = field(default_factory=dict)
    released: dict[tuple[str, str], int] = field(default_factory=dict)
    # by merchant, product and currency: conversions, sales, commission
    reported: dict[Key, list[int]] = field(default_factory=dict)
    flagged: set[int] = field(default_factory=set)  # orders that fraud's flags hold


class Orders:
    """Reads orders, lines and sales together, in the order of the orders' numbers."""

    def __init__(self, connection: Connection, left: Left) -> None:
        self._connection = connection
        self._left = left
        self._shares = _Groups(stream(connection, SHARES), "shares")
        self._sales = _Groups(stream(connection, SALES), "sales")
        self.sums = Sums()

    def check(self) -> str:
        seen = 0
        pick = [PLACES[name] for name in KEPT]
        take = [PLACES[name] for name in Order.__struct_fields__]
        known = self._left.standings
        for row in stream(self._connection, CONVERSIONS):
            order = Order(*[row[place] for place in take])
            lines = self._shares.of(order.number)
            seen += 1
            hash = row_hash(tuple([row[place] for place in pick]), self._booked(order), bool(lines))
            if order.number >= len(known) or hash != known[order.number]:
                raise Found(f"conversion {order.id}", "its row is not what was booked last")
            self._row(order, lines)
        self._shares.end()
        self._sales.end()
        whole = len(known) - known.count(0)
        if seen != whole:
            missing = next(number for number, hash in enumerate(known) if hash and not self._is_there(number))
            raise Found(f"conversion of number {missing}", "its row is missing")
        return f"{seen} orders"

    def _booked(self, order: "Order") -> str:
        """The evidence without what a second look added to it."""
        end = self._left.looks.get(order.number)
        return order.evidence if end is None else order.evidence.removesuffix(end) + "}"

    def _is_there(self, number: int) -> bool:
        found = select(conversions.c.number).where(conversions.c.number == number)
        return self._connection.scalar(found) is not None

    def _row(self, order: "Order", lines: list[Row]) -> None:
        place = f"conversion {order.id}"
        if order.released != self._left.released[order.number]:
            raise Found(place, f"released by {order.released}, not by {self._left.released[order.number]}")
        self.sums.due += bool(order.due) and order.status == "approved" and not order.released
        paid, kept = 0, 0
        for line in lines:
            if line[2]:
                paid += line[7]
            else:
                kept += line[7]
        evidence = decoded(place, order.evidence, Evidence)
        if order.status == "pending" and evidence.fraud is not None:
            self.sums.flagged.add(order.number)
        elif order.status == "pending" and order.reason == "fraud":
            raise Found(place, "it is held for fraud without flags")
        if lines:
            wanted = lines_of(evidence, order.status, order.amount, order.refunded)
            if [line[2:] for line in lines] != wanted:
                raise Found(place, "its lines are not what its evidence and its refunds make them")
        net = 0 if order.status == "rejected" else (order.amount or 0) - order.refunded
        self._check_sales(order, evidence, net if lines else 0)
        if not lines:
            return
        sums = self.sums
        if evidence.budget is not None:
            spent = order.product, order.currency, order.day
            sums.budgets[spent] = sums.budgets.get(spent, 0) + paid + kept
        if order.released:
            fund = order.merchant, order.currency
            sums.released[fund] = sums.released.get(fund, 0) + paid + kept
        if order.status != "rejected":
            report = sums.reported.setdefault((order.merchant, order.product, order.currency), [0, 0, 0])
            report[0] += 1
            report[1] += net
            report[2] += paid

    def _check_sales(self, order: "Order", evidence: Evidence, net: int) -> None:
        found = self._sales.of(order.number)
        if not net and not found:
            return
        key = (order.currency, order.day, order.merchant, evidence.booked)
        wanted = [(step["promoter"], *key, net * step["weight"] // WEIGHT_UNIT) for step in evidence.split]
        if sorted(line for line in wanted if line[-1]) != [line[1:] for line in found]:
            raise Found(
                f"sales of conversion {order.id}", "they are not what the order counts among its promoters' sales"
            )


class Order(msgspec.Struct, frozen=True):
    """What is asked of an order's row."""

    id: str
    number: int
    merchant: str
    product: str
    amount: int | None
    currency: str
    status: str
    refunded: int
    day: int
    due: int
    released: int
    reason: str
    evidence: str


class _Groups:
    """Rows that begin with an order's number, in its order."""

    def __init__(self, rows: Iterator[Row], what: str) -> None:
        self._rows = rows
        self._what = what
        self._row: Row | None = next(rows, None)

    def of(self, number: int) -> list[Row]:
        """The order's rows; numbers are asked for in order, and every row belongs to one."""
        found: list[Row] = []
        row = self._row
        if row is not None and row[0] < number:
            raise Found(f"{self._what} of number {row[0]}", "there is no such order")
        while row is not None and row[0] == number:
            found.append(row)
            row = next(self._rows, None)
        self._row = row
        return found

    def end(self) -> None:
        if self._row is not None:
            raise Found(f"{self._what} of number {self._row[0]}", "there is no such order")
