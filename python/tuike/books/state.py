"""What the bookkeeper keeps in memory of the registry: all that deciding an order asks for."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from tuike import _core
from tuike.books import defaults, settings
from tuike.stores import schema


class RuleVersion:
    """One version of a product's commission rule, read per currency: a `fixed` rule is in the order's.

    `ceiling` (1e-6) is the platform's as it was when the rule was written: what was booked by it comes out the same
    again, whatever is set now."""

    def __init__(self, version: int, effective_from: int, text: str, ceiling: int) -> None:
        self.version = version
        self.effective_from = effective_from
        self.text = text
        self.ceiling = ceiling
        self._read: dict[str, _core.Rule] = {}

    def rule(self, currency: str) -> _core.Rule:
        """ValueError where the rule cannot be read in this currency."""
        if currency not in self._read:
            self._read[currency] = _core.Rule(self.text, currency, self.ceiling)
        return self._read[currency]


@dataclass(slots=True)
class Merchant:
    id: str
    currency: str
    status: str
    timezone: ZoneInfo
    settlement: str
    refund_days: int
    release_when: str
    dialect: str | None  # of its postbacks, as the row has it

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> "Merchant":
        return cls(
            row["id"],
            row["currency"],
            row["status"],
            ZoneInfo(row["timezone"]),
            row["settlement"],
            row["refund_days"],
            row["release_when"],
            row["dialect"],
        )


@dataclass(frozen=True, slots=True)
class Promoter:
    """What an order asks of a promoter. Most promoters are alike, and those are one object.

    `person` is who is taxed: several accounts may be one person's; `customers` are (merchant, cust) that he is."""

    status: str
    kind: str
    person: str
    tax: str
    customers: frozenset[tuple[str, str]]

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> "Promoter":
        return _promoter(row["status"], row["kind"], row["tax"], row["customers"])


@lru_cache(4_096)
def _promoter(status: str, kind: str, tax: str, customers: str) -> Promoter:
    own = frozenset((customer["merchant"], customer["cust"]) for customer in json.loads(customers))
    return Promoter(status, kind, json.loads(tax).get("person", ""), tax, own)


@dataclass(frozen=True, slots=True)
class Coupon:
    """A coupon's promoter, and what its link says: the product, the channel, the labels, when it expires (ms)."""

    promoter: str
    link: str
    product: str
    channel: str
    labels: tuple[str, ...]
    expires: int | None

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> "Coupon":
        labels = tuple(row[f"sub{n}"] for n in range(1, 6))
        return cls(row["promoter"], row["code"], row["product"], row["channel"], labels, row["expires"])


@dataclass(slots=True)
class Product:
    id: str
    merchant: str
    url: str
    allowed_hosts: list[str]
    pixel_conversions: str
    attribution: settings.Settings
    hold_days: int
    status: str
    fraud: _core.FraudRules
    most_counted: int  # clicks of an address: what more there are would change no score
    fraud_on: frozenset[str]  # names of the rules that say anything
    hosts: frozenset[str]  # of its own site
    rules: list[RuleVersion] = field(default_factory=list)

    @classmethod
    def from_row(cls, row: Mapping[Any, Any], rules: list[RuleVersion]) -> "Product":
        allowed = json.loads(row["allowed_hosts"])
        # a product of an older version has fewer rules in its row
        fraud = defaults.FRAUD | json.loads(row["fraud"])
        return cls(
            row["id"],
            row["merchant"],
            row["url"],
            allowed,
            row["pixel_conversions"],
            settings.read(row["attribution"]),
            row["hold_days"],
            row["status"],
            _core.FraudRules(json.dumps(fraud)),
            2 * fraud["max_clicks_per_ip_day"],
            frozenset([name for name, value in fraud.items() if value]),
            frozenset([urlsplit(row["url"]).hostname or "", *(host.lower() for host in allowed)]),
            rules,
        )

    def version(self, number: int) -> RuleVersion:
        return next(rule for rule in self.rules if rule.version == number)

    def rule_at(self, instant: int) -> RuleVersion:
        """The version in force then; an order older than the first is paid by the first."""
        for rule in reversed(self.rules):
            if rule.effective_from <= instant:
                return rule
        return self.rules[0]


