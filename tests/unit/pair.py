"""The real books and the oracle's, told the same: every step's answer, every account, order and payout must agree."""

import json
import shutil
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from money_kit import MoneyBooks
from sqlalchemy import URL, select

import reference
from tuike.books.records import Booked, conversion_id
from tuike.stores import engine, migrations, schema

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HOUR = 3_600_000
DAY = 24 * HOUR
MINIMUM = {"CNY": 1_000}

PROMOTERS: dict[str, dict[str, Any]] = {
    "gran": {},
    "papa": {"parent": "gran"},
    "kid": {"parent": "papa", "kind": "kol"},
    "twin": {"parent": "kid", "tax": {"scheme": "cn_labour", "person": "one"}},
    "twix": {"parent": "twin", "tax": {"scheme": "cn_labour", "person": "one"}},
    "solo": {"tax": {"scheme": "cn_platform"}, "customers": [{"merchant": "shop", "cust": "me"}]},
    "flat": {"parent": "solo", "tax": {"scheme": "flat", "percent": "12.5"}},
}
PRODUCTS = {"tea": "shop", "cup": "shop", "mat": "mart"}


@cache
def template() -> Path:
    """A database with its tables: making them takes longer than a case."""
    path = Path(mkdtemp(prefix="tuike-pair-")) / "books.sqlite"
    writer = engine.writer(path)
    migrations.upgrade(writer)
    writer.dispose()  # the last connection's end takes the log into the file
    return path


class Crash(Exception):
    """The processor is killed between its journal and its commit."""


