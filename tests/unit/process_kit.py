"""A data directory with a real processor and real journals: what its tests write and look at."""

import json
from typing import Any

from books_kit import TEN_PERCENT
from sqlalchemy import select

from instance import NO_FRAUD
from tuike import _core
from tuike.clock import wall
from tuike.data import Data
from tuike.process import Processor
from tuike.stores import engine, schema

VISITOR = f"{5:032x}"
STEPS_AT_MOST = 50


class Producer:
    """A producer's journal, as an edge or the admin writes it."""

    def __init__(self, data: Data, name: str = "edge-0", incarnation: int = 1) -> None:
        self.writer = _core.Writer(str(data.journal), name, incarnation, durability="process")
        self.count = 0
        self.closed = False
        self.incarnation = incarnation

    def append(self, *events: dict[str, Any]) -> None:
        now = wall()
        payloads = []
        for event in events:
            self.count += 1
            id = f"{self.incarnation:016x}{self.count:016x}"
            payloads.append(_core.encode_event({"id": id, "at": now, "received": now} | event))
        self.writer.append(payloads)

    def close(self) -> None:
        if not self.closed:
            self.writer.close(wall())
        self.closed = True


def write(op: str, **data: Any) -> dict[str, Any]:
    return {"kind": "registry", "body": json.dumps({"op": op, "data": data, "actor": "test"}).encode()}


def shop(data: Data) -> list[dict[str, Any]]:
    secret = _core.seal(data.secret, "merchant", b"postback key", bytes(12))
    product = {"id": "tea", "merchant": "shop", "name": "Tea", "url": "https://s.example/", "commission": TEN_PERCENT}
    product |= {"fraud": NO_FRAUD}
    return [
        write("merchant.create", id="shop", name="Shop", currency="CNY", secret=secret),
        write("product.create", **product),
        write("promoter.create", id="alice", name="Alice"),
    ]


def click(**more: Any) -> dict[str, Any]:
    fields = {"kind": "click", "aff": "alice", "pid": "tea", "merchant": "shop", "visitor": VISITOR, "counted": True}
    return fields | more


def order(oid: str, **more: Any) -> dict[str, Any]:
    fields = {"kind": "order", "merchant": "shop", "pid": "tea", "oid": oid, "amount": 10_000, "currency": "CNY"}
    return fields | {"visitor": VISITOR, "source": "postback"} | more


def settle(data: Data) -> None:
    """Starts a processor, steps until there is nothing to do, ends it."""
    processor = Processor(data)
    drain(processor)
    processor.close()


def drain(processor: Processor) -> None:
    for _ in range(STEPS_AT_MOST):
        if not processor.step() and not processor.more:
            return
    raise AssertionError("the processor does not come to rest")


def rows(data: Data, statement: Any) -> list[dict[str, Any]]:
    books = engine.open_reader(data.database)
    with books.begin() as connection:
        found = [dict(row) for row in connection.execute(statement).mappings()]
    books.dispose()
    return found


def balances(data: Data) -> dict[str, int]:
    return {row["name"]: row["balance"] for row in rows(data, select(schema.accounts))}


def forget(processor: Processor) -> None:
    """Leaves a processor as a kill would: locks and descriptors go, nothing more is applied."""
    processor.close()
