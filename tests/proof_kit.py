"""A data directory with real journals and a processor whose clock is the test's: what the tests of proofs share."""

import json
import random
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from instance import NO_FRAUD
from tuike import _core
from tuike.data import Data
from tuike.erasing import LOOK_MS
from tuike.process import Processor
from tuike.stores import engine, schema
from tuike.verify import verify

START = 1_760_000_000_000  # 2025-10-09T08:53:20Z
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
STEPS_AT_MOST = 400
THREE_LEVELS = {
    "type": "percentage",
    "value": "10",
    "levels": [{"level": 1, "value": "5"}, {"level": 2, "value": "3"}, {"level": 3, "value": "1"}],
}


class Producer:
    """A producer's journal. It promises nothing by itself: see `World.drain`."""

    def __init__(self, data: Data, name: str, incarnation: int) -> None:
        self.writer = _core.Writer(str(data.journal), name, incarnation, durability="process")
        self.incarnation = incarnation
        self.count = 0

    def append(self, now: int, *events: dict[str, Any]) -> list[str]:
        """Ids of the events."""
        ids, payloads = [], []
        for event in events:
            self.count += 1
            ids.append(f"{self.incarnation:016x}{self.count:016x}")
            payloads.append(_core.encode_event({"id": ids[-1], "at": now, "received": now} | event))
        self.writer.append(payloads)
        return ids


class World:
    """An instance without its services: an edge, an admin, a processor, and one clock for all."""

    def __init__(self, path: Path) -> None:
        self.data = Data.open(path / "data", create=True)
        self.now = START
        self._incarnations = 0
        self.edge = self.producer("edge-0")
        self.admin = self.producer("admin")
        self.start()

    def producer(self, name: str) -> Producer:
        self._incarnations += 1
        return Producer(self.data, name, self._incarnations)

    def start(self) -> None:
        self.processor = Processor(self.data, now=lambda: self.now, payout_minimum={"CNY": 100})

    def stop(self) -> None:
        """Ends the processor, and writers with it, so that their journals are whole."""
        self.drain()
        self.processor.close()
        for producer in (self.edge, self.admin):
            producer.writer.close(self.now)

    def restart(self) -> None:
        self.processor.close()
        self.start()

    def drain(self, **behind: Producer) -> None:
        """Time passes, everyone promises, and the processor comes to rest."""
        self.now += 1
        for producer in (self.edge, self.admin):
            producer.writer.tick(self.now)
        for _ in range(STEPS_AT_MOST):
            if not self.processor.step() and not self.processor.more:
                return
        raise AssertionError("the processor does not come to rest")

    def ask(self, op: str, **data: Any) -> str:
        """A registry write; its event."""
        body = json.dumps({"op": op, "data": data, "actor": "test"}).encode()
        return self.admin.append(self.now, {"kind": "registry", "body": body})[0]

    def decide(self, op: str, idem: str | None = None, **data: Any) -> str:
        """A decision; its event."""
        request = {"op": op, "data": data, "actor": "test", "idem": idem, "fingerprint": json.dumps(data)}
        return self.admin.append(self.now, {"kind": "decision", "body": json.dumps(request).encode()})[0]

    def click(self, promoter: str, visitor: int = 1, **more: Any) -> str:
        fields = {"kind": "click", "aff": promoter, "pid": "tea", "merchant": "shop", "counted": True, "binds": True}
        return self.edge.append(self.now, fields | {"visitor": f"{visitor:032x}"} | more)[0]

    def order(self, oid: str, amount: int | None = 10_000, visitor: int = 1, **more: Any) -> str:
        fields = {"kind": "order", "merchant": "shop", "pid": "tea", "oid": oid, "currency": "CNY"}
        fields |= {"source": "postback", "visitor": f"{visitor:032x}"} | ({} if amount is None else {"amount": amount})
        return self.edge.append(self.now, fields | more)[0]

    def shop(self, rule: dict[str, Any] = THREE_LEVELS, id: str = "tea", **product: Any) -> None:
        """A merchant, where there is none yet, and a product."""
        if not self.rows(select(schema.merchants)):
            secret = _core.seal(self.data.secret, "merchant", b"key", bytes(12))
            self.ask("merchant.create", id="shop", name="Shop", currency="CNY", secret=secret, settlement="T+0")
        about = {"id": id, "merchant": "shop", "name": id, "url": "https://s.example/", "hold_days": 0}
        about["fraud"] = NO_FRAUD
        self.ask("product.create", **about | {"commission": rule} | product)
        self.drain()

    def promoters(self) -> None:
        """carol, below her bob, below him alice; and dave, of nobody's."""
        for id, parent in (("carol", None), ("bob", "carol"), ("alice", "bob"), ("dave", None)):
            self.ask("promoter.create", id=id, name=id, **({"parent": parent} if parent else {}))
        self.drain()

    def forget(self, visitor: int) -> None:
        """A visitor is to be erased, and tables are."""
        body = json.dumps({"op": "person.erase", "data": {}, "actor": "test"}).encode()
        self.admin.append(self.now, {"kind": "registry", "visitor": f"{visitor:032x}", "body": body})
        for _ in range(3):
            self.drain()
            self.now += LOOK_MS

    def settle(self) -> None:
        self.decide("settlement.run")
        self.drain()

    def rows(self, statement: Any) -> list[dict[str, Any]]:
        books = engine.open_reader(self.data.database)
        with books.begin() as connection:
            found = [dict(row) for row in connection.execute(statement).mappings()]
        books.dispose()
        return found

    def change(self, statement: Any) -> int:
        """Tampers with the books, by SQL or a statement; how many rows."""
        books = engine.open_writer(self.data.database)
        try:
            with books.begin() as connection:
                connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
                return connection.execute(text(statement) if isinstance(statement, str) else statement).rowcount
        finally:
            books.dispose()

    def balances(self) -> dict[str, int]:
        return {row["name"]: row["balance"] for row in self.rows(select(schema.accounts)) if row["balance"]}

    def proved(self) -> None:
        report = verify(self.data)
        assert report.fault is None, report.text()


