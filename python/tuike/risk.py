"""How closely a promoter should be looked at: a score of 0 to 100 that says which facts it is made of, and how much.

A fact is a number that the rollups, the flags and the orders' sums hold. Between `begins` and `full` it earns a part of
its weight, in proportion; the score is the sum of these points. It decides nothing: a person does. `bench/risk.py`
judges the rules on labelled publishers, and what a model makes of the same and of more.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select

from tuike import _core
from tuike.stores.schema import fraud_flags, rollups, sales

DAYS = 30
DAY_S = 86_400
LEAST_CLICKS = 20
"""With fewer, shares and rates of clicks are chance, and say nothing."""
LEAST_ORDERS = 10
SKETCHES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Rule:
    """A fact's share in the score: nothing up to `begins`, all of `weight` from `full` on; `by_ratio` where it counts
    how many times as much it is."""

    name: str
    weight: int
    begins: float
    full: float
    by_ratio: bool = False

    def points(self, value: float) -> float:
        if value <= self.begins:
            return 0.0
        if self.by_ratio:
            part = math.log(value / self.begins) / math.log(self.full / self.begins)
        else:
            part = (value - self.begins) / (self.full - self.begins)
        return self.weight * min(1.0, part)


RULES = (
    Rule("clicks_per_visitor", 30, 1.2, 50.0, by_ratio=True),
    Rule("clicks", 20, 100.0, 20_000.0, by_ratio=True),
    Rule("bot_share", 10, 0.05, 0.5),
    Rule("refunded_share", 10, 0.15, 0.6),
    Rule("flagged_share", 10, 0.02, 0.3),
    Rule("confirmed_flags", 20, 0.0, 2.0),
)
WORDS = {
    "clicks_per_visitor": "clicks for each different visitor",
    "clicks": "clicks: how much there is to lose",
    "bot_share": "of all clicks, the share of known bots",
    "refunded_share": "of the orders, the share that counts nothing any more",
    "flagged_share": "of the orders, the share with a flag that was not cleared",
    "confirmed_flags": "orders that were confirmed as fraud",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the reckoning. `value` is None where there is too little to say it, and earns nothing."""

    name: str
    value: float | None
    weight: int
    points: float


@dataclass(frozen=True, slots=True)
class Risk:
    score: float
    facts: tuple[Fact, ...]


def score(values: Mapping[str, float | None], rules: Iterable[Rule] = RULES) -> Risk:
    """What these facts come to; one that is missing earns nothing."""
    facts = []
    for rule in rules:
        value = values.get(rule.name)
        points = 0.0 if value is None else round(rule.points(value), 2)
        facts.append(Fact(rule.name, value, rule.weight, points))
    return Risk(round(sum(fact.points for fact in facts), 2), tuple(facts))


def of_promoter(connection: Connection, promoter: str, now: int) -> Risk:
    """The promoter's score over the `DAYS` before `now` (ms)."""
    since = now // 1000 - DAYS * DAY_S
    return score(_of_hits(connection, promoter, since) | _of_orders(connection, promoter, now))


def _of_hits(connection: Connection, promoter: str, since: int) -> dict[str, float | None]:
    sums = (
        select(rollups.c.clicks, rollups.c.bots, rollups.c.visitors)
        .where(rollups.c.promoter == promoter, rollups.c.bucket >= since, rollups.c.label_number == 0)
        .execution_options(yield_per=1_000)
    )
    clicks = bots = 0
    sketches: list[bytes] = []
    for row in connection.execute(sums):
        clicks += row.clicks
        bots += row.bots
        if row.visitors:
            sketches.append(row.visitors)
        if len(sketches) == SKETCHES_AT_ONCE:
            sketches = [_core.merge_sketches(sketches)]
    if clicks + bots < LEAST_CLICKS:
        return {}
    visitors = _core.estimate_sketch(_core.merge_sketches(sketches)) if sketches else 0
    return {
        "clicks_per_visitor": clicks / visitors if visitors else None,
        "clicks": float(clicks),
        "bot_share": bots / (clicks + bots),
    }


def _of_orders(connection: Connection, promoter: str, now: int) -> dict[str, float | None]:
    day = now // 1000 // DAY_S
    undone = func.sum(case((sales.c.net == 0, 1), else_=0))
    counted = select(func.count(), undone).where(sales.c.promoter == promoter, sales.c.day > day - DAYS)
    orders, nothing = connection.execute(counted).one()
    flags = fraud_flags.c
    of_status = func.count(flags.conversion.distinct())
    newer = flags.created >= now - DAYS * DAY_S * 1000
    found = select(flags.status, of_status).where(flags.promoter == promoter, newer).group_by(flags.status)
    flagged = {row[0]: int(row[1]) for row in connection.execute(found)}
    standing = flagged.get("open", 0) + flagged.get("confirmed", 0)
    enough = orders >= LEAST_ORDERS
    return {
        "refunded_share": int(nothing) / orders if enough else None,
        "flagged_share": min(1.0, standing / orders) if enough else None,
        "confirmed_flags": float(flagged.get("confirmed", 0)),
    }
