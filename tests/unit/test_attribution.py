"""Attribution weights: integers of 1e-9 that sum to 1e9."""

import csv
import gzip
import json
import struct
from collections import Counter
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import reference
from tuike import _core

Model = Literal["first", "last", "linear", "time_decay", "position"]
MODELS: tuple[Model, ...] = ("first", "last", "linear", "time_decay", "position")
HOUR = 3_600_000
DAY = 24 * HOUR


@given(
    st.sampled_from(MODELS),
    st.lists(st.integers(0, 10) | st.integers(0, 40 * DAY), max_size=20).map(sorted),
    st.sampled_from([HOUR, DAY, 7 * DAY, 30 * DAY]) | st.integers(HOUR, 400 * DAY),
)
@example("time_decay", [0, 7 * DAY, 14 * DAY], 7 * DAY)
@example("time_decay", [0, 0, 0], HOUR)
@example("time_decay", [0, 100 * HOUR, 100 * HOUR, 100 * HOUR], HOUR)
@example("position", list(range(9)), HOUR)
def test_weights_are_those_of_the_oracle(model: Model, times: list[int], half_life: int) -> None:
    weights = _core.weights(model, times, half_life)
    assert weights == reference.weights(model, times, half_life)
    assert sum(weights) == (reference.WHOLE if times else 0)


@given(st.sampled_from(MODELS), st.lists(st.lists(st.integers(0, 40 * DAY), max_size=6).map(sorted), max_size=6))
def test_many_paths_weigh_as_each_by_itself(model: Model, paths: list[list[int]]) -> None:
    times = struct.pack(f"<{sum(map(len, paths))}Q", *chain.from_iterable(paths))
    lengths = struct.pack(f"<{len(paths)}I", *map(len, paths))
    found = _core.weights_many(model, times, lengths, 7 * DAY)
    each = [_core.weights(model, path, 7 * DAY) for path in paths]
    assert list(struct.unpack(f"<{len(times) // 8}I", found)) == [*chain.from_iterable(each)]


@pytest.mark.parametrize(
    ("times", "lengths", "code"),
    [
        (bytes(16), struct.pack("<I", 1), "bad_lengths"),
        (bytes(16), struct.pack("<2I", 1, 2), "bad_lengths"),
        (bytes(15), struct.pack("<I", 1), "bad_lengths"),
        (bytes(8), bytes(3), "bad_lengths"),
        (struct.pack("<3Q", 1, 3, 2), struct.pack("<2I", 1, 2), "not_ascending"),
    ],
)
def test_many_paths_that_must_not_be_asked_are_refused(times: bytes, lengths: bytes, code: str) -> None:
    with pytest.raises(ValueError, match=f"^{code}$"):
        _core.weights_many("linear", times, lengths)


@given(st.integers(0, 63 * HOUR), st.integers(HOUR, 100 * DAY))
def test_time_decay_is_within_a_unit_of_the_exact_value(age: int, half_life: int) -> None:
    old, new = _core.weights("time_decay", [0, age], half_life)
    exact = reference.decay(age, half_life)
    assert abs(old - reference.WHOLE * exact / (1 + exact)) < 1
    assert old + new == reference.WHOLE


@pytest.mark.parametrize(
    ("model", "times", "half_life", "code"),
    [
        ("median", [1], DAY, "unknown_model"),
        ("linear", [2, 1], DAY, "not_ascending"),
        ("time_decay", [1, 2], HOUR - 1, "bad_half_life"),
        ("linear", [0] * (2**20 + 1), DAY, "too_many_touches"),
    ],
)
def test_what_must_not_be_asked_is_refused(model: Model, times: list[int], half_life: int, code: str) -> None:
    with pytest.raises(ValueError, match=f"^{code}$"):
        _core.weights(model, times, half_life)


@pytest.mark.parametrize(
    ("mode", "clicks", "binding"),
    [
        ("first", [0, DAY, 30 * DAY], 0),
        ("last", [0, DAY, 30 * DAY], 2),
        ("mixed", [0, DAY, 7 * DAY - 1], 0),
        ("mixed", [0, DAY, 7 * DAY], 2),
        ("mixed", [0, 7 * DAY, 14 * DAY - 1], 1),
        ("mixed", [0, 7 * DAY, 14 * DAY], 2),
        ("mixed", [], None),
    ],
)
def test_a_customer_is_bound_by_the_click_that_the_mode_says(
    mode: Literal["first", "last", "mixed"], clicks: list[int], binding: int | None
) -> None:
    assert _core.bound(mode, clicks, 7 * DAY) == binding


def test_a_binding_by_no_mode_or_by_clicks_in_disorder_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown_mode"):
        _core.bound("none", [], DAY)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not_ascending"):
        _core.bound("last", [2, 1], DAY)


def test_published_time_decay_comes_out_to_the_cent(shared_data: Path) -> None:
    vectors = json.loads((shared_data / "attribution/time_decay_vectors.json").read_text())["vectors"]
    assert len(vectors) == 2
    for vector in vectors:
        times = [(100 - age) * DAY for age in vector["ages_days"]]
        cents = _core.allocate(
            vector["amount"] * 100, _core.weights("time_decay", times, vector["half_life_days"] * DAY)
        )
        for got, exact, published in zip(cents, vector["exact"], vector["published"], strict=True):
            assert abs(got - 100 * Fraction(str(exact))) < 1
            assert abs(Fraction(got, 100) - Fraction(str(published))) <= Fraction(str(vector["tolerance"]))
        for name, expected in vector.get("also_published", {}).items():
            model: Model | None = "position" if name == "position_40_20_40" else name if name in MODELS else None
            if model:
                parts = _core.allocate(vector["amount"], _core.weights(model, times))
                assert parts == expected, name


def test_ten_thousand_journeys_credit_what_two_packages_agree_on(shared_data: Path) -> None:
    with gzip.open(shared_data / "attribution/ca_paths_10000.csv.gz", "rt") as file:
        journeys = [(row["path"].split(" > "), int(row["total_conversions"])) for row in csv.DictReader(file)]
    with (shared_data / "attribution/ca_paths_10000_expected.csv").open() as file:
        expected = {row["channel_name"]: row for row in csv.DictReader(file)}
    orders = sum(conversions for _, conversions in journeys)
    assert (len(journeys), orders) == (10_000, 19_785)
    columns: dict[Model, str] = {
        "first": "first_touch_conversions",
        "last": "last_touch_conversions",
        "linear": "linear_touch_conversions",
        "position": "eeghor_position_based_40_20_40_conversions",
    }
    for model, column in columns.items():
        paid: Counter[str] = Counter()
        weight: Counter[str] = Counter()
        for path, conversions in journeys:
            weights = _core.weights(model, range(len(path)))
            for channel, unit, cents in zip(path, weights, _core.allocate(100_00, weights), strict=True):
                weight[channel] += unit * conversions
                paid[channel] += cents * conversions
        assert sum(paid.values()) == orders * 100_00
        assert sum(weight.values()) == orders * reference.WHOLE
        for channel, row in expected.items():
            credited = Fraction(row[column])
            if model in ("first", "last"):
                assert paid[channel] == credited * 100_00
            assert abs(Fraction(weight[channel], reference.WHOLE) - credited) < Fraction(1, 10_000), (model, channel)
