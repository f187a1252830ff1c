"""Money in and out (money.md sections 5 and 6): fund, prize, adjust, write_off, payouts, remit.

Decisions are known by their `id`: the same again changes nothing. Every method returns the reason code, "" for done.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

from reference.ledger import Entry
from reference.settlement import Settlement
from reference.tax import Month, month_of, withheld

MINIMUMS = {"CNY": 100_00}
"""Least payout per currency, in minor units; in others nothing is paid until one is set (`no_minimum`)."""


@dataclass
class Payout:
    """`status`: reserved, then paid or failed; bounced after paid."""

    id: str
    promoter: str
    currency: str
    amount: int
    tax: int
    date: date
    status: str = "reserved"

    @property
    def net(self) -> int:
        return self.amount - self.tax

    @property
    def counts(self) -> bool:
        """Whether it is income of its month."""
        return self.status in ("reserved", "paid")


class Books(Settlement):
    """The whole system, slow and obvious: takes the same messages in the same order and holds what must come out.

    `minimums`: currency → least payout; `tiers`: currency → promoter tier → lowest net sales (both in minor units).
    """

    def __init__(self, *, minimums: dict[str, int] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.minimums = dict(MINIMUMS if minimums is None else minimums)
        self.payouts: dict[str, Payout] = {}
        self.decisions: set[str] = set()
        self.closed: set[tuple[Month, str]] = set()

    # --- decisions ---

    def decide(self, id: str, step: str, currency: str, entries: list[Entry]) -> str:
        if id not in self.decisions:
            self.decisions.add(id)
            self.post(step, id, currency, entries)
        return ""

    def fund(self, id: str, *, merchant: str, amount: int, currency: str = "") -> str:
        """A merchant's payment in: platform:cash → merchant payable."""
        if merchant not in self.merchants:
            return "unknown_merchant"
        currency = currency or self.merchants[merchant].currency
        return self.decide(id, "fund", currency, [("platform:cash", -amount), (f"merchant:{merchant}:payable", amount)])

    def prize(self, id: str, *, promoter: str, currency: str, amount: int) -> str:
        """A contest's prize: platform:revenue → available, owed first. Revenue may go below 0."""
        if promoter not in self.promoters:
            return "unknown_promoter"
        entries = self.into_available(promoter, currency, amount)
        return self.decide(id, "prize", currency, [("platform:revenue", -amount), *entries])

    def adjust(self, id: str, *, promoter: str, currency: str, amount: int) -> str:
        """A correction between platform:revenue and a promoter's available: above 0 to the promoter (owed first),
        below 0 from him (what is missing becomes owed)."""
        if promoter not in self.promoters:
            return "unknown_promoter"
        if amount >= 0:
            entries = self.into_available(promoter, currency, amount)
        else:
            entries = self.out_of_available(promoter, currency, -amount)
        return self.decide(id, "adjust", currency, [("platform:revenue", -amount), *entries])

    def write_off(self, id: str, *, promoter: str, currency: str, amount: int | None = None) -> str:
        """Owed → platform:revenue; all of it by default. More than is owed: `above_owed`."""
        if promoter not in self.promoters:
            return "unknown_promoter"
        if id in self.decisions:
            return ""
        owed = self.owed(promoter, currency)
        amount = owed if amount is None else amount
        if amount > owed:
            return "above_owed"
        entries = [(f"promoter:{promoter}:owed", amount), ("platform:revenue", -amount)]
        return self.decide(id, "write_off", currency, entries)

    # --- payouts ---

    def payout(
        self,
        id: str,
        *,
        promoter: str,
        currency: str = "CNY",
        amount: int | None = None,
        date: date | None = None,
        today: date,
    ) -> str:
        """Reserves: all that is available by default, dated today by default. Asked in this order: unknown_promoter,
        payout_open, owed, scheme_currency, bad_date, no_minimum, below_minimum, insufficient."""
        if id in self.payouts:
            return ""
        if promoter not in self.promoters:
            return "unknown_promoter"
        date = date or today
        available = self.balance(f"promoter:{promoter}:available", currency)
        amount = available if amount is None else amount
        open_ones = [x for x in self.payouts.values() if x.status == "reserved"]
        if any((x.promoter, x.currency) == (promoter, currency) for x in open_ones):
            return "payout_open"
        if self.owed(promoter, currency) > 0:
            return "owed"
        if self.promoters[promoter].scheme.startswith("cn_") and currency != "CNY":
            return "scheme_currency"
        if self.bad_date(promoter, currency, date, today):
            return "bad_date"
        if currency not in self.minimums:
            return "no_minimum"
        if amount < self.minimums[currency]:
            return "below_minimum"
        if amount > available:
            return "insufficient"
        self.payouts[id] = Payout(id, promoter, currency, amount, self.tax_of(promoter, currency, amount, date), date)
        entries = [(f"promoter:{promoter}:available", -amount), (f"promoter:{promoter}:reserved", amount)]
        self.post("reserve", id, currency, entries)
        return ""

    def persons_payouts(self, promoter: str, currency: str) -> list[Payout]:
        """What counts of all accounts of the promoter's person, whatever their scheme was."""
        counting = [x for x in self.payouts.values() if x.counts and x.currency == currency]
        return [x for x in counting if self.same_person(x.promoter, promoter)]

    def bad_date(self, promoter: str, currency: str, day: date, today: date) -> bool:
        """Later than today, in a closed month, or before the last payout's. Decided: the last that counts of the
        person in this currency, for tax goes by person; months are closed per currency."""
        last = max((x.date for x in self.persons_payouts(promoter, currency)), default=day)
        return day > today or (month_of(day), currency) in self.closed or day < last

    def tax_of(self, promoter: str, currency: str, amount: int, day: date) -> int:
        """Fixed at reserve."""
        paid: dict[Month, int] = {}
        taxed: dict[Month, int] = {}
        for payout in self.persons_payouts(promoter, currency):
            month = month_of(payout.date)
            paid[month] = paid.get(month, 0) + payout.amount
            taxed[month] = taxed.get(month, 0) + payout.tax
        its = self.promoters[promoter]
        return withheld(its.scheme, amount, month_of(day), paid, taxed, its.percent, its.gap)

    def paid(self, id: str) -> str:
        """Reserved → paid and tax."""
        if id not in self.payouts:
            return "unknown_payout"
        payout = self.payouts[id]
        if payout.status != "reserved":
            return "" if payout.status == "paid" else "illegal_move"
        payout.status = "paid"
        self.post("paid", id, payout.currency, [(self.place(payout, "reserved"), -payout.amount), *self.out(payout, 1)])
        return ""

    def failed(self, id: str) -> str:
        """Back to available, owed first. After paid it is a bounce: net and tax return, while the month is open
        (`month_closed`)."""
        if id not in self.payouts:
            return "unknown_payout"
        payout = self.payouts[id]
        if payout.status in ("failed", "bounced"):
            return ""
        back = self.into_available(payout.promoter, payout.currency, payout.amount)
        if payout.status == "reserved":
            payout.status = "failed"
            self.post("failed", id, payout.currency, [(self.place(payout, "reserved"), -payout.amount), *back])
            return ""
        if (month_of(payout.date), payout.currency) in self.closed:
            return "month_closed"
        payout.status = "bounced"
        self.post("bounce", id, payout.currency, [*self.out(payout, -1), *back])
        return ""

    def place(self, payout: Payout, name: str) -> str:
        return f"promoter:{payout.promoter}:{name}"

    def out(self, payout: Payout, sign: int) -> list[Entry]:
        return [(self.place(payout, "paid"), sign * payout.net), (self.place(payout, "tax"), sign * payout.tax)]

    # --- tax handed over ---

    def remit(self, month: Month, *, currency: str = "CNY") -> str:
        """Hands over what was withheld from the payouts of a month, and closes it; twice is once. Decided: while a
        payout of that month is reserved it is not known what to hand over (`payout_open`)."""
        its = [x for x in self.payouts.values() if month_of(x.date) == month and x.currency == currency]
        if (month, currency) in self.closed:
            return ""
        if any(x.status == "reserved" for x in its):
            return "payout_open"
        self.closed.add((month, currency))
        entries = [(self.place(x, "tax"), -x.tax) for x in its if x.status == "paid"]
        total = sum(x.tax for x in its if x.status == "paid")
        self.post("remit", month, currency, [*entries, ("platform:cash", total)])
        return ""

    def withheld_by_month(self) -> dict[tuple[str, str, Month], int]:
        """(person, currency, month) → tax of the payouts that count; a promoter without person by his own id."""
        sums: dict[tuple[str, str, Month], int] = {}
        for payout in self.payouts.values():
            if payout.counts:
                person = self.promoters[payout.promoter].person or payout.promoter
                key = (person, payout.currency, month_of(payout.date))
                sums[key] = sums.get(key, 0) + payout.tax
        return sums
