"""The oracle's attribution against examples computed by hand."""

import csv
import gzip
import json
import math
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import reference
from reference import DAY, HOUR, MINUTE, Journey, Judges, Settings, Touch

NOON = 100 * DAY


def click(id: int, at: int, promoter: str = "A", visitor: str = "v", **more: Any) -> Touch:
    more.setdefault("click", f"c{id}")
    return Touch(id, at, "shop", promoter, visitor=visitor, **more)


def order(**more: Any) -> Journey:
    return Journey("shop", NOON, **({"visitor": "v"} | more))


def credit(touches: list[Touch], journey: Journey, judges: Judges | None = None, **settings: Any) -> reference.Credit:
    settings = {"collapse_minutes": 0} | settings
    return reference.credit(touches, journey, Settings(**settings), judges or Judges())


ALL_KEYS = [
    click(1, NOON - 9, "P1", "other"),
    click(2, NOON - 8, "P2", "v"),
    click(3, NOON - 7, "P3", "", cust="k"),
    click(4, NOON - 6, "P4", "", did="d"),
    click(5, NOON - 5, "P5", "", fingerprint="f"),
]
EVERYTHING = {"click": "c1", "coupon": "PC", "visitor": "v", "cust": "k", "did": "d", "fingerprint": "f", "aff": "PA"}
WAYS = ["click_id", "coupon", "visitor", "cust", "did", "fingerprint", "aff"]


@pytest.mark.parametrize("gone", range(8))
def test_the_first_way_that_finds_any_is_the_only_one(gone: int) -> None:
    names = list(EVERYTHING)
    left = {name: EVERYTHING[name] if i >= gone else "" for i, name in enumerate(names)}
    came = credit(ALL_KEYS, order(**left))
    expected = ["P1", "PC", "P2", "P3", "P4", "P5", "PA", None][gone]
    assert came.promoters == ({expected: reference.WHOLE} if expected else {})
    assert came.found_by == (WAYS[gone] if gone < 7 else "")


@pytest.mark.parametrize("at", [NOON + 1, NOON - 30 * DAY - 1])
def test_a_named_click_that_finds_nothing_does_not_lend_its_visitor(at: int) -> None:
    touches = [click(1, at), click(2, NOON - 1, "B")]
    assert credit(touches, order(click="c1", of_click=True)).promoters == {}
    assert credit(touches, order(click="c1")).promoters == {"B": reference.WHOLE}


def test_a_coupon_comes_first_of_all_where_the_product_says_so() -> None:
    assert credit(ALL_KEYS, order(**EVERYTHING), coupon_first=True).promoters == {"PC": reference.WHOLE}


@pytest.mark.parametrize(
    ("touch", "journey", "settings", "counts"),
    [
        (click(1, NOON - 30 * DAY), order(), {}, True),
        (click(1, NOON - 30 * DAY - 1), order(), {}, False),
        (click(1, NOON), order(), {}, True),
        (click(1, NOON + 1), order(), {}, False),
        (click(1, NOON - DAY, "A", "", fingerprint="f"), order(fingerprint="f"), {}, True),
        (click(1, NOON - DAY - 1, "A", "", fingerprint="f"), order(fingerprint="f"), {}, False),
        (click(1, NOON, kind="view"), order(), {}, False),
        (click(1, NOON - DAY, kind="view"), order(), {"view_through": True}, True),
        (click(1, NOON - DAY - 1, kind="view"), order(), {"view_through": True}, False),
        (click(1, NOON - HOUR - 1, kind="view"), order(), {"view_through": True, "view_window_hours": 1}, False),
        (click(1, NOON, dest="document"), order(), {}, True),
        (click(1, NOON, dest="iframe"), order(), {}, False),
        (click(1, NOON, bot=True), order(), {}, False),
        (click(1, NOON, prefetch=True), order(), {}, False),
        (click(1, NOON, fraud=True), order(), {}, False),
        (Touch(1, NOON, "other shop", "A", visitor="v"), order(), {}, False),
        (Touch(1, NOON, "other shop", "A", "view", visitor="v"), order(), {"view_through": True}, False),
        (click(1, NOON, "A", "", click=""), order(visitor=""), {}, False),
        # a named click has no longer window
        (click(1, NOON - 30 * DAY - 1, visitor="w"), order(click="c1"), {}, False),
        (click(1, NOON, "A", ""), order(click="c1"), {}, True),  # a path of one
        (click(1, NOON, "A", ""), order(visitor=""), {}, False),  # nobody is not everybody
    ],
)
def test_a_touch_counts_in_its_window_if_it_is_one(touch: Touch, journey: Journey, settings: Any, counts: bool) -> None:
    assert bool(credit([touch], journey, **settings).promoters) == counts


