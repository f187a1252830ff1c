"""What the bookkeeper keeps in memory of the registry: all that deciding an order asks for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from tuike import _core
from tuike.stores import schema


class RuleVersion:
    """One version of a product's commission rule, read per currency: a `fixed` rule is in the order's."""

    def __init__(self, version: int, effective_from: int, text: str) -> None:
        self.version = version
        self.effective_from = effective_from
        self.text = text
        self._read: dict[str, _core.Rule] = {}

    def rule(self, currency: str) -> _core.Rule:
        """ValueError where the rule cannot be read in this currency."""
        if currency not in self._read:
            self._read[currency] = _core.Rule(self.text, currency)
        return self._read[currency]


@dataclass(slots=True)
class Merchant:
    id: str
    currency: str
    status: str


@dataclass(slots=True)
class Product:
    id: str
    merchant: str
    url: str
    allowed_hosts: list[str]
    pixel_conversions: str
    attribution: Mapping[str, Any]
    status: str
    rules: list[RuleVersion] = field(default_factory=list)

    @classmethod
    def from_row(cls, row: Mapping[Any, Any], rules: list[RuleVersion]) -> "Product":
        return cls(
            row["id"],
            row["merchant"],
            row["url"],
            json.loads(row["allowed_hosts"]),
            row["pixel_conversions"],
            json.loads(row["attribution"]),
            row["status"],
            rules,
        )

    def rule_at(self, instant: int) -> RuleVersion:
        """The version in force then; an order older than the first is paid by the first."""
        return next((rule for rule in reversed(self.rules) if rule.effective_from <= instant), self.rules[0])


class Registry:
    """Merchants, products with their rules, promoters' standing and their tree."""

    def __init__(self, max_levels: int) -> None:
        self._max_levels = max_levels
        self.merchants: dict[str, Merchant] = {}
        self.products: dict[str, Product] = {}
        self.promoters: dict[str, str] = {}  # id -> status
        self.forest = _core.Forest()
        self.moved = 0  # the instant of the last change of a parent: such instants never fall

    @classmethod
    def load(cls, connection: Connection, max_levels: int) -> "Registry":
        """Chains are cut at `max_levels`."""
        registry = cls(max_levels)
        for row in connection.execute(select(schema.merchants)).mappings():
            registry.merchants[row["id"]] = Merchant(row["id"], row["currency"], row["status"])
        rules: dict[str, list[RuleVersion]] = {}
        for row in connection.execute(
            select(schema.rules).order_by(schema.rules.c.product, schema.rules.c.version)
        ).mappings():
            version = RuleVersion(row["version"], row["effective_from"], row["rule"])
            rules.setdefault(row["product"], []).append(version)
        for row in connection.execute(select(schema.products)).mappings():
            registry.products[row["id"]] = Product.from_row(row, rules[row["id"]])
        registry._load_promoters(connection)
        return registry

    def _load_promoters(self, connection: Connection) -> None:
        changes = schema.promoter_parents
        first: dict[str, str | None] = {}
        later: list[tuple[str, str | None, int]] = []
        for promoter, parent, since in connection.execute(
            select(changes.c.promoter, changes.c.parent, changes.c.since).order_by(changes.c.number)
        ):
            if promoter in first:
                self.moved = max(self.moved, since)
                later.append((promoter, parent, since))
            else:
                first[promoter] = parent
        for id, status in connection.execute(select(schema.promoters.c.id, schema.promoters.c.status)):
            self.promoters[id] = status
        index = {id: place for place, id in enumerate(first)}
        self.forest.load(list(first), [-1 if parent is None else index[parent] for parent in first.values()])
        for promoter, parent, since in later:
            self.forest.set_parent(promoter, parent, since)

    def chain(self, promoter: str, instant: int, levels: int) -> list[str]:
        return self.forest.chain(promoter, instant, min(levels, self._max_levels))

    def pays(self, promoter: str) -> bool:
        """Whether a level that this promoter holds is paid."""
        return self.promoters.get(promoter) != "blocked"

    def move_instant(self, at: int) -> int:
        """The instant of a change of a parent asked for at `at`."""
        self.moved = max(self.moved, at)
        return self.moved
