"""The whole of the books against the slow, obvious oracle: random rules, trees, touches, orders, refunds, settlements,
payouts and kills, in random order."""

import os
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from pair import DAY, HOUR, PRODUCTS, PROMOTERS, Pair, Step

import reference

SHORT_CASES, LONG_CASES = 9_200, 800
SHARDS = 8
MORE = int(os.environ.get("TUIKE_CASES_TIMES", 1))
"""So many times the cases."""
ELSEWHERE = int(os.environ.get("TUIKE_CASES_SEED", 0))
"""Other than 0: other cases than CI's, which are the same each time."""

LEVELS = [{"level": 1, "value": "5"}, {"level": 2, "value": "3"}, {"level": 3, "value": "1.5"}]
SHARED = [{"level": 1, "share": "50"}, {"level": 2, "share": "33.3333"}, {"level": 3, "share": "10"}]
TIERED = {"type": "tiered", "tiers": [{"from": "0", "value": "5"}, {"from": "150", "value": "12.5"}], "levels": SHARED}
RULES: list[dict[str, Any]] = [
    {"type": "percentage", "value": "10", "levels": LEVELS},
    {"type": "percentage", "value": "10", "levels": LEVELS, "missing_level": "redistribute", "max_per_order": "7.77"},
    {"type": "percentage", "value": "33.3333", "daily_budget": "60", "min_amount": "1"},
    {"type": "fixed", "value": "8.88", "levels": [{"level": 1, "value": "5"}, {"level": 3, "value": "3.01"}]},
    TIERED,
    TIERED | {"mode": "marginal", "missing_level": "redistribute"},
    {
        "type": "hybrid",
        "base": {"type": "percentage", "value": "7"},
        "bonus": [{"type": "fixed", "value": "1"}, {"type": "percentage", "value": "1.5", "min_amount": "100"}],
        "levels": SHARED,
        "season": {"multiplier": "1.5", "from": "2026-01-05T00:00:00Z", "until": "2026-02-01T00:00:00Z"},
    },
    {
        "type": "percentage",
        "value": "10",
        "levels": LEVELS,
        "promoter_tier_bonus": {"bronze": "0.25", "silver": "0.5", "gold": "1", "diamond": "2"},
        "overrides": [{"promoter": "papa", "value": "20"}, {"kind": "kol", "value": "12", "levels": SHARED}],
    },
    TIERED
    | {
        "overrides": [
            {"promoter": "papa", "value": "20"},
            {"kind": "kol", "value": "4", "levels": [{"level": 2, "share": "70"}]},
        ]
    },
    {
        "type": "hybrid",
        "base": {key: TIERED[key] for key in ("type", "tiers")},
        "bonus": [{"type": "fixed", "value": "0.5"}],
        "overrides": [{"promoter": "solo", "value": "7.5"}],
    },
]
ATTRIBUTIONS: list[dict[str, Any]] = [
    {},
    {"model": "first", "path_reset": True},
    {"model": "linear", "collapse_minutes": 0, "view_through": True},
    {"model": "time_decay", "half_life_days": 2, "coupon_first": True},
    {"model": "position", "collapse_minutes": 0, "self_purchase": True},
    {"binding": "first"},
    {"binding": "last", "binding_fallback": True, "model": "linear", "collapse_minutes": 0},
    {"binding": "mixed", "protect_days": 3},
]
RATE = st.integers(0, 500_000).map(lambda units: f"{units / 10_000:.4f}")
MONEY = st.integers(0, 50_00).map(lambda units: f"{units / 100:.2f}")
SHARE = st.integers(0, 333_333).map(lambda units: f"{units / 10_000:.4f}")
PARTS = st.lists(SHARE, min_size=1, max_size=3).map(
    lambda shares: [{"level": level, "share": share} for level, share in enumerate(shares, start=1)]
)
TIERS = st.tuples(RATE, st.lists(st.tuples(st.integers(1, 900), RATE), max_size=2, unique_by=lambda tier: tier[0])).map(
    lambda drawn: [{"from": str(start), "value": rate} for start, rate in [(0, drawn[0]), *sorted(drawn[1])]]
)
TERM = {"min_amount": st.sampled_from(["0.01", "100"]), "until": st.just("2026-01-10T00:00:00+08:00")}
BASE = (
    st.fixed_dictionaries({"type": st.just("percentage"), "value": RATE})
    | st.fixed_dictionaries({"type": st.just("fixed"), "value": MONEY})
    | st.fixed_dictionaries({"type": st.just("tiered"), "tiers": TIERS}, optional={"mode": st.just("marginal")})
)
BONUS = st.fixed_dictionaries({"type": st.sampled_from(["fixed", "percentage"]), "value": MONEY}, optional=TERM)
SEASON = st.fixed_dictionaries({"multiplier": RATE}, optional={"from": st.just("2026-01-03T12:00:00Z")})
COMMON = st.fixed_dictionaries(
    {},
    optional={
        "levels": PARTS,
        "missing_level": st.just("redistribute"),
        "min_amount": MONEY,
        "max_per_order": MONEY,
        "daily_budget": MONEY,
        "season": SEASON,
        "promoter_tier_bonus": st.dictionaries(st.sampled_from(["bronze", "silver"]), RATE),
        "overrides": st.fixed_dictionaries({"value": MONEY}, optional={"levels": PARTS}).flatmap(
            lambda one: st.sampled_from([[one | {"promoter": "kid"}], [one | {"kind": "member"}]])
        ),
    },
)
DRAWN = st.tuples(
    BASE | st.fixed_dictionaries({"type": st.just("hybrid"), "base": BASE, "bonus": st.lists(BONUS, max_size=2)}),
    COMMON,
).map(lambda parts: parts[0] | parts[1])
RULE = st.sampled_from(RULES) | DRAWN


