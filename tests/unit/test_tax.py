"""Tax withheld on payouts: the arithmetic of the schemes, in fen."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuike import _core

INCOMES = st.integers(0, 10_000_000) | st.integers(0, 10**15 - 1)

# money.md, section 6, in yuan: up to this taxable income, this rate, less this
LABOUR = [(20_000, 20, 0), (50_000, 30, 2_000), (None, 40, 7_000)]
ANNUAL = [
    (36_000, 3, 0),
    (144_000, 10, 2_520),
    (300_000, 20, 16_920),
    (420_000, 25, 31_920),
    (660_000, 30, 52_920),
    (960_000, 35, 85_920),
    (None, 45, 181_920),
]


def by_table(taxable: Fraction, table: list[tuple[int | None, int, int]]) -> int:
    """Fen, rounded half up, of a taxable income in yuan."""
    rate, less = next((rate, less) for up_to, rate, less in table if up_to is None or taxable <= up_to)
    return int((max(taxable, Fraction(0)) * Fraction(rate, 100) - (less if taxable > 0 else 0)) * 100 + Fraction(1, 2))


@given(INCOMES)
def test_labour_remuneration_is_taxed_as_the_rule_says(fen: int) -> None:
    yuan = Fraction(fen, 100)
    taxable = max(yuan - 800, Fraction(0)) if yuan <= 4_000 else yuan * Fraction(80, 100)
    assert _core.tax_cn_labour(fen) == by_table(taxable, LABOUR)


@given(INCOMES, st.integers(1, 12))
def test_platform_income_is_taxed_by_the_cumulative_method(fen: int, months: int) -> None:
    taxable = Fraction(fen, 100) * Fraction(80, 100) - 5_000 * months
    assert _core.tax_cn_platform(fen, months) == by_table(taxable, ANNUAL)


@given(INCOMES, st.integers(0, 1_000_000))
def test_a_flat_rate_is_rounded_half_up(amount: int, rate: int) -> None:
    assert _core.tax_flat(amount, rate) == int(Fraction(amount * rate, 1_000_000) + Fraction(1, 2))


def test_three_months_of_a_platform_withhold_what_the_announcement_has() -> None:
    income = withheld = 0
    payouts = []
    for month, earned in enumerate([720_000, 600_000, 800_000], start=1):
        income += earned
        payouts.append(max(_core.tax_cn_platform(income, month) - withheld, 0))
        withheld += payouts[-1]
    assert payouts == [2_280, 0, 3_600]


def test_published_taxes_come_out(shared_data: Path) -> None:
    vectors = json.loads((shared_data / "money/tax_vectors.json").read_text())["published"]
    assert len(vectors) == 5
    for vector in vectors:
        assert _core.tax_cn_labour(vector["income"] * 100) == vector["tax"] * 100, vector


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: _core.tax_cn_labour(10**15), "bad_amount"),
        (lambda: _core.tax_cn_platform(10**15, 1), "bad_amount"),
        (lambda: _core.tax_cn_platform(1, 0), "bad_months"),
        (lambda: _core.tax_cn_platform(1, 13), "bad_months"),
        (lambda: _core.tax_flat(10**15, 1), "bad_amount"),
        (lambda: _core.tax_flat(1, 1_000_001), "bad_rate"),
    ],
)
def test_what_cannot_be_taxed_is_refused(call: Callable[[], int], code: str) -> None:
    with pytest.raises(ValueError, match=f"^{code}$"):
        call()
