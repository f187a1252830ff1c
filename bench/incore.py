"""The arithmetic behind an order, in batch calls on one core: chains, splits, weights; each beside the obvious way."""

import json
import random
import sqlite3
import struct
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TypeVar

from part import Bench, Figure, Result
from tuike import _core

Answer = TypeVar("Answer")

PROMOTERS = 10_000_000
LOOKUPS = 1_000_000
ORDERS = 1_000_000
PATHS = 200_000
TOUCHES = 5
QUICK = 100
"""A quick run does this part of all."""
BESIDE = 20
"""The obvious way is asked this part of the questions."""
CHAINS_AT_LEAST, SPLITS_AT_LEAST, WEIGHTS_AT_LEAST = 10e6, 5e6, 1e6
LEVELS = 3
NONE = 0xFFFF_FFFF
SEED = 1
AT = 1_794_355_200_000
HOUR = 3_600_000
HALF_LIFE = 7 * 24 * HOUR
UNIT = 1_000_000_000
MILLION = 1_000_000
OFF_AT_MOST = 5
"""By so many units of 1e-9 a weight in floating point may be another."""
RATE, RATES = 125_000, (70_000, 30_000, 15_000)
"""Of 1e-6: the pool's, and the levels'."""
RULE = json.dumps(
    {"type": "percentage", "value": "12.5"}
    | {"levels": [{"level": level, "value": value} for level, value in ((1, "7"), (2, "3"), (3, "1.5"))]}
)
CHAIN = """WITH RECURSIVE up(id, level) AS (SELECT ?, 1 UNION ALL
           SELECT promoters.parent, level + 1 FROM up JOIN promoters ON promoters.id = up.id
           WHERE promoters.parent IS NOT NULL AND level < 3) SELECT id FROM up ORDER BY level"""


