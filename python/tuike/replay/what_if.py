"""What another rule or model would have paid, or other fraud rules have flagged: every message decided again, in the
order of the books and by the touches of then, by a fresh bookkeeper whose products have these instead of theirs.
Nothing is changed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, func, select

from tuike import _core
from tuike.books import defaults
from tuike.books.backlog import Item
from tuike.books.bookkeeper import NUMBER_KEY, Bookkeeper
from tuike.books.records import Request
from tuike.data import Data
from tuike.replay.history import Past, Step, history
from tuike.replay.logs import log_of
from tuike.replay.rebuild import Told, fresh, touch_store, untold
from tuike.stores import engine, meta
from tuike.stores.schema import conversions, fraud_flags, merchants, outcomes, products, rules, shares

MESSAGES_PER_BATCH = 2_000

T = TypeVar("T")
Finding = tuple[str, str, str, str]
"""Order, product, promoter and rule."""
Line = tuple[str, int, str, str]
"""Promoter (empty: the platform), level, product and currency."""


class CannotBe(Exception):
    """The change cannot be asked for; the message says why."""


@dataclass(frozen=True, slots=True)
class Change:
    """A rule (JSON) in place of every version of a product's, under that one's ceiling, or a model in place of its own;
    of one product, or of all. `fraud` are fraud rules over each one's own. None stays as it is."""

    rule: dict[str, Any] | None = None
    model: str | None = None
    product: str | None = None
    fraud: dict[str, Any] | None = None

    @classmethod
    def of_files(cls, rule: Path | None, model: str | None, product: str | None, fraud: Path | None) -> "Change":
        """With the rule and the fraud rules in files. Raises CannotBe."""
        return cls(_object_in(rule), model, product, _object_in(fraud))

    def of(self, item: Item) -> Item:
        """A registry write as it would have been."""
        request = msgspec.json.decode(item.message.body, type=Request)
        if request.op not in ("product.create", "product.update") or self.product not in (None, request.data["id"]):
            return item
        data = dict(request.data)
        if self.rule is not None and "commission" in data:
            data["commission"] = self.rule
        if self.model is not None and (request.op == "product.create" or "attribution" in data):
            data["attribution"] = data.get("attribution", {}) | {"model": self.model}
        if self.fraud is not None and (request.op == "product.create" or "fraud" in data):
            data["fraud"] = data.get("fraud", {}) | self.fraud
        body = msgspec.json.encode(msgspec.structs.replace(request, data=data))
        return item._replace(message=msgspec.structs.replace(item.message, body=body))

    def check(self, connection: Connection) -> None:
        """Raises CannotBe where there is no such product, or a product could not have this rule."""
        columns = (products.c.id, merchants.c.currency)
        lowest = select(func.min(rules.c.ceiling)).where(rules.c.product == products.c.id).scalar_subquery()
        known = select(*columns, lowest.label("ceiling")).join(merchants, merchants.c.id == products.c.merchant)
        known = known.order_by(products.c.id)
        found = [row for row in connection.execute(known) if self.product in (None, row.id)]
        if self.product is not None and not found:
            raise CannotBe(f"there is no product {self.product!r}")
        unknown = sorted((self.fraud or {}).keys() - defaults.FRAUD.keys())
        if unknown:
            raise CannotBe(f"there is no fraud rule {unknown[0]!r}; there are {', '.join(defaults.FRAUD)}")
        try:
            _core.FraudRules(msgspec.json.encode(self.fraud or {}).decode())
        except ValueError as error:
            raise CannotBe(f"the fraud rules cannot be read: {error}") from error
        for row in found if self.rule is not None else ():
            try:
                _core.Rule(msgspec.json.encode(self.rule).decode(), row.currency, row.ceiling)
            except ValueError as error:
                raise CannotBe(f"product {row.id!r} cannot have this rule: {error}") from error


@dataclass(slots=True)
class Comparison:
    """What orders' lines stand at: as booked, and as they would."""

    paid: dict[Line, int] = field(default_factory=dict)
    would: dict[Line, int] = field(default_factory=dict)
    orders: tuple[int, int] = (0, 0)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """A head, a row for each promoter, level and product, and a total of the promoters for each currency."""
        yield "promoter", "level", "product", "currency", "paid", "would", "difference"
        totals: dict[str, list[int]] = {}
        for line in sorted(self.paid.keys() | self.would.keys()):
            promoter, level, product, currency = line
            paid, would = self.paid.get(line, 0), self.would.get(line, 0)
            yield promoter or "(platform)", str(level), product, currency, *_amounts(paid, would, currency)
            if promoter:
                total = totals.setdefault(currency, [0, 0])
                total[0] += paid
                total[1] += would
        for currency, (paid, would) in sorted(totals.items()):
            yield "(all promoters)", "", "", currency, *_amounts(paid, would, currency)

    def text(self) -> str:
        lines = ["\t".join(row) for row in self.rows()]
        if self.orders[0] != self.orders[1]:
            lines.append(f"{self.orders[0]} orders are in the books, {self.orders[1]} would be")
        return "\n".join(lines)


