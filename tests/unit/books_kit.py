"""A bookkeeper on a real database, with touches given as plain data: what the tests of the books share."""

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from tuike.books.backlog import Item
from tuike.books.bookkeeper import Bookkeeper
from tuike.books.records import Booked, Message, conversion_id
from tuike.books.touches import NOTHING_SEEN
from tuike.stores import engine, migrations, schema

NOW = 1_760_000_000_000  # 2025-10-09T08:53:20Z
MINUTE = 60_000
DAY = 86_400_000

ALICE_CLICK = f"{1:032x}"
BOB_CLICK = f"{2:032x}"
VISITOR = f"{77:032x}"
OTHER_VISITOR = f"{78:032x}"

TEN_PERCENT = {"type": "percentage", "value": "10"}
THREE_LEVELS = {
    "type": "percentage",
    "value": "10",
    "levels": [{"level": 1, "value": "5"}, {"level": 2, "value": "3"}, {"level": 3, "value": "1"}],
}


def touch(promoter: str, at: int, id: str | None = None, **more: Any) -> dict[str, Any]:
    """A counted click of the shop, as the touch store gives it."""
    fields = {"kind": "click", "id": id or f"{at:032x}", "at": at, "aff": promoter, "pid": "tea", "merchant": "shop"}
    return fields | {"counted": True, "visitor": VISITOR} | more