TIERED = {
    "type": "tiered",
    "tiers": [{"from": "0", "value": "4"}, {"from": "300", "value": "8"}],
    "levels": [{"level": 1, "share": "60"}, {"level": 2, "share": "30"}],
    "promoter_tier_bonus": {"silver": "0.5", "gold": "1"},
    "daily_budget": "500",
}
FIXED = {"type": "fixed", "value": "7.77", "levels": [{"level": 1, "value": "5"}, {"level": 2, "value": "2"}]}
LINEAR = {"model": "linear", "window_days": 30, "path_reset": True}
WATCHED = NO_FRAUD | {"min_seconds_to_order": 5, "max_clicks_per_ip_day": 3, "mismatch": True}


class Story:
    """A world in which all sorts of things happen, in an order that follows from a seed."""

    PRODUCTS = ("tea", "silk", "gift")

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)
        self.orders: list[str] = []
        self.claimed: list[str] = []
        world.shop(attribution={"model": "linear", "window_days": 30})
        world.shop(TIERED, "silk", attribution=LINEAR)
        binding = {"model": "last", "binding": "first", "window_days": 30}
        world.shop(FIXED, "gift", attribution=binding, fraud=WATCHED)
        world.promoters()

    def run(self, steps: int) -> None:
        acts = [self.click, self.click, self.order, self.order, self.order, self.refund, self.again, self.claim]
        acts += [self.decision, self.early, self.pass_time, self.money, self.restart, self.registry, self.flag]
        for _ in range(steps):
            self.chance.choice(acts)()
            if self.chance.random() < 0.5:
                self.world.drain()
        self.world.drain()

    def click(self) -> None:
        promoter, product = self.chance.choice(["alice", "bob", "dave"]), self.chance.choice(self.PRODUCTS)
        seen = {"address": f"{self.chance.randrange(3):032x}", "agent": self.chance.choice([7, 7, 7, 8])}
        label = self.chance.choice(["", "red"])
        self.world.click(promoter, self.chance.randrange(1, 4), pid=product, sub1=label, **seen)

    def order(self) -> None:
        oid = f"o{len(self.orders)}"
        self.orders.append(oid)
        status = self.chance.choice(["approved", "approved", "approved", "pending", "rejected"])
        self.sell(oid, self.amount(), status=status)

    def amount(self) -> int:
        return self.chance.choice([0, 1, 99, 10_000, 12_345, 33_333])

    def product(self, oid: str) -> str:
        return self.PRODUCTS[int(oid[1:]) % 3]

    def sell(self, oid: str, amount: int | None, **more: Any) -> None:
        visitor = int(oid[1:]) % 3 + 1
        self.world.order(oid, amount, visitor, pid=self.product(oid), **more)

    def some(self) -> str:
        return self.chance.choice(self.orders) if self.orders else "o0"

    def refund(self) -> None:
        part = self.chance.choice([None, 1, 50, 5_000])
        name = {} if part is None else {"refund_id": f"r{self.chance.randrange(5)}"}
        self.sell(self.some(), part, status="refunded", **name)

    def again(self) -> None:
        """Another status, or another amount while it is pending."""
        self.sell(self.some(), self.amount(), status=self.chance.choice(["pending", "approved", "rejected"]))

    def claim(self) -> None:
        oid = f"o{len(self.orders) + self.chance.randrange(2)}"
        self.sell(oid, self.amount(), kind="claim", source="pixel")

    def early(self) -> None:
        """A refund of an order that is not there yet."""
        self.sell(f"o{len(self.orders)}", None, status="refunded")

    def decision(self) -> None:
        found = self.world.rows(select(schema.conversions.c.id))
        if found:
            op = self.chance.choice(["approve", "reject", "refund"])
            id = self.chance.choice(found)["id"]
            self.world.decide(f"conversion.{op}", f"k{self.chance.randrange(30)}", id=id, reason="test")

    def flag(self) -> None:
        found = self.world.rows(select(schema.fraud_flags.c.id))
        if found:
            op = self.chance.choice(["clear", "clear", "confirm"])
            self.world.decide(f"fraud.{op}", f"f{self.chance.randrange(30)}", id=self.chance.choice(found)["id"])

    def pass_time(self) -> None:
        self.world.now += self.chance.choice([MINUTE, HOUR, DAY, 8 * DAY])
        self.world.drain()

    def money(self) -> None:
        world = self.world
        self.chance.choice([world.settle, world.settle, self.fund, self.payout])()

    def fund(self) -> None:
        self.world.decide("ledger.fund", merchant="shop", amount="50")

    def payout(self) -> None:
        promoter = self.chance.choice(["alice", "bob", "carol"])
        self.world.decide("payout.create", promoter=promoter)
        self.world.drain()
        payouts = self.world.rows(select(schema.payouts.c.id))
        if payouts:
            id = self.chance.choice(payouts)["id"]
            self.world.decide(self.chance.choice(["payout.paid", "payout.paid", "payout.failed"]), id=id)

    def restart(self) -> None:
        self.world.drain()
        self.world.restart()

    def registry(self) -> None:
        match self.chance.randrange(3):
            case 0:
                self.world.ask("promoter.parent", id="dave", parent=self.chance.choice(["alice", "carol"]), reason="t")
            case 1:
                status = self.chance.choice(["active", "blocked"])
                self.world.ask("promoter.update", id="bob", status=status)
            case _:
                rule = {"type": "percentage", "value": str(self.chance.randrange(1, 20))}
                ceiling = self.chance.choice([500_000, 150_000])
                self.world.ask("product.update", id="tea", commission=rule, ceiling=ceiling)