class Registry:
    """Merchants, products with their rules, coupons, promoters and their tree."""

    def __init__(self, max_levels: int) -> None:
        self.max_levels = max_levels
        self.merchants: dict[str, Merchant] = {}
        self.products: dict[str, Product] = {}
        self.promoters: dict[str, Promoter] = {}
        self._coupons: dict[tuple[str, str], dict[str, Coupon]] = {}  # by merchant and coupon, then by active link
        self._owners: dict[str, dict[str, set[str]]] = {}  # by merchant and `cust`, the promoters who are this customer
        self._resetting: dict[str, set[str]] = {}  # products with `path_reset`, by merchant
        self._by_hours: set[str] = set()  # products whose fraud rules ask for a promoter's clicks by hour
        self._networks: dict[str, _core.Networks] = {}  # by list
        self.bad_touches: set[str] = set()
        """Clicks of orders that a person has confirmed as fraud: as many as persons decide about."""
        self.forest = _core.Forest()
        self.moved = 0  # the instant of the last change of a parent: such instants never fall

    @classmethod
    def load(cls, connection: Connection, max_levels: int) -> "Registry":
        """Chains are cut at `max_levels`."""
        registry = cls(max_levels)
        for row in connection.execute(select(schema.merchants)).mappings():
            registry.merchants[row["id"]] = Merchant.from_row(row)
        rules: dict[str, list[RuleVersion]] = {}
        for row in connection.execute(
            select(schema.rules).order_by(schema.rules.c.product, schema.rules.c.version)
        ).mappings():
            version = RuleVersion(row["version"], row["effective_from"], row["rule"], row["ceiling"])
            rules.setdefault(row["product"], []).append(version)
        for row in connection.execute(select(schema.products)).mappings():
            registry.note_product(Product.from_row(row, rules[row["id"]]))
        registry._load_promoters(connection)
        for row in connection.execute(select(schema.links).where(schema.links.c.coupon != "")).mappings():
            registry.note_coupon(row)
        for id, text in connection.execute(select(schema.fraud_networks.c.id, schema.fraud_networks.c.networks)):
            registry.note_networks(id, json.loads(text))
        registry.bad_touches.update(connection.scalars(select(schema.bad_touches.c.touch)))
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
        columns = schema.promoters.c
        about = select(columns.id, columns.status, columns.kind, columns.tax, columns.customers)
        for row in connection.execute(about, execution_options={"yield_per": 10_000}).mappings():
            self.note_promoter(row["id"], Promoter.from_row(row))
        index = {id: place for place, id in enumerate(first)}
        self.forest.load(list(first), [-1 if parent is None else index[parent] for parent in first.values()])
        for promoter, parent, since in later:
            self.forest.set_parent(promoter, parent, since)

    def chain(self, promoter: str, instant: int, levels: int) -> list[str]:
        return self.forest.chain(promoter, instant, min(levels, self.max_levels))

    def note_product(self, product: Product) -> None:
        self.products[product.id] = product
        resetting = self._resetting.setdefault(product.merchant, set())
        (resetting.add if product.attribution.path_reset else resetting.discard)(product.id)
        (self._by_hours.add if "max_flood_score" in product.fraud_on else self._by_hours.discard)(product.id)

    @property
    def asks_hours(self) -> bool:
        """Whether an order may be judged by its promoter's clicks by hour."""
        return bool(self._by_hours)

    def resets_paths(self, merchant: str) -> bool:
        """Whether an order of the merchant may end its visitor's path: it has a product with `path_reset`."""
        return bool(self._resetting.get(merchant))

    def note_networks(self, id: str, networks: list[str]) -> None:
        """Takes in a list of networks as it stands now."""
        self._networks[id] = _core.Networks(networks)

    def in_datacentre(self, prefix: str) -> bool:
        """Whether a hit's prefix lies in a listed network."""
        return any(networks.holds(prefix) for networks in self._networks.values())

    def note_promoter(self, id: str, promoter: Promoter) -> None:
        before = self.promoters.get(id)
        for merchant, cust in before.customers if before is not None else ():
            self._owners[merchant][cust].discard(id)
        self.promoters[id] = promoter
        for merchant, cust in promoter.customers:
            self._owners.setdefault(merchant, {}).setdefault(cust, set()).add(id)

    def owners(self, merchant: str) -> Mapping[str, Collection[str]]:
        """Promoters who are customers of the merchant themselves, by `cust`."""
        return self._owners.get(merchant, {})

    def note_coupon(self, row: Mapping[Any, Any]) -> None:
        """Takes in a link's row: its coupon counts while the link is active."""
        if row["coupon"] and row["status"] == "active":
            key = self.products[row["product"]].merchant, row["coupon"]
            self._coupons.setdefault(key, {})[row["code"]] = Coupon.from_row(row)

    def forget_coupon(self, row: Mapping[Any, Any]) -> None:
        """Takes out what `note_coupon` took in of a link."""
        key = self.products[row["product"]].merchant, row["coupon"]
        self._coupons.get(key, {}).pop(row["code"], None)

    def coupon(self, merchant: str, coupon: str, product: str, instant: int) -> Coupon | None:
        """The coupon as it counts at an instant: of several links, one of this product, then the first by code."""
        links = self._coupons.get((merchant, coupon), {}).values()
        counting = [link for link in links if link.expires is None or instant < link.expires]
        return min(counting, key=lambda link: (link.product != product, link.link), default=None)

    def coupon_owner(self, merchant: str, coupon: str) -> str | None:
        """Whose coupon it is, expired or not."""
        links = self._coupons.get((merchant, coupon), {})
        return next((link.promoter for link in links.values()), None)

    def blocked(self, promoter: str) -> bool:
        return promoter in self.promoters and self.promoters[promoter].status == "blocked"

    def person(self, promoter: str) -> str:
        """Who is taxed for this account, and is one with the other accounts of that name."""
        known = self.promoters.get(promoter)
        return known.person if known is not None and known.person else f"promoter:{promoter}"

    def unpaid(self, chain: list[str], own: Collection[str]) -> list[str]:
        """Why each level of a chain is not paid, empty where it is: the blocked are not, nor those who are the buyer
        (`own`), nor a person on a lower level already."""
        persons: set[str] = set()
        whys = []
        for promoter in chain:
            person = self.person(promoter)
            if self.blocked(promoter):
                whys.append("blocked_promoter")
            elif promoter in own:
                whys.append("own_purchase")
            else:
                whys.append("same_person" if person in persons else "")
            persons.add(person)
        return whys

    def move_instant(self, at: int) -> int:
        """The instant of a change of a parent asked for at `at`."""
        self.moved = max(self.moved, at)
        return self.moved