def _allowed(goods: dict[str, Any]) -> bool:
    return reference.refusal(goods["commission"], 2, Fraction(goods["ceiling"], 1_000_000)) is None


MERCHANTS = st.fixed_dictionaries(
    {
        "timezone": st.sampled_from(["Asia/Shanghai", "America/New_York", "UTC"]),
        "settlement": st.sampled_from(["T+0", "T+1", "T+3", "weekly", "monthly"]),
        "refund_days": st.sampled_from([0, 0, 2]),
        "release_when": st.sampled_from(["approved", "approved", "funded"]),
    }
)
CEILING = st.sampled_from([*[500_000] * 4, 100_000, 123_456, 20_000, 1])
"""The platform's, in 1e-6."""
GOODS = st.fixed_dictionaries(
    {
        "commission": RULE,
        "ceiling": CEILING,
        "attribution": st.sampled_from(ATTRIBUTIONS),
        "hold_days": st.sampled_from([0, 0, 1, 5]),
        "pixel_conversions": st.sampled_from(["hold", "accept", "reject"]),
    }
).map(lambda goods: goods if _allowed(goods) else goods | {"ceiling": 500_000})
AMOUNTS = st.sampled_from([None, 0, 1, 99, 10_000, 19_999]) | st.integers(0, 60_000)
CURRENCY = st.sampled_from([*["CNY"] * 4, "", "USD"])
WHO = st.sampled_from(list(PROMOTERS))
PID = st.sampled_from(list(PRODUCTS))
OID = st.sampled_from(["o1", "o2", "o3"])
VISITOR = st.sampled_from(["", f"{1:032x}", f"{2:032x}"])
CUST = st.sampled_from(["", "", "me", "her"])
AGO = st.sampled_from([0, 1, 60_000, HOUR, DAY, 3 * DAY, 8 * DAY, 31 * DAY])


def step(name: str, **how: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.fixed_dictionaries(how))


