"""At most three paid levels and half of an order's amount: who tries to get round it meets the core, the books' door
and the database itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError

import sql_servers
from rule_limits import ABOVE, HALF, IN_PARTS, Json
from sql_servers import Server
from tuike import _core
from tuike.stores import engine, migrations
from tuike.stores.schema import rules, shares


@pytest.mark.parametrize("way", [*ABOVE, *IN_PARTS])
def test_no_rule_says_more(way: str) -> None:
    rule, code = (ABOVE | IN_PARTS)[way]
    with pytest.raises(ValueError, match=f"^{code}:"):
        _core.Rule(json.dumps(rule), "CNY")


SEASON = {"multiplier": "100"}
TOGETHER: dict[str, Json] = {
    "a season": {**HALF, "season": SEASON},
    "a bonus": {"type": "hybrid", "base": HALF, "bonus": [{"type": "percentage", "value": "100"}]},
    "a fixed sum": {"type": "fixed", "value": "4000000000000"},
    "a promoter's tier": {**HALF, "promoter_tier_bonus": {"diamond": "100"}},
    "all of it": {
        "type": "hybrid",
        "base": HALF,
        "bonus": [{"type": "fixed", "value": "10"}] * 64,
        "season": SEASON,
        "promoter_tier_bonus": {"diamond": "100"},
    },
}


@pytest.mark.parametrize("way", TOGETHER)
@pytest.mark.parametrize("amount", [1, 3, 9_999, 999_999_999_999_999])
def test_no_order_pays_more_than_half_whatever_a_rule_adds_up_to(way: str, amount: int) -> None:
    rule = _core.Rule(json.dumps(TOGETHER[way]), "CNY")
    booked = rule.book(amount, 0, [("ann", "kol", 1_000_000_000, 0, "diamond", [True] * 3)])
    assert booked is not None
    pool, (step,) = booked
    assert pool == min(amount // 2, step["main"] + step["tier_bonus"]) == sum(step["levels"]) + step["platform"]


def _refuses(made: Any) -> None:
    """The database by itself, however a row comes to it."""
    migrations.upgrade(made)
    good = {"product": "p", "version": 1, "effective_from": 0}
    with made.begin() as connection:
        connection.execute(insert(rules).values(good | {"rule": json.dumps(HALF)}))
        connection.execute(insert(rules).values(good | {"product": "q", "rule": json.dumps(HALF), "ceiling": 1}))
        assert connection.scalars(select(rules.c.ceiling).order_by(rules.c.ceiling)).all() == [1, 500_000]
    for number, (rule, _) in enumerate(ABOVE.values(), start=2):
        with pytest.raises(DBAPIError), made.begin() as connection:
            connection.execute(insert(rules).values(good | {"version": number, "rule": json.dumps(rule)}))
    for number, ceiling in enumerate((0, -1, 500_001, None), start=9):
        row = good | {"version": number, "rule": json.dumps(HALF), "ceiling": ceiling}
        with pytest.raises(DBAPIError), made.begin() as connection:
            connection.execute(insert(rules).values(row))
    with pytest.raises(DBAPIError), made.begin() as connection:
        connection.execute(update(rules).values(ceiling=500_001))
    line = {"conversion": 1, "position": 0, "promoter": "ann", "via": "ann", "weight": 1, "original": 5, "amount": 5}
    with made.begin() as connection:
        connection.execute(insert(shares).values(line | {"conversion": 2, "level": 3}))
    for wrong in ({"level": 4}, {"level": -1}, {"level": 1, "amount": 6}):
        with pytest.raises(DBAPIError), made.begin() as connection:
            connection.execute(insert(shares).values(line | wrong))
    made.dispose()


def test_sqlite_takes_no_more(tmp_path: Path) -> None:
    _refuses(engine.writer(tmp_path / "books.sqlite"))


@pytest.mark.parametrize("kind", sql_servers.SERVERS)
def test_a_server_takes_no_more(kind: str, sql_server: Callable[[str], Server]) -> None:
    _refuses(engine.open_writer(engine.parse(sql_server(kind).create())))