class Pair:
    """Both books, with two merchants, three products and seven promoters in a tree; the real ones in an empty
    `database`, or the directory's own."""

    def __init__(
        self, directory: Path, merchants: dict[str, Any], products: dict[str, Any], database: URL | None = None
    ) -> None:
        if database is None:
            shutil.copy(template(), directory / "books.sqlite")
        self.now = START
        self.crashing = False
        self.oracle = reference.Books(minimums=MINIMUM)
        self.real = MoneyBooks(directory, MINIMUM, database)
        self.hits = 0
        self.payouts: list[str] = []
        for id, about in merchants.items():
            self.oracle.merchant(id, **about | {"release_when": _release_when(about)})
            self.ask("merchant.create", id=id, name=id, currency="CNY", secret="s", **about)
        for id, about in products.items():
            self.product(id, **about)
        for id, about in PROMOTERS.items():
            self.promoter(id, **about)
        self.coupon("SAVE", "tea", "kid")

    # --- the registry ---

    def ask(self, op: str, **data: Any) -> str:
        item = self.real.event("registry", received=self.now, body=_body(op, data))
        self.real.apply(registry=[item])
        outcome = self.real.outcome(item.message.id)
        return str(outcome["code"])

    def product(self, id: str, commission: dict[str, Any], attribution: dict[str, Any], **about: Any) -> None:
        merchant = PRODUCTS[id]
        mine = self.oracle.product(
            id, merchant=merchant, commission=commission, attribution=attribution, now=self.now, **about
        )
        fields = {"merchant": merchant, "name": id, "url": "https://s.example/", "attribution": attribution, **about}
        assert self.ask("product.create", id=id, commission=commission, **fields) == mine == ""

    def promoter(self, id: str, **about: Any) -> None:
        tax = about.get("tax", {"scheme": "none"})
        own = [(customer["merchant"], customer["cust"]) for customer in about.get("customers", [])]
        its = {name: tax[name] for name in ("scheme", "percent", "person") if name in tax}
        self.oracle.promoter(id, parent=about.get("parent"), kind=about.get("kind", "member"), customers=own, **its)
        self.ask("promoter.create", id=id, name=id, **about)

    def coupon(self, coupon: str, product: str, promoter: str) -> None:
        self.oracle.coupon(coupon, merchant=PRODUCTS[product], promoter=promoter)
        self.ask("link.create", code=f"l-{coupon}", promoter=promoter, product=product, coupon=coupon)

    def block(self, promoter: str, blocked: bool) -> None:
        self.oracle.change_promoter(promoter, blocked=blocked)
        self.ask("promoter.update", id=promoter, status="blocked" if blocked else "active")

    def move(self, promoter: str, parent: str | None) -> None:
        mine = self.oracle.set_parent(promoter, parent, at=self.now)
        assert self.ask("promoter.parent", id=promoter, parent=parent) == mine

    def rule(self, product: str, rule: dict[str, Any]) -> None:
        self.oracle.rule(product, rule, effective_from=self.now, now=self.now)
        assert self.ask("product.update", id=product, commission=rule) == ""

    # --- hits and orders ---

    def touch(self, promoter: str, product: str, *, ago: int, **how: Any) -> None:
        self.hits += 1
        id = f"{self.hits:032x}"
        at = self.now - ago
        kind = how.pop("kind", "click")
        click = id if kind == "click" else ""
        assert self.oracle.touch(id, at=at, pid=product, aff=promoter, kind=kind, click=click, **how) == ""
        bad = next((name for name in ("bot", "prefetch") if how.get(name)), "")
        hit = {"kind": kind, "id": id, "at": at, "aff": promoter, "pid": product, "merchant": PRODUCTS[product]}
        hit |= {"counted": not bad, "reason": bad, "embedded": how.get("dest", "") not in ("", "document")}
        hit["binds"] = not bad and not hit["embedded"] and kind == "click"
        self.real.touches.add(hit | {name: how[name] for name in ("visitor", "cust", "did") if how.get(name)})

    def order(self, **said: Any) -> str:
        at = self.now - said.pop("ago", 0)
        product = said["pid"]
        fields = {"at": at, "currency": "CNY"} | said
        mine = self.oracle.order(str(self.now), received=self.now, merchant=PRODUCTS[product], **fields)
        fields |= {"merchant": PRODUCTS[product], "source": "postback", "stamp": said.get("stamp") or 0}
        return self.message("order", fields, mine)

    def claim(self, **said: Any) -> str:
        fields = {"at": self.now, "currency": "CNY"} | said
        mine = self.oracle.claim(str(self.now), received=self.now, **fields)
        return self.message("claim", fields | {"merchant": PRODUCTS[said["pid"]], "source": "pixel"}, mine)

    def message(self, kind: str, fields: dict[str, Any], mine: str) -> str:
        item = self.real.event(kind, received=self.now, **fields)
        self.run(orders=[item])
        return self.agree(item.message.id, mine)

    def judge(self, how: str, oid: str, pid: str, **data: Any) -> str:
        """An admin's approve, reject or refund."""
        key = (PRODUCTS[pid], oid, pid)
        mine = getattr(self.oracle, how)(key, received=self.now, **data)
        if data.get("amount") is not None:
            data["amount"] = f"{data['amount'] / 100:.2f}"
        return self.decide(f"conversion.{how}", {"id": conversion_id(*key), **data}, mine)

    # --- money ---

    def settle(self) -> None:
        self.oracle.settle(self.now)
        self.decide("settlement.run", {"as_of": self.now}, "")
        while self.real.bookkeeper.has_steps(self.now):
            self.run()

    def payout(self, promoter: str, amount: int | None, back: int) -> None:
        today = date(1970, 1, 1) + timedelta(milliseconds=self.now)
        dated = today - timedelta(days=back)
        item = self.real.decision("payout.create", _payout(promoter, amount, dated), received=self.now)
        mine = self.oracle.payout(item.message.id, promoter=promoter, amount=amount, date=dated, today=today)
        self.run(orders=[item])
        if not self.agree(item.message.id, mine):
            self.payouts.append(item.message.id)

    def end(self, how: str, place: int) -> None:
        """A payout is paid, or failed."""
        if self.payouts:
            id = self.payouts[place % len(self.payouts)]
            self.decide(f"payout.{how}", {"id": id}, getattr(self.oracle, how)(id))

    def move_money(self, how: str, who: str, amount: int) -> None:
        """fund, prize or write_off."""
        named = {"merchant": who} if how == "fund" else {"promoter": who}
        id = f"{how}{self.now}"
        mine = getattr(self.oracle, how)(id, amount=amount, currency="CNY", **named)
        self.decide(f"ledger.{how}", {"amount": f"{amount / 100:.2f}", "currency": "CNY", **named}, mine)

    def remit(self) -> None:
        today = date(1970, 1, 1) + timedelta(milliseconds=self.now)
        last = today.replace(day=1) - timedelta(days=1)
        mine = self.oracle.remit((last.year, last.month), currency="CNY")
        self.decide("ledger.remit", {"month": f"{last:%Y-%m}", "currency": "CNY"}, mine)

    def decide(self, op: str, data: dict[str, Any], mine: str) -> str:
        item = self.real.decision(op, data, received=self.now)
        self.run(orders=[item])
        return self.agree(item.message.id, mine)

    # --- how they run, and agree ---

    def run(self, orders: Any = ()) -> None:
        """One transaction of the processor; if it is to be killed, all of it is lost but its journal."""
        before = len(self.real.journal)
        try:
            with self.real.engine.begin() as connection:
                self.real.bookkeeper.apply(connection, [], orders)
                if not orders:
                    self.real.bookkeeper.step(connection, self.now)
                if self.crashing and len(self.real.journal) > before:
                    raise Crash
        except Crash:
            self.crashing = False
            self.restart()
            self.run(orders)

    def restart(self) -> None:
        """A start of the processor: what the journal has and the tables lack is posted first."""
        self.real.open()
        journal: list[Booked] = self.real.journal
        with self.real.engine.begin() as connection:
            self.real.bookkeeper.recover(connection, journal, _NoBacklog())  # type: ignore[arg-type]

    def agree(self, event: str, mine: str) -> str:
        outcome = self.real.outcome(event)
        code = "waiting" if outcome["status"] == "waiting" and outcome["code"] else outcome["code"]
        assert CODES.get(code, code) == CODES.get(mine, mine), (outcome, mine)
        return mine

    def check(self) -> None:
        """All that both hold."""
        books = self.real.rows(select(schema.accounts))
        accounts = {(row["name"], row["currency"]): row["balance"] for row in books if row["balance"]}
        assert all(
            balance >= 0 for (name, _), balance in accounts.items() if name.endswith((":available", ":reserved"))
        )
        lines: dict[int, list[Any]] = {}
        for row in self.real.rows(select(schema.shares).order_by(schema.shares.c.position)):
            assert 0 <= row["amount"] <= row["original"]
            if row["promoter"] and row["amount"]:
                share = (row["promoter"], row["level"], row["via"], row["amount"])
                lines.setdefault(row["conversion"], []).append(share)
        released = {row["conversion"] for row in self.real.rows(select(schema.releases))}
        real = {
            (row["merchant"], row["order_id"], row["product"]): (
                row["status"],
                row["refunded"],
                row["reason"],
                row["number"] in released,
                sorted(lines.get(row["number"], [])),
            )
            for row in self.real.rows(select(schema.conversions))
        }
        orders = {
            key: (one.status, one.refunded, one.reason, one.released, sorted(one.shares))
            for key, one in self.oracle.orders.items()
        }
        assert not differences(real, orders)
        assert not differences(accounts, self.oracle.accounts)
        names = ("promoter", "amount", "tax", "net", "status")
        paid = self.real.rows(select(schema.payouts))
        mine = {id: tuple(getattr(one, name) for name in names) for id, one in self.oracle.payouts.items()}
        assert not differences({row["id"]: tuple(row[name] for name in names) for row in paid}, mine)


def differences(real: dict[Any, Any], oracle: dict[Any, Any]) -> dict[Any, tuple[Any, Any]]:
    """What the real books have, and what the oracle, where that is not the same."""
    keys = [*real, *(key for key in oracle if key not in real)]
    return {key: (real.get(key), oracle.get(key)) for key in keys if real.get(key) != oracle.get(key)}


class _NoBacklog:
    """Registry writes are not killed here: nothing of them is to be read again."""

    def registry_write(self, id: str) -> None:
        return None


CODES: dict[str, str] = {"unknown_conversion": "unknown_order"}
"""The same by another name."""


def _release_when(about: dict[str, Any]) -> str:
    return "funded" if about.get("release_when") == "funded" else "hold"


def _body(op: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"op": op, "data": data, "actor": "token:1"}).encode()


def _payout(promoter: str, amount: int | None, dated: date) -> dict[str, Any]:
    data: dict[str, Any] = {"promoter": promoter, "currency": "CNY", "date": dated.isoformat()}
    return data if amount is None else data | {"amount": f"{amount / 100:.2f}"}
