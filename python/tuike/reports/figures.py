"""What reports show of sums. `roi` is (sales - commission) ÷ commission, `aov` sales ÷ conversions, `ltv` sales ÷
unique visitors, `ctr` clicks ÷ impressions, `cvr` conversions ÷ clicks; a zero divisor gives null."""

from dataclasses import dataclass, field
from typing import Any

from tuike import _core

Body = dict[str, Any]

# Sketches of a group that are held before they are merged: 4 KiB each at most.
PENDING_SKETCHES = 256


@dataclass(slots=True)
class Money:
    """Sums of one currency, in minor units."""

    conversions: int = 0
    sales: int = 0
    commission: int = 0


@dataclass(slots=True)
class Sums:
    """What one group comes to."""

    impressions: int = 0
    clicks: int = 0
    bots: int = 0
    prefetches: int = 0
    money: dict[str, Money] = field(default_factory=dict)
    sketches: list[bytes] = field(default_factory=list)

    def count(self, impressions: Any, clicks: Any, bots: Any, prefetches: Any) -> None:
        """Adds a row's counters, as a driver gives them; None are the sum of no rows."""
        if impressions is not None:
            self.impressions += int(impressions)
            self.clicks += int(clicks)
            self.bots += int(bots)
            self.prefetches += int(prefetches)

    def see(self, sketch: bytes) -> None:
        self.sketches.append(sketch)
        if len(self.sketches) >= PENDING_SKETCHES:
            self.merge()

    def merge(self) -> bytes:
        """The sketch of all that were seen."""
        if len(self.sketches) > 1:
            self.sketches = [_core.merge_sketches(self.sketches)]
        return self.sketches[0] if self.sketches else b""

    def add(self, other: "Sums") -> None:
        self.impressions += other.impressions
        self.clicks += other.clicks
        self.bots += other.bots
        self.prefetches += other.prefetches
        for currency, theirs in other.money.items():
            ours = self.money.setdefault(currency, Money())
            ours.conversions += theirs.conversions
            ours.sales += theirs.sales
            ours.commission += theirs.commission
        if sketch := other.merge():
            self.see(sketch)


def figures(sums: Sums) -> Body:
    """What is shown of sums. Where there are several currencies, the single figures of money are null."""
    sketch = sums.merge()
    visitors = _core.estimate_sketch(sketch)
    money = money_figures(sums.money, visitors)
    conversions = money.pop("conversions")
    return {
        "impressions": sums.impressions,
        "clicks": sums.clicks,
        "unique_visitors": visitors,
        "unique_visitors_error": _core.sketch_error(sketch),
        "bots": sums.bots,
        "prefetches": sums.prefetches,
        "conversions": conversions,
        "ctr": _ratio(sums.clicks, sums.impressions),
        "cvr": _ratio(conversions, sums.clicks),
        **money,
    }


def money_figures(money: dict[str, Money], visitors: int = 0) -> Body:
    """Conversions of all currencies, and what is shown of each; the single figures are null where there are several."""
    per_currency = [_money(currency, money[currency], visitors) for currency in sorted(money)]
    if not per_currency:
        single: Body = {"currency": None, "sales": "0", "commission": "0", "aov": None, "roi": None, "ltv": None}
    elif len(per_currency) == 1:
        single = {name: value for name, value in per_currency[0].items() if name != "conversions"}
    else:
        single = dict.fromkeys(("currency", "sales", "commission", "aov", "roi", "ltv"))
    conversions = sum(of.conversions for of in money.values())
    return {"conversions": conversions, **single, "money": per_currency}


def order_figures(money: dict[str, Money]) -> Body:
    """The same of promoters: orders, sales and commission."""
    found = money_figures(money)
    lines = [
        {"currency": line["currency"], "orders": line["conversions"]}
        | {name: line[name] for name in ("sales", "commission")}
        for line in found["money"]
    ]
    single = {name: found[name] for name in ("currency", "sales", "commission")}
    return {"orders": found["conversions"], **single, "money": lines}


def add_money(sums: dict[str, Money], currency: str, conversions: Any, sales: Any, commission: Any) -> None:
    """Adds a row's figures, as a driver gives them."""
    money = sums.setdefault(currency, Money())
    money.conversions += int(conversions)
    money.sales += int(sales)
    money.commission += int(commission)


def _money(currency: str, money: Money, visitors: int) -> Body:
    return {
        "currency": currency,
        "conversions": money.conversions,
        "sales": _core.format_amount(money.sales, currency),
        "commission": _core.format_amount(money.commission, currency),
        "aov": average(money.sales, money.conversions, currency),
        "roi": _ratio(money.sales - money.commission, money.commission),
        "ltv": average(money.sales, visitors, currency),
    }


def _ratio(dividend: int, divisor: int) -> float | None:
    return dividend / divisor if divisor else None


def average(total: int, count: int, currency: str) -> str | None:
    """Rounded half to even to the minor unit."""
    if not count:
        return None
    quotient, rest = divmod(total, count)
    if 2 * rest > count or (2 * rest == count and quotient % 2):
        quotient += 1
    return _core.format_amount(quotient, currency)