def test_a_named_click_brings_its_visitors_path_up_to_itself() -> None:
    touches = [click(4, 40, "D"), click(3, 30, "C"), click(2, 30, "B"), click(1, 10, "A")]
    journey = Journey("shop", 100, click="c3")
    came = credit(touches, journey, model="linear")
    assert came.promoters == {"A": 333_333_334, "B": 333_333_333, "C": 333_333_333}
    assert credit(touches, Journey("shop", 100, click="c2"), model="last").promoters == {"B": reference.WHOLE}
    assert credit([*touches, click(0, 5, "E", "w")], journey, model="first").promoters == {"A": reference.WHOLE}


def test_a_click_of_nobody_is_a_path_of_one_and_one_of_another_shop_none() -> None:
    anonymous = [click(1, 10, "A", ""), click(2, 20, "B", "")]
    assert credit(anonymous, Journey("shop", 100, click="c2"), model="first").promoters == {"B": reference.WHOLE}
    elsewhere = [click(1, 10, "A"), Touch(2, 20, "other shop", "B", click="c2", visitor="v")]
    assert credit(elsewhere, Journey("shop", 100, click="c2")).promoters == {}


def test_who_never_counts_has_the_reason() -> None:
    touches = [click(1, 1, bot=True), click(2, 2, prefetch=True), click(3, 3, fraud=True), click(4, 4, "B")]
    touches += [click(5, 5, "C"), click(6, 6), click(7, 7, kind="view")]
    came = credit(touches, Journey("shop", 9, visitor="v"), Judges({"B"}, {"C"}), view_through=True)
    assert [reason for _, reason in came.why] == ["bot", "prefetch", "fraud", "blocked", "own", "", "view"]
    assert came.promoters == {"A": reference.WHOLE}


def test_a_view_counts_beside_a_click_that_does_not() -> None:
    touches = [click(1, NOON - 2, kind="view"), click(2, NOON - 1, "B", bot=True)]
    assert credit(touches, order(), view_through=True).promoters == {"A": reference.WHOLE}


def test_a_way_that_finds_only_what_does_not_count_ends_the_search() -> None:
    touches = [click(1, NOON, bot=True), click(2, NOON, "B", "", cust="k")]
    came = credit(touches, order(cust="k"))
    assert (came.found_by, came.promoters) == ("visitor", {})