def full(path: Path) -> World:
    """A world with a row of every kind, whose last day is open; it is stopped."""
    world = World(path)
    world.shop(attribution={"model": "linear", "window_days": 30})
    world.shop(TIERED, "silk", attribution=LINEAR)
    world.promoters()
    world.ask("link.create", code="L", promoter="alice", product="tea", coupon="TEN")
    world.ask("token.create", hash="0" * 64, role="viewer")
    world.ask("invite.create", code="spring", parent="alice", uses=2)
    world.ask("application.create", invite="spring", promoter="fay", name="Fay", note="")
    world.ask("webhook.create", id="hook", url="https://shop.example/", events=["payout.paid"], secret="sealed")
    world.ask("template.set", owner="merchant:shop", poster="<svg>{{qr}}</svg>", texts=["{{product}}: {{url}}"])
    for visitor, promoter in ((1, "alice"), (1, "dave"), (2, "alice"), (3, "alice"), (4, "bob")):
        world.click(promoter, visitor, sub1="red")
    world.click("alice", bot=True, counted=False, reason="bot")
    world.order("o1")
    world.order("o2", 20_000, 4)
    world.order("s1", 40_000, 2, pid="silk")
    world.order("s2", 20_000, 3, pid="silk")
    world.decide("ledger.fund", merchant="shop", amount="50")
    about = {"name": "Spring", "since": START // 1000 // 900 * 900, "until": START // 1000 // 900 * 900 + 900}
    about |= {"timezone": "UTC", "metric": "sales", "currency": "CNY", "prizes": ["3.00", "2.00"]}
    world.decide("contest.create", id="spring", **about)
    world.drain()
    world.order("o2", 5_000, 4, status="refunded", refund_id="r1")
    # what s2 was rated by falls, so that its second look takes something back
    world.order("s1", None, 2, pid="silk", status="refunded")
    world.drain()
    world.settle()
    for promoter, moves in (("alice", ["paid"]), ("bob", ["failed"]), ("carol", ["paid", "failed"])):
        payout = world.decide("payout.create", promoter=promoter)
        world.drain()
        for move in moves:
            world.decide(f"payout.{move}", id=payout)
            world.drain()
    world.now += 40 * DAY
    world.decide("contest.close", id="spring")
    world.decide("ledger.remit", month="2025-10")
    world.drain()
    found = world.rows(select(schema.conversions.c.id).where(schema.conversions.c.order_id == "o1"))
    world.decide("conversion.refund", "k1", id=found[0]["id"], amount="1.00")
    flagged(world)
    world.click("alice", 5)
    world.order("o3", 30_000, 5)
    world.order("o3", 31_000, 5)  # set aside
    world.order("o4", 1_000, 5, status="pending")
    world.order("w1", None, 5, status="refunded")
    world.forget(visitor=6)
    world.stop()
    return world


def flagged(world: World) -> None:
    """Two orders that are held for fraud, the second a promoter's own; the first is confirmed."""
    world.shop(FIXED, "gift", fraud=WATCHED)
    world.ask("fraud.networks", id="clouds", networks=["192.0.2.0/24"])
    world.ask("promoter.create", id="erin", name="Erin", customers=[{"merchant": "shop", "cust": "e"}])
    for visitor in (6, 7):
        world.click("alice", visitor, pid="gift")
    world.order("f1", 10_000, 6, pid="gift")
    world.order("f2", 10_000, 7, pid="gift", cust="e")
    world.drain()
    first = world.rows(select(schema.fraud_flags.c.id).order_by(schema.fraud_flags.c.number))[0]
    world.decide("fraud.confirm", id=first["id"])
    world.drain()


def clicked(folder: Path) -> World:
    """A shop and its promoters, and a click of alice's."""
    world = World(folder)
    world.shop()
    world.promoters()
    world.click("alice")
    world.drain()
    return world
