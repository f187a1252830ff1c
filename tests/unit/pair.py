"""The real books and the oracle's, told the same: every step's answer, every account, order and payout must agree."""

from collections.abc import Iterable
from datetime import date, timedelta
from fractions import Fraction
from functools import cache
from typing import Any

from memory_kit import MemoryBooks, Registered, driver, memory
from sqlalchemy import Engine

import reference
from instance import NO_FRAUD
from tuike.books.backlog import Item
from tuike.books.records import conversion_id

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HOUR = 3_600_000
DAY = 24 * HOUR
MINIMUM = {"CNY": 1_000}
HALF = 500_000
"""The platform's ceiling by default, in 1e-6."""

Step = tuple[str, dict[str, Any]]

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
def template() -> Engine:
    """Books with the promoters: making them takes longer than a case."""
    books = MemoryBooks(None, MINIMUM)
    books.registered([(START, "promoter.create", {"id": id, "name": id} | about) for id, about in PROMOTERS.items()])
    made = memory("template")
    books.raw.backup(driver(made))
    return made


class Pair:
    """Both books, with two merchants, three products and seven promoters in a tree."""

    def __init__(self, merchants: dict[str, Any], products: dict[str, Any]) -> None:
        self.now = START
        self.oracle = reference.Books(minimums=MINIMUM)
        self.real = MemoryBooks(template(), MINIMUM)
        self.hits = 0
        self.payouts: list[str] = []
        self.said: tuple[str, dict[str, Any]] | None = None
        writes = [self.merchant(id, about) for id, about in merchants.items()]
        writes += [self.product(id, **about) for id, about in products.items()]
        for id, about in PROMOTERS.items():
            self.promoter(id, **about)
        writes.append(self.coupon("SAVE", "tea", "kid"))
        assert set(self.real.registered(writes)) == {""}
        self.real.mark()

    def play(self, steps: Iterable[Step]) -> None:
        """Each step is a method's name and what it is told."""
        for name, how in steps:
            self.now += 1
            getattr(self, name)(**how)
            self.check()
        self.real.replayed()

    # --- the registry ---

    def ask(self, op: str, **data: Any) -> str:
        return self.real.registered([(self.now, op, data)])[0]

    def merchant(self, id: str, about: dict[str, Any]) -> Registered:
        release_when = "funded" if about["release_when"] == "funded" else "hold"
        self.oracle.merchant(id, **about | {"release_when": release_when})
        return self.now, "merchant.create", {"id": id, "name": id, "currency": "CNY", "secret": "s"} | about

    def product(self, id: str, **about: Any) -> Registered:
        merchant = PRODUCTS[id]
        ceiling = Fraction(about.get("ceiling", HALF), 1_000_000)
        assert self.oracle.product(id, merchant=merchant, now=self.now, **about | {"ceiling": ceiling}) == ""
        # the oracle has no rules of fraud's: what it holds, it is told to hold
        fields = {"id": id, "merchant": merchant, "name": id, "url": "https://s.example/", "fraud": NO_FRAUD}
        return self.now, "product.create", fields | about

    def promoter(self, id: str, **about: Any) -> None:
        tax = about.get("tax", {"scheme": "none"})
        own = [(customer["merchant"], customer["cust"]) for customer in about.get("customers", [])]
        its = {name: tax[name] for name in ("scheme", "percent", "person") if name in tax}
        self.oracle.promoter(id, parent=about.get("parent"), kind=about.get("kind", "member"), customers=own, **its)

    def coupon(self, coupon: str, product: str, promoter: str) -> Registered:
        self.oracle.coupon(coupon, merchant=PRODUCTS[product], promoter=promoter)
        fields = {"code": f"l-{coupon}", "promoter": promoter, "product": product, "coupon": coupon}
        return self.now, "link.create", fields

    def block(self, promoter: str, blocked: bool) -> None:
        self.oracle.change_promoter(promoter, blocked=blocked)
        self.ask("promoter.update", id=promoter, status="blocked" if blocked else "active")

    def move(self, promoter: str, parent: str | None) -> None:
        mine = self.oracle.set_parent(promoter, parent, at=self.now)
        assert self.ask("promoter.parent", id=promoter, parent=parent) == mine

    def rule(self, product: str, rule: dict[str, Any], ceiling: int = HALF) -> None:
        under = Fraction(ceiling, 1_000_000)
        mine = self.oracle.rule(product, rule, effective_from=self.now, now=self.now, ceiling=under)
        assert self.ask("product.update", id=product, commission=rule, ceiling=ceiling) == mine

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
        embedded = kind == "click" and how.get("dest", "") not in ("", "document")
        hit |= {"counted": not bad, "reason": bad, "embedded": embedded}
        hit["binds"] = not bad and not embedded and kind == "click"
        self.real.touches.add(hit | {name: how[name] for name in ("visitor", "cust", "did") if how.get(name)})

    def order(self, **said: Any) -> None:
        self.batch([said])

    def batch(self, orders: list[dict[str, Any]]) -> None:
        """Orders that the processor takes in one batch."""
        asked = []
        for said in orders:
            self.now += 1
            self.said = "order", said
            asked.append(self._order(**said))
        self.real.run(orders=[item for item, _ in asked])
        waiting = {refund.id for refund in self.oracle.waiting}
        for item, mine in asked:
            # a refund that waited for an order of the same batch no longer does
            if mine != "waiting" or str(item.received) in waiting:
                self.agree(item, mine)

    def _order(self, pid: str, ago: int, **said: Any) -> tuple[Item, str]:
        fields = {"at": self.now - ago, "currency": "CNY", "pid": pid, "merchant": PRODUCTS[pid]} | said
        mine = self.oracle.order(str(self.now), received=self.now, **fields)
        fields |= {"source": "postback", "stamp": said.get("stamp") or 0}
        return self.real.event("order", received=self.now, **fields), mine

    def claim(self, **said: Any) -> None:
        self.said = "claim", said
        fields = {"at": self.now, "currency": "CNY"} | said
        mine = self.oracle.claim(str(self.now), received=self.now, **fields)
        fields |= {"merchant": PRODUCTS[said["pid"]], "source": "pixel"}
        self.tell(self.real.event("claim", received=self.now, **fields), mine)

    def judge(self, how: str, oid: str, pid: str, **data: Any) -> None:
        """An admin's approve, reject or refund."""
        self.said = "judge", {"how": how, "oid": oid, "pid": pid} | data
        key = (PRODUCTS[pid], oid, pid)
        mine = getattr(self.oracle, how)(key, received=self.now, **data)
        if data.get("amount") is not None:
            data["amount"] = f"{data['amount'] / 100:.2f}"
        self.decide(f"conversion.{how}", {"id": conversion_id(*key), **data}, mine)

    def again(self) -> None:
        """The last that was said of an order, said once more by another message: no money moves."""
        if self.said is not None:
            before = self.oracle.accounts, self.real.accounts_now()
            name, said = self.said
            getattr(self, name)(**said)
            assert (self.oracle.accounts, self.real.accounts_now()) == before

    # --- money ---

    def settle(self) -> None:
        self.oracle.settle(self.now)
        self.decide("settlement.run", {"as_of": self.now}, "")
        while self.real.bookkeeper.has_steps(self.now):
            self.real.run(now=self.now)

    def payout(self, promoter: str, amount: int | None, back: int) -> None:
        today = date(1970, 1, 1) + timedelta(milliseconds=self.now)
        dated = today - timedelta(days=back)
        item = self.real.decision("payout.create", _payout(promoter, amount, dated), received=self.now)
        mine = self.oracle.payout(item.message.id, promoter=promoter, amount=amount, date=dated, today=today)
        self.tell(item, mine)
        if not mine:
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

    def decide(self, op: str, data: dict[str, Any], mine: str) -> None:
        self.tell(self.real.decision(op, data, received=self.now), mine)

    def tell(self, item: Item, mine: str) -> None:
        self.real.run(orders=[item])
        self.agree(item, mine)

    # --- how they run, and agree ---

    def wait(self, time: int) -> None:
        self.now += time

    def crash(self) -> None:
        """The next batch is killed between its journal and its commit."""
        self.real.crashing = True

    def restart(self) -> None:
        self.real.restart()

    def agree(self, item: Item, mine: str) -> None:
        status, code = self.real.answer(item)
        code = "waiting" if status == "waiting" and code else code
        assert CODES.get(code, code) == CODES.get(mine, mine), (code, mine)

    def check(self) -> None:
        """All that both hold, and what always holds."""
        orders = {
            key: (one.status, one.refunded, one.reason, one.released, sorted(one.shares))
            for key, one in self.oracle.orders.items()
        }
        agreed(self.real.orders_now(), orders)
        agreed(self.real.accounts_now(), self.oracle.accounts)
        names = ("promoter", "amount", "tax", "net", "status")
        payouts = {id: tuple(getattr(one, name) for name in names) for id, one in self.oracle.payouts.items()}
        agreed(self.real.payouts_now(), payouts)
        self.real.obey()


def agreed(real: dict[Any, Any], oracle: dict[Any, Any]) -> None:
    """Fails with what the real books have, and what the oracle, where that is not the same."""
    keys = [*real, *(key for key in oracle if key not in real)]
    differences = {key: (real.get(key), oracle.get(key)) for key in keys if real.get(key) != oracle.get(key)}
    assert not differences, differences


CODES: dict[str, str] = {"unknown_conversion": "unknown_order"}
"""The same by another name."""


def _payout(promoter: str, amount: int | None, dated: date) -> dict[str, Any]:
    data: dict[str, Any] = {"promoter": promoter, "currency": "CNY", "date": dated.isoformat()}
    return data if amount is None else data | {"amount": f"{amount / 100:.2f}"}
