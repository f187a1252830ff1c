"""Tax withheld from payouts (money.md section 6). Amounts in 分; months are (year, month)."""

from collections.abc import Collection, Mapping
from datetime import date
from fractions import Fraction

from reference.money import half_up, percent

Month = tuple[int, int]

LABOUR_FREE = 800_00
LABOUR_FLAT = 4_000_00
LABOUR_TABLE = ((20_000_00, "20", 0), (50_000_00, "30", 2_000_00), (None, "40", 7_000_00))
PLATFORM_MONTH = 5_000_00
PLATFORM_TABLE = (
    (36_000_00, "3", 0),
    (144_000_00, "10", 2_520_00),
    (300_000_00, "20", 16_920_00),
    (420_000_00, "25", 31_920_00),
    (660_000_00, "30", 52_920_00),
    (960_000_00, "35", 85_920_00),
    (None, "45", 181_920_00),
)


def month_of(day: date) -> Month:
    return day.year, day.month


def by_table(base: Fraction, table: Collection[tuple[int | None, str, int]]) -> Fraction:
    """Rate less quick deduction, of the first row that the base does not exceed."""
    for upto, rate, less in table:
        if upto is None or base <= upto:
            return base * percent(rate) - less
    raise AssertionError("the last row has no end")


def labour_tax(income: int) -> Fraction:
    """A month's labour-remuneration prepayment."""
    if income <= LABOUR_FREE:
        return Fraction(0)
    if income <= LABOUR_FLAT:
        return (income - LABOUR_FREE) * percent("20")
    return by_table(income * percent("80"), LABOUR_TABLE)


def platform_tax(income: int, months: int) -> Fraction:
    """The cumulative method: a run's income over so many months."""
    base = income * percent("80") - PLATFORM_MONTH * months
    return by_table(base, PLATFORM_TABLE) if base > 0 else Fraction(0)


def run(months: Collection[Month], current: Month, gap: str) -> list[Month]:
    """The months of the run that ends in the current one: the unbroken row of months with income in its year, or
    (`gap: "continue"`) all from the year's first month with income on, those without included."""
    year, last = current
    with_income = {month for its_year, month in months if its_year == year} | {last}
    first = last
    if gap == "continue":
        first = min(with_income)
    else:
        while first - 1 in with_income:
            first -= 1
    return [(year, month) for month in range(first, last + 1)]


def withheld(
    scheme: str,
    amount: int,
    month: Month,
    paid: Mapping[Month, int],
    taxed: Mapping[Month, int],
    rate: str = "0",
    gap: str = "restart",
) -> int:
    """What a payout of `amount` in `month` withholds. `paid`, `taxed`: the person's payouts and what was withheld
    from them, by month, this one not included.

    Decided: `cn_platform` is rounded half up to 分 as `cn_labour` is; neither withholds less than nothing (a payout
    that failed can have been taxed higher) nor more than the payout.
    """
    if scheme == "none":
        return 0
    if scheme == "flat":
        return half_up(amount * percent(rate))
    if scheme == "cn_labour":
        months = [month]
        owed = labour_tax(paid.get(month, 0) + amount)
    else:
        months = run(paid.keys(), month, gap)
        owed = platform_tax(sum(paid.get(each, 0) for each in months) + amount, len(months))
    return min(max(half_up(owed - sum(taxed.get(each, 0) for each in months)), 0), amount)
