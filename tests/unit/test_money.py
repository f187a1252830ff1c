"""Amounts: exponents, texts, sharing out."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from tuike import _core


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [("CNY", 2), ("USD", 2), ("EUR", 2), ("JPY", 0), ("KRW", 0), ("ISK", 0), ("UGX", 0), ("HUF", 2), ("MRU", 2)]
    + [("KWD", 3), ("TND", 3), ("IQD", 3), ("CLF", 4), ("UYW", 4), ("XOF", 0), ("XCG", 2), ("SLE", 2), ("ZWG", 2)]
    + [(gone, None) for gone in ("ANG", "BGN", "CUC", "DEM", "HRK", "SLL", "ZWL")]
    + [(no_money, None) for no_money in ("XAU", "XDR", "XTS", "XXX", "BTC", "cny", "", "CNYX")],
)
def test_currencies_have_the_decimals_of_iso_4217(currency: str, decimals: int | None) -> None:
    assert _core.exponent(currency) == decimals


@given(st.integers(0, 10**15 - 1), st.sampled_from(["JPY", "CNY", "KWD", "CLF"]))
def test_every_amount_has_one_text_that_reads_back(amount: int, currency: str) -> None:
    text = _core.format_amount(amount, currency)
    decimals = _core.exponent(currency)
    assert Fraction(text) == Fraction(amount, 10 ** (decimals or 0))
    assert _core.parse_amount(text, currency) == amount
    assert _core.format_amount(-amount, currency) == ("-" if amount else "") + text


@pytest.mark.parametrize(
    ("text", "currency", "code"),
    [
        ("1.001", "CNY", "bad_amount"),
        ("1.0", "JPY", "bad_amount"),
        ("-1", "CNY", "bad_amount"),
        ("1e3", "CNY", "bad_amount"),
        ("1,000", "CNY", "bad_amount"),
        ("", "CNY", "bad_amount"),
        ("1.", "CNY", "bad_amount"),
        (".1", "CNY", "bad_amount"),
        ("1_0", "CNY", "bad_amount"),
        ("１", "CNY", "bad_amount"),
        ("1000000000000000", "JPY", "bad_amount"),
        ("99999999999999.99", "CNY", "bad_amount"),
        ("1", "XXX", "bad_currency"),
    ],
)
def test_a_text_that_is_no_amount_is_refused(text: str, currency: str, code: str) -> None:
    with pytest.raises(ValueError, match=f"^{code}$"):
        _core.parse_amount(text, currency)


@given(st.text("0123456789.-+eE ", max_size=18))
def test_only_plain_decimals_are_amounts(text: str) -> None:
    whole, point, fraction = text.partition(".")
    plain = (
        (whole.isdigit() and (not point or fraction.isdigit())) and len(fraction) <= 2 and len(whole + fraction) <= 15
    )
    if plain and Fraction(text) * 100 < 10**15:
        assert _core.parse_amount(text, "CNY") == Fraction(text) * 100
    else:
        with pytest.raises(ValueError, match="bad_amount"):
            _core.parse_amount(text, "CNY")


@given(
    st.integers(0, 10**15 - 1),
    st.lists(st.integers(0, 5) | st.integers(0, 10**9) | st.integers(0, 10**22), min_size=1, max_size=12).filter(any),
)
def test_sharing_out_is_that_of_the_oracle(total: int, weights: list[int]) -> None:
    parts = _core.allocate(total, weights)
    assert parts == reference.largest_remainder(total, weights)
    assert sum(parts) == total


@pytest.mark.parametrize(("text", "rate"), [("0", 0), ("5.0", 50_000), ("0.0001", 1), ("100", 1_000_000)])
def test_a_percentage_is_a_rate_of_a_millionth(text: str, rate: int) -> None:
    assert _core.parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "-1", "5%", "1.00001", "100.0001"])
def test_a_text_that_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="bad_rate"):
        _core.parse_rate(text)


def test_what_cannot_be_shared_out_is_said() -> None:
    assert _core.allocate(0, []) == []
    with pytest.raises(ValueError, match="no_weight"):
        _core.allocate(1, [0, 0])
    with pytest.raises(ValueError, match="too_large"):
        _core.allocate(2, [2**127])


def test_published_allocations_come_out(shared_data: Path) -> None:
    vectors = json.loads((shared_data / "money/allocation_vectors.json").read_text())["allocate"]
    assert len(vectors) == 35
    for vector in vectors:
        weights = [int(Fraction(str(weight)) * 100) for weight in vector["weights"]]
        assert _core.allocate(vector["amount"], weights) == vector["expected"], vector
        assert reference.largest_remainder(vector["amount"], weights) == vector["expected"], vector


def test_published_roundings_come_out(shared_data: Path) -> None:
    vectors = json.loads((shared_data / "money/allocation_vectors.json").read_text())["round_half_even"]
    assert len(vectors) == 8
    ten_percent = _core.Rule('{"type": "percentage", "value": "10"}', "JPY")
    for vector in vectors:
        value = Fraction(vector["value"])
        assert round(value) == int(vector["expected"])
        if value >= 0:  # an order's amount is never negative
            booked = ten_percent.book(int(value * 10), 0, [("p", "member", reference.WHOLE, 0, "", [])])
            assert booked is not None
            assert booked[0] == int(vector["expected"])