def measure(bench: Bench) -> Result:
    result = Result()
    part = QUICK if bench.settings.quick else 1
    chance = random.Random(SEED)
    _chains(result, chance, PROMOTERS // part, LOOKUPS // part)
    _splits(result, chance, ORDERS // part)
    _weights(result, chance, PATHS // part)
    return result


def _chains(result: Result, chance: random.Random, promoters: int, lookups: int) -> None:
    """One promoter in ten came by himself; the earlier another came, the likelier he has invited: a few have teams of
    thousands, most have none."""
    drawn = chance.random
    parents = array("q", [int(i * drawn() * drawn()) if i and drawn() >= 0.1 else -1 for i in range(promoters)])
    forest = _core.Forest()
    forest.load([f"p{i}" for i in range(promoters)], parents)
    asked = [chance.randrange(promoters) for _ in range(lookups)]
    packed = array("I", asked).tobytes()
    rate, found = _timed(lambda: forest.chains(packed, LEVELS), lookups)
    name = f"chains of three levels, {promoters:,} promoters"
    result.figures.append(Figure(name, "lookups/s", (rate,), CHAINS_AT_LEAST))
    some = asked[: lookups // BESIDE]
    wanted = list(struct.iter_unpack(f"<{LEVELS}I", found))[: len(some)]
    rate, climbed = _timed(lambda: [_climb(parents, one) for one in some], len(some))
    result.figures.append(Figure(f"{name}: pure Python", "lookups/s", (rate,)))
    result.count(f"{name}: as pure Python has them", len(some), _same(wanted, climbed))
    with closing(sqlite3.connect(":memory:")) as base:
        base.execute("CREATE TABLE promoters (id INTEGER PRIMARY KEY, parent INTEGER)")
        rows = ((i, None if parent < 0 else parent) for i, parent in enumerate(parents))
        base.executemany("INSERT INTO promoters VALUES (?, ?)", rows)
        rate, asked_sql = _timed(lambda: [_filled(base.execute(CHAIN, (one,)).fetchall()) for one in some], len(some))
    result.figures.append(Figure(f"{name}: recursive SQL query", "lookups/s", (rate,)))
    result.count(f"{name}: as SQL has them", len(some), _same(wanted, asked_sql))


def _climb(parents: Sequence[int], one: int) -> tuple[int, ...]:
    chain = [one]
    while len(chain) < LEVELS and (one := parents[one]) >= 0:
        chain.append(one)
    return (*chain, *[NONE] * (LEVELS - len(chain)))


def _filled(rows: Sequence[tuple[int]]) -> tuple[int, ...]:
    return (*[id for (id,) in rows], *[NONE] * (LEVELS - len(rows)))


def _splits(result: Result, chance: random.Random, orders: int) -> None:
    rule = _core.Rule(RULE, "CNY")
    amounts = [chance.randrange(1, 100_000_000) for _ in range(orders)]
    credit = ("p", "member", UNIT, 0, "", [True] * LEVELS)
    rate, found = _timed(lambda: rule.split_many(amounts, AT, credit), orders)
    name = "splits of a percentage rule of three levels"
    result.figures.append(Figure(name, "splits/s", (rate,), SPLITS_AT_LEAST))
    some = amounts[: orders // BESIDE]
    rate, parts = _timed(lambda: [_split(amount) for amount in some], len(some))
    result.figures.append(Figure(f"{name}: pure Python", "splits/s", (rate,)))
    wanted = list(struct.iter_unpack(f"<{LEVELS + 1}q", found))
    result.count(f"{name}: as pure Python has them", len(some), _same(wanted[: len(some)], parts))


def _split(amount: int) -> tuple[int, ...]:
    """The pool, rounded half to even, by largest remainder over the levels and the platform, ties to the earlier."""
    pool, rest = divmod(amount * RATE, MILLION)
    pool += rest > MILLION // 2 or (rest == MILLION // 2 and pool % 2)
    weights = (*RATES, RATE - sum(RATES))
    parts = [pool * weight // RATE for weight in weights]
    remainders = [pool * weight % RATE for weight in weights]
    for place in sorted(range(len(parts)), key=lambda place: -remainders[place])[: pool - sum(parts)]:
        parts[place] += 1
    return tuple(parts)


def _weights(result: Result, chance: random.Random, paths: int) -> None:
    times = [sorted(chance.randrange(720 * HOUR) for _ in range(TOUCHES)) for _ in range(paths)]
    name = "time decay over paths of five touches"
    packed = array("Q", [at for path in times for at in path]).tobytes()
    lengths = array("I", [TOUCHES] * paths).tobytes()
    rate, many = _timed(lambda: _core.weights_many("time_decay", packed, lengths, HALF_LIFE), paths)
    result.figures.append(Figure(name, "paths/s", (rate,), WEIGHTS_AT_LEAST))
    rate, found = _timed(lambda: [_core.weights("time_decay", path, HALF_LIFE) for path in times], paths)
    result.figures.append(Figure(f"{name}: a call each", "paths/s", (rate,)))
    wanted = list(struct.iter_unpack(f"<{TOUCHES}I", many))
    result.count(f"{name}: as a call each has them", paths, _same(wanted, [tuple(path) for path in found]))
    rate, beside = _timed(lambda: [_decay(path) for path in times], paths)
    result.figures.append(Figure(f"{name}: pure Python", "paths/s", (rate,)))
    near = sum(
        all(abs(one - other) <= OFF_AT_MOST for one, other in zip(path, again, strict=True))
        for path, again in zip(found, beside, strict=True)
    )
    result.count(f"{name}: near what floating point has", paths, near)


def _decay(path: Sequence[int]) -> list[float]:
    """In floating point: it does not sum to the whole."""
    weights = [0.5 ** ((path[-1] - at) / HALF_LIFE) for at in path]
    whole = sum(weights)
    return [weight / whole * UNIT for weight in weights]


def _same(some: Sequence[tuple[int, ...]], others: Sequence[tuple[int, ...]]) -> int:
    return sum(one == other for one, other in zip(some, others, strict=True))


def _timed(call: Callable[[], Answer], count: int) -> tuple[float, Answer]:
    """How many a second of processor time, and what it answered: others' use of the core is no part of it."""
    began = time.process_time()
    answer = call()
    return count / (time.process_time() - began), answer