@pytest.mark.parametrize(
    ("minutes", "left"),
    [([0, 30], [30]), ([0, 31], [0, 31]), ([0, 20, 40], [40]), ([0, 20, 60], [20, 60]), ([0, 0], [0])],
)
def test_touches_of_one_promoter_collapse_into_the_latest(minutes: list[int], left: list[int]) -> None:
    touches = [click(i, minute * MINUTE) for i, minute in enumerate(minutes)]
    touches.append(click(9, 10 * MINUTE, "B"))
    came = credit(touches, Journey("shop", NOON, visitor="v"), collapse_minutes=30, window_days=100)
    assert [t.at // MINUTE for t, reason in came.why if not reason and t.promoter == "A"] == left
    assert [reason for t, reason in came.why if t.promoter == "B"] == [""]
    assert [
        reason for _, reason in credit(touches, Journey("shop", NOON, visitor="v"), window_days=100).why if reason
    ] == []


def test_a_touch_that_does_not_count_absorbs_none() -> None:
    touches = [click(1, NOON - 2), click(2, NOON - 1, bot=True)]
    assert credit(touches, order(), collapse_minutes=30).promoters == {"A": reference.WHOLE}


@pytest.mark.parametrize(("spent", "left"), [(None, "AB"), (1, "B"), (2, ""), (0, "AB")])
def test_touches_up_to_the_previous_order_are_spent(spent: int | None, left: str) -> None:
    touches = [click(1, 1, "A"), click(2, 2, "B")]
    came = credit(touches, Journey("shop", 3, visitor="v"), Judges(spent=spent), model="linear")
    assert "".join(came.promoters) == left


def test_a_coupon_is_never_spent() -> None:
    came = credit([], order(coupon="PC"), Judges(spent=NOON))
    assert came.promoters == {"PC": reference.WHOLE}


BINDERS = [click(2, 10, "B"), click(1, 10, "A"), click(3, 10 + 7 * DAY, "C"), click(4, 11 + 7 * DAY, "D")]


@pytest.mark.parametrize(
    ("binding", "at", "holder"),
    [
        ("first", 9, None),
        ("first", 10, "A"),  # of one instant the lower event id
        ("first", NOON, "A"),
        ("last", 10, "B"),
        ("last", 10 + 7 * DAY, "C"),
        ("last", NOON, "D"),
        ("mixed", 10, "A"),
        ("mixed", 9 + 7 * DAY, "A"),
        ("mixed", 10 + 7 * DAY, "C"),  # the end of the protection is after it
        ("mixed", 11 + 7 * DAY, "C"),
        ("mixed", NOON, "C"),
    ],
)
def test_a_customer_is_bound_as_the_product_says(binding: str, at: int, holder: str | None) -> None:
    came = credit(BINDERS, Journey("shop", at, visitor="v"), binding=binding)
    assert came.promoters == ({holder: reference.WHOLE} if holder else {})


def test_a_click_after_the_protection_starts_a_new_one() -> None:
    clicks = [click(1, 0, "A"), click(2, 8 * DAY, "B"), click(3, 15 * DAY - 1, "C"), click(4, 15 * DAY, "D")]
    holders = [
        "".join(credit(clicks, Journey("shop", at, visitor="v"), binding="mixed").promoters)
        for at in (8 * DAY, 15 * DAY - 1, 15 * DAY)
    ]
    assert holders == ["B", "B", "D"]


def test_the_bound_promoter_is_credited_alone_whatever_the_touches() -> None:
    touches = [click(1, 1, "A"), click(2, NOON, "B")]
    assert credit(touches, order(coupon="PC"), binding="first").promoters == {"A": reference.WHOLE}
    assert credit(touches, order(), binding="first", binding_fallback=True).promoters == {"B": reference.WHOLE}
    assert credit(touches[:1], order(), binding="first", binding_fallback=True).promoters == {"A": reference.WHOLE}


def test_the_customer_is_the_cust_if_it_binds_one_and_else_the_visitor() -> None:
    touches = [click(1, 1, "A"), click(2, 2, "B", "w", cust="k")]
    assert credit(touches, order(cust="k"), binding="first").promoters == {"B": reference.WHOLE}
    assert credit(touches, order(cust="l"), binding="first").promoters == {"A": reference.WHOLE}
    assert credit([click(1, 1, "A", "w")], order(visitor=""), binding="first").promoters == {}


@pytest.mark.parametrize("more", [{"kind": "view"}, {"bot": True}, {"dest": "iframe"}, {"promoter": "blocked"}])
def test_what_is_no_eligible_click_binds_nobody(more: dict[str, Any]) -> None:
    touches = [click(1, 1, **more), click(2, 2, "B")]
    came = credit(touches, Journey("shop", 9, visitor="v"), Judges({"blocked"}), binding="first", view_through=True)
    assert came.promoters == {"B": reference.WHOLE}


@pytest.mark.parametrize(
    ("model", "n", "expected"),
    [
        ("first", 3, [10**9, 0, 0]),
        ("last", 3, [0, 0, 10**9]),
        ("linear", 3, [333_333_334, 333_333_333, 333_333_333]),
        ("position", 1, [10**9]),
        ("position", 2, [5 * 10**8] * 2),
        ("position", 3, [4 * 10**8, 2 * 10**8, 4 * 10**8]),
        ("position", 5, [4 * 10**8, 66_666_667, 66_666_667, 66_666_666, 4 * 10**8]),
        # a day apart with a half-life of a day: 1/4, 1/2, 1 of 7/4
        ("time_decay", 3, [142_857_143, 285_714_286, 571_428_571]),
    ],
)
def test_the_models_weigh_as_written(model: str, n: int, expected: list[int]) -> None:
    assert reference.weights(model, [i * DAY for i in range(n)], DAY) == expected


def test_touches_of_one_promoter_add_up_and_nobody_is_credited_with_nothing() -> None:
    touches = [click(1, 1, "B"), click(2, 2, "A"), click(3, 3, "B"), click(4, 4, "B")]
    journey = Journey("shop", 9, visitor="v")
    assert list(credit(touches, journey, model="linear").promoters.items()) == [("B", 75 * 10**7), ("A", 25 * 10**7)]
    assert credit(touches, journey, model="last").promoters == {"B": reference.WHOLE}


def test_the_oracle_gives_published_time_decay_to_the_cent(shared_data: Path) -> None:
    for vector in json.loads((shared_data / "attribution/time_decay_vectors.json").read_text())["vectors"]:
        times = [(100 - age) * DAY for age in vector["ages_days"]]
        weights = reference.weights("time_decay", times, vector["half_life_days"] * DAY)
        for weight, exact in zip(weights, vector["exact"], strict=True):
            assert math.isclose(vector["amount"] * weight / reference.WHOLE, exact, abs_tol=0.001)


def test_the_oracle_credits_ten_thousand_journeys_as_published(shared_data: Path) -> None:
    with gzip.open(shared_data / "attribution/ca_paths_10000.csv.gz", "rt") as file:
        journeys = [(row["path"].split(" > "), int(row["total_conversions"])) for row in csv.DictReader(file)]
    with (shared_data / "attribution/ca_paths_10000_expected.csv").open() as file:
        expected = {row["channel_name"]: row for row in csv.DictReader(file)}
    columns = {
        "first": "first_touch_conversions",
        "last": "last_touch_conversions",
        "linear": "linear_touch_conversions",
        "position": "eeghor_position_based_40_20_40_conversions",
    }
    for model, column in columns.items():
        credits: Counter[str] = Counter()
        for path, conversions in journeys:
            for channel, weight in zip(path, reference.weights(model, range(len(path)), DAY), strict=True):
                credits[channel] += weight * conversions
        for channel, row in expected.items():
            assert abs(Fraction(credits[channel], reference.WHOLE) - Fraction(row[column])) < Fraction(1, 10_000)