def accrued(pool: int = 1_000) -> dict[str, int]:
    """Balances after alice's order under THREE_LEVELS, of ten times the pool: levels 5, 3, 1, the platform 1."""
    parts = {"promoter:alice:pending": 5, "promoter:bob:pending": 3, "promoter:carol:pending": 1, "platform:revenue": 1}
    return {name: part * pool // 10 for name, part in parts.items()} | {"merchant:shop:payable": -pool}


class Touches:
    """Touches as a list, in the order of (time, id)."""

    def __init__(self) -> None:
        self.hits: list[dict[str, Any]] = []

    def add(self, *hits: dict[str, Any]) -> None:
        self.hits = sorted([*self.hits, *hits], key=lambda hit: (hit["at"], hit["id"]))

    def click(self, id: str) -> dict[str, Any] | None:
        return next((hit for hit in self.hits if hit["id"] == id and hit["kind"] == "click"), None)

    def path(self, kind: str, merchant: str, key: str, since: int, until: int) -> list[dict[str, Any]]:
        return [
            hit
            for hit in self.hits
            if hit.get(kind) == key and hit["merchant"] == merchant and since <= hit["at"] <= until
        ]

    def bindings(self, kind: str, merchant: str, key: str, until: int) -> list[dict[str, Any]]:
        return [hit for hit in self.path(kind, merchant, key, 0, until) if hit.get("binds")]

    def seen(self, **asked: Any) -> dict[str, Any]:
        """What a click itself says of it; the counts are what a test gives it."""
        click = self.click(asked["click"]) or {}
        return {name: click.get(name, nothing) for name, nothing in NOTHING_SEEN.items()}


class Books:
    """Books in a directory. Each call is one batch in one transaction."""

    def __init__(self, path: Path) -> None:
        self.engine = self.database(path)
        self.touches = Touches()
        self.journal: list[Booked] = []
        self._seq = itertools.count(1)
        self.open()

    def database(self, path: Path) -> Engine:
        made = engine.writer(path / "books.sqlite")
        migrations.upgrade(made)
        return made

    @classmethod
    def with_click(cls, path: Path, **product: Any) -> "Books":
        """Books of a shop under THREE_LEVELS with alice's click of a day ago."""
        books = cls(path)
        books.shop(THREE_LEVELS, **product)
        books.touches.add(touch("alice", NOW - DAY, ALICE_CLICK, channel="wechat", sub1="red"))
        return books

    def open(self) -> None:
        """As a start of the processor does."""
        with self.engine.begin() as connection:
            self.bookkeeper = Bookkeeper(connection, self.touches, self.journal.extend, max_levels=3)

    def shop(self, rule: dict[str, Any] = TEN_PERCENT, **product: Any) -> None:
        """A merchant, a product and three promoters: carol, below her bob, below him alice."""
        self.ask("merchant.create", id="shop", name="Shop", currency="CNY", secret="sealed")
        self.ask(
            "product.create",
            id="tea",
            merchant="shop",
            name="Tea",
            url="https://s.example/",
            commission=rule,
            **product,
        )
        self.ask("promoter.create", id="carol", name="Carol")
        self.ask("promoter.create", id="bob", name="Bob", parent="carol")
        self.ask("promoter.create", id="alice", name="Alice", parent="bob")

    def item(self, kind: str, **fields: Any) -> Item:
        seq = next(self._seq)
        message = Message(**{"id": f"{seq:032x}", "kind": kind, "at": NOW, "received": NOW + seq} | fields)
        return Item(message.received, "edge-0", seq, 1, message)

    def request(self, kind: str, op: str, data: dict[str, Any], **more: Any) -> Item:
        fields = {name: more.pop(name) for name in ("id", "at") if name in more}
        body = {"op": op, "data": data, "actor": "token:1"} | more
        return self.item(kind, body=json.dumps(body).encode(), **fields)

    def apply(self, registry: Sequence[Item] = (), orders: Sequence[Item] = ()) -> list[dict[str, Any]]:
        """One batch; what edges must hear."""
        with self.engine.begin() as connection:
            return self.bookkeeper.apply(connection, registry, orders)

    def ask(self, op: str, **data: Any) -> dict[str, Any]:
        """A registry write; its outcome."""
        item = self.request("registry", op, data)
        self.apply(registry=[item])
        return self.outcome(item.message.id)

    def decide(self, op: str, id: str, **data: Any) -> dict[str, Any]:
        """A decision on a conversion; its outcome."""
        item = self.request("decision", op, {"id": id} | data)
        self.apply(orders=[item])
        return self.outcome(item.message.id)

    def order(self, oid: str = "o1", **fields: Any) -> dict[str, Any]:
        """The merchant's word on an order of 100.00; its outcome."""
        return self._sale("order", {"oid": oid, "amount": 10_000, "source": "postback"} | fields)

    def claim(self, oid: str = "o1", **fields: Any) -> dict[str, Any]:
        """A browser's word on an order of 100.00; its outcome."""
        return self._sale("claim", {"oid": oid, "amount": 10_000, "source": "pixel"} | fields)

    def _sale(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        item = self.item(kind, **{"merchant": "shop", "pid": "tea", "currency": "CNY"} | fields)
        self.apply(orders=[item])
        return self.outcome(item.message.id)

    def outcome(self, event: str) -> dict[str, Any]:
        (row,) = self.rows(select(schema.outcomes).where(schema.outcomes.c.event_id == event))
        return row | {"result": json.loads(row["result"])}

    def rows(self, statement: Any) -> list[dict[str, Any]]:
        with self.engine.begin() as connection:
            return [dict(row) for row in connection.execute(statement).mappings()]

    def conversion(self, oid: str = "o1", product: str = "tea") -> dict[str, Any]:
        id = conversion_id("shop", oid, product)
        (row,) = self.rows(select(schema.conversions).where(schema.conversions.c.id == id))
        return row | {"evidence": json.loads(row["evidence"])}

    def shares(self, oid: str = "o1") -> list[tuple[str, int, str, int]]:
        """Promoter, level, via and amount of each line, the platform's last."""
        table = schema.shares
        number = self.conversion(oid)["number"]
        rows = self.rows(select(table).where(table.c.conversion == number).order_by(table.c.position))
        return [(row["promoter"], row["level"], row["via"], row["amount"]) for row in rows]

    def credits(self, oid: str = "o1") -> dict[str, int]:
        """What the credited promoters earn at level 1, in the order of their first touches."""
        return {promoter: amount for promoter, level, _, amount in self.shares(oid) if level == 1}

    def touched(self, oid: str = "o1") -> list[tuple[str, str]]:
        """The order's candidates: promoter, and why the touch does not count."""
        candidates = self.conversion(oid)["evidence"]["candidates"]
        return [(candidate["promoter"], candidate.get("why", "")) for candidate in candidates]

    def found_by(self, oid: str = "o1") -> str:
        return str(self.conversion(oid)["evidence"]["found_by"])

    def step(self, now: int) -> None:
        """What the bookkeeper does by itself at `now`."""
        with self.engine.begin() as connection:
            while self.bookkeeper.has_steps(now):
                self.bookkeeper.step(connection, now)

    def balances(self) -> dict[str, int]:
        """Accounts that are not at zero."""
        return {row["name"]: row["balance"] for row in self.rows(select(schema.accounts)) if row["balance"]}

    def transfers(self) -> list[str]:
        """Steps of the transfers, in the order of the books."""
        steps = self.rows(select(schema.transfers.c.step).order_by(schema.transfers.c.number))
        return [row["step"] for row in steps]

    def sums(self) -> dict[tuple[str, str, int, str], tuple[int, int, int]]:
        """Report lines that are not zero: by promoter, channel, label number and label."""
        lines = {
            (row["promoter"], row["channel"], row["label_number"], row["label"]): (
                row["conversions"],
                row["sales"],
                row["commission"],
            )
            for row in self.rows(select(schema.order_rollups))
        }
        return {key: line for key, line in lines.items() if any(line)}


def codes(outcomes: Iterable[dict[str, Any]]) -> list[str]:
    return [outcome["code"] for outcome in outcomes]