@dataclass(slots=True)
class Flagged:
    """Scores of what fraud rules found: as booked, and as they would."""

    found: dict[Finding, int] = field(default_factory=dict)
    would: dict[Finding, int] = field(default_factory=dict)

    def rows(self) -> Iterable[tuple[str, ...]]:
        yield "order", "product", "promoter", "rule", "score", "would"
        for finding in sorted(self.found.keys() | self.would.keys()):
            scores = [str(scores.get(finding, "-")) for scores in (self.found, self.would)]
            yield *finding, *scores

    def text(self) -> str:
        orders = [len({finding[:2] for finding in scores}) for scores in (self.found, self.would)]
        lines = ["\t".join(row) for row in self.rows()]
        return "\n".join([*lines, f"{orders[0]} orders were flagged, {orders[1]} would be"])


def what_if(data: Data, change: Change, max_levels: int, minimum: Mapping[str, int], told: Told = untold) -> Comparison:
    """Raises CannotBe, and Found where the journal is not whole. The instance may be running."""
    return _changed(data, change, max_levels, minimum, told, _compared)


def flagged_if(data: Data, change: Change, max_levels: int, minimum: Mapping[str, int], told: Told = untold) -> Flagged:
    """As `what_if`, for what fraud rules find."""
    return _changed(data, change, max_levels, minimum, told, lambda live, made: Flagged(_flags(live), _flags(made)))


def _changed(
    data: Data,
    change: Change,
    max_levels: int,
    minimum: Mapping[str, int],
    told: Told,
    compared: Callable[[Connection, Connection], T],
) -> T:
    books = engine.open_reader(data.database)
    try:
        with books.begin() as live, fresh(data) as (directory, made):
            change.check(live)
            number = int(meta.read(live, NUMBER_KEY) or 0)
            with touch_store(directory, "past") as touches:
                with made.begin() as connection:
                    keeper = Bookkeeper(connection, touches, lambda records: None, max_levels, minimum)
                refused = _refused(live)
                course = Course(
                    made,
                    keeper,
                    Past(str(data.journal), touches, made),
                    lambda item: item if item.message.id in refused else change.of(item),
                )
                root = str(data.journal)
                for step in history(log_of(live, root), root, number):
                    course.take(step)
                    told(step[0].number, number)
                course.end()
            with made.begin() as connection:
                return compared(live, connection)
    finally:
        books.dispose()


class Course:
    """Takes the history step by step, and has the bookkeeper do for itself what it was asked for."""

    def __init__(self, made: Engine, keeper: Bookkeeper, past: Past, altered: Callable[[Item], Item]) -> None:
        self._made = made
        self._keeper = keeper
        self._past = past
        self._altered = altered
        self._held: list[Item] = []
        self._now = 0

    def take(self, step: Step) -> None:
        record, item = step
        if record.seen or len(self._held) == MESSAGES_PER_BATCH:
            self._apply()
        self._past.note(record)
        self._now = max(self._now, record.at)
        if record.kind == "registry":
            self._apply()
            assert item is not None
            self._run(lambda connection: self._keeper.apply(connection, [self._altered(item)], []))
        elif item is not None:
            self._held.append(item)
        elif record.kind in ("settle", "expire"):
            self._apply()
            self._step(record.at)

    def end(self) -> None:
        """Settlements that take more steps than those of the books are done to their ends."""
        self._apply()
        while self._keeper.has_steps(self._now):
            self._step(self._now)

    def _apply(self) -> None:
        if self._held:
            self._past.fill()
            self._run(lambda connection: self._keeper.apply(connection, [], self._held))
            self._held = []

    def _step(self, now: int) -> None:
        self._run(lambda connection: self._keeper.step(connection, now))

    def _run(self, act: Callable[[Connection], Any]) -> None:
        with self._made.begin() as connection:
            act(connection)


def _refused(connection: Connection) -> set[str]:
    """Registry writes that came to nothing, and so replace no version."""
    of_registry = select(outcomes.c.event_id).where(outcomes.c.kind == "registry", outcomes.c.status == "set_aside")
    return set(connection.scalars(of_registry))


def _object_in(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise CannotBe(f"{file}: no JSON object: {error}") from error


def _flags(connection: Connection) -> dict[Finding, int]:
    columns = (conversions.c.order_id, fraud_flags.c.product, fraud_flags.c.promoter, fraud_flags.c.rule)
    joined = fraud_flags.join(conversions, conversions.c.number == fraud_flags.c.conversion)
    found = connection.execute(select(*columns, fraud_flags.c.score).select_from(joined))
    return {(row[0], row[1], row[2], row[3]): row[4] for row in found}


def _compared(live: Connection, made: Connection) -> Comparison:
    return Comparison(_lines(live), _lines(made), (_orders(live), _orders(made)))


def _lines(connection: Connection) -> dict[Line, int]:
    by = (shares.c.promoter, shares.c.level, conversions.c.product, conversions.c.currency)
    found = (
        select(*by, func.sum(shares.c.amount))
        .join(conversions, conversions.c.number == shares.c.conversion)
        .where(shares.c.amount > 0)
        .group_by(*by)
    )
    return {(row[0], row[1], row[2], row[3]): row[4] for row in connection.execute(found)}


def _orders(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(conversions)) or 0


def _amounts(paid: int, would: int, currency: str) -> tuple[str, str, str]:
    return (
        _core.format_amount(paid, currency),
        _core.format_amount(would, currency),
        _core.format_amount(would - paid, currency),
    )