TOUCH = step(
    "touch",
    promoter=WHO,
    product=PID,
    ago=AGO,
    visitor=VISITOR,
    cust=CUST,
    kind=st.sampled_from(["click", "click", "view"]),
    dest=st.sampled_from(["", "", "", "document", "image"]),
    bot=st.sampled_from([False, False, False, True]),
)
SAID = st.fixed_dictionaries(
    {
        "pid": PID,
        "oid": OID,
        "amount": AMOUNTS,
        "currency": CURRENCY,
        "status": st.sampled_from(["approved", "approved", "approved", "pending", "rejected", "refunded", "refunded"]),
        "refund_id": st.sampled_from(["", "r1", "r2"]),
        "click": st.sampled_from(["", "", f"{1:032x}", f"{3:032x}"]),
        "visitor": VISITOR,
        "cust": CUST,
        "aff": st.sampled_from(["", "kid", "twix", "flat", "nobody"]),
        "coupon": st.sampled_from(["", "", "", "SAVE"]),
        "stamp": st.sampled_from([None, None, 1, 2, 3]),
        "ago": st.sampled_from([0, 0, 1, HOUR, DAY]),
    }
)
ORDER = SAID.map(lambda said: ("order", said))
STEP = st.one_of(
    TOUCH,
    TOUCH,
    ORDER,
    ORDER,
    ORDER,
    step("claim", pid=PID, oid=OID, amount=AMOUNTS, currency=CURRENCY, visitor=VISITOR),
    step("judge", how=st.sampled_from(["approve", "reject"]), oid=OID, pid=PID),
    step("judge", how=st.just("refund"), oid=OID, pid=PID, amount=AMOUNTS, refund_id=st.sampled_from(["", "r1", "r3"])),
    step("wait", time=st.sampled_from([1, HOUR, DAY, DAY, 8 * DAY, 32 * DAY])),
    step("settle"),
    step("settle"),
    step("payout", promoter=WHO, amount=st.none() | st.integers(500, 5_000), back=st.sampled_from([0, 0, 1, 40])),
    step("end", how=st.sampled_from(["paid", "paid", "failed"]), place=st.integers(0, 5)),
    step("move_money", how=st.just("fund"), who=st.sampled_from(["shop", "mart"]), amount=st.integers(1, 9_000)),
    step("move_money", how=st.sampled_from(["prize", "write_off"]), who=WHO, amount=st.integers(1, 3_000)),
    step("remit"),
    step("block", promoter=WHO, blocked=st.booleans()),
    step("move", promoter=WHO, parent=st.none() | WHO),
    step("rule", product=PID, rule=RULE, ceiling=CEILING),
    step("crash"),
    step("restart"),
    step("again"),
    step("batch", orders=st.lists(SAID, min_size=2, max_size=4)),
)
SETUP = st.fixed_dictionaries(
    {
        "merchants": st.fixed_dictionaries({"shop": MERCHANTS, "mart": MERCHANTS}),
        "products": st.fixed_dictionaries(dict.fromkeys(PRODUCTS, GOODS)),
    }
)
SHORT = st.tuples(st.lists(TOUCH | ORDER, min_size=2, max_size=4), st.lists(STEP, min_size=3, max_size=10)).map(
    lambda parts: parts[0] + parts[1]
)
LONG = st.lists(STEP, min_size=30, max_size=60)


def shard(number: int, cases: int, steps: st.SearchStrategy[list[Step]]) -> None:
    """Judges one of the SHARDS of so many cases."""

    @seed(ELSEWHERE * SHARDS + number)
    @settings(
        max_examples=cases * MORE // SHARDS, database=None, suppress_health_check=list(HealthCheck), print_blob=True
    )
    @given(SETUP, steps)
    def judged(setup: dict[str, Any], steps: list[Step]) -> None:
        Pair(**setup).play(steps)

    judged()


@pytest.fixture(autouse=True)
def _cases_do_not_change_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis draws constants of the code under test too: a change of any file would make other cases."""
    monkeypatch.setattr(providers, "_get_local_constants", Constants)


class Half:
    """Half of the shards. The tests of one class run on one core, so there are two."""

    first: int

    @pytest.mark.parametrize("number", range(SHARDS // 2))
    @pytest.mark.parametrize(("cases", "steps"), [(SHORT_CASES, SHORT), (LONG_CASES, LONG)], ids=["short", "long"])
    def test_the_books_are_the_oracles_after_every_step(
        self, number: int, cases: int, steps: st.SearchStrategy[list[Step]]
    ) -> None:
        shard(self.first + number, cases, steps)


class TestFirstHalf(Half):
    first = 0


class TestSecondHalf(Half):
    first = SHARDS // 2
