"""The platform's ceiling is the operator's to lower; each version of a rule keeps the one it was written under."""

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from books_kit import TEN_PERCENT, Books
from sqlalchemy import URL, MetaData, Table, func, insert, select

from proof_kit import HOUR, MINUTE, World
from tuike import _core
from tuike.replay import replay
from tuike.replay.what_if import CannotBe, Change, what_if
from tuike.stores import engine, migrations, schema

SIXTY = {"type": "fixed", "value": "60"}
MINIMUM = {"CNY": 100}


def pools(world: World) -> dict[str, int]:
    """What the orders pay, by order id."""
    joined = schema.shares.join(schema.conversions, schema.shares.c.conversion == schema.conversions.c.number)
    paid = select(schema.conversions.c.order_id, func.sum(schema.shares.c.original).label("pool")).select_from(joined)
    return {row["order_id"]: int(row["pool"]) for row in world.rows(paid.group_by(schema.conversions.c.order_id))}


def ceilings(world: World | Books) -> list[int]:
    rows = world.rows(select(schema.rules.c.ceiling).order_by(schema.rules.c.product, schema.rules.c.version))
    return [row["ceiling"] for row in rows]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A product whose first version was written under 20 %, the second under 10 %, with an order of 100.00 by each, and
    one that came after the second and is older than it."""
    world = World(tmp_path)
    world.shop(SIXTY, ceiling=200_000)
    world.promoters()
    world.click("alice")
    world.drain()
    world.now += MINUTE
    first = world.now
    world.order("o1")
    world.drain()
    world.now += HOUR
    world.ask("product.update", id="tea", commission=SIXTY, ceiling=100_000)
    world.drain()
    world.restart()
    world.now += MINUTE
    world.order("o2")
    world.order("o3", at=first)
    world.drain()
    return world


def test_an_order_pays_by_the_ceiling_that_its_version_was_written_under(world: World) -> None:
    assert pools(world) == {"o1": 2_000, "o2": 1_000, "o3": 2_000}
    assert ceilings(world) == [200_000, 100_000]
    world.proved()
    world.stop()
    report = replay(world.data, 3)
    assert report.fault is None, report.text()


def test_a_rule_of_a_journal_from_before_there_was_a_ceiling_is_under_half(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop(SIXTY)
    world.promoters()
    world.click("alice")
    world.order("o1")
    world.drain()
    assert (pools(world), ceilings(world)) == ({"o1": 5_000}, [_core.Rule.MAX_CEILING])


def test_a_rule_above_the_ceiling_in_force_is_refused_with_its_name_and_the_one_before_stands(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop()
    for ceiling, name in ((99_999, "9.9999"), (50_000, "5")):
        refused = books.ask("product.update", id="tea", commission=TEN_PERCENT, ceiling=ceiling)
        assert (refused["http"], refused["code"]) == (422, "above_ceiling")
        assert refused["result"]["detail"] == f"`value` is above the platform's ceiling of {name} %"
    assert books.ask("product.update", id="tea", name="Tea!")["result"]["rule_version"] == 1
    assert ceilings(books) == [500_000]


def test_the_same_product_again_under_another_ceiling_is_no_conflict_and_no_change(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(ceiling=300_000)
    about = {"id": "tea", "merchant": "shop", "name": "Tea", "url": "https://s.example/", "commission": TEN_PERCENT}
    for ceiling in ({"ceiling": 100_000}, {"ceiling": 1}, {}):
        assert books.ask("product.create", **about, **ceiling)["http"] == 200
    assert ceilings(books) == [300_000]


def test_what_another_rule_would_have_paid_is_under_the_ceiling_of_each_version_that_it_replaces(world: World) -> None:
    # one that came to nothing is no version
    world.ask("product.update", id="tea", commission={"type": "percentage", "value": "6"}, ceiling=50_000)
    world.drain()
    world.now += MINUTE
    world.order("o4")
    world.drain()
    world.stop()
    for value, would in (("60", 2 * 2_000 + 2 * 1_000), ("15", 2 * 1_500 + 2 * 1_000), ("8", 4 * 800)):
        comparison = what_if(world.data, Change({"type": "fixed", "value": value}), 3, MINIMUM)
        assert sum(comparison.paid.values()) == 2 * 2_000 + 2 * 1_000
        assert sum(comparison.would.values()) == would, value
    with pytest.raises(CannotBe, match=r"product 'tea' cannot have this rule: above_ceiling: .* ceiling of 10 %"):
        what_if(world.data, Change({"type": "percentage", "value": "10.0001"}), 3, MINIMUM)


def test_rules_from_before_there_was_a_ceiling_have_half(database: URL) -> None:
    books = engine.open_writer(database)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with books.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0010")
    row: dict[str, Any] = {
        "product": "tea",
        "version": 1,
        "effective_from": 5,
        "rule": '{"type": "fixed", "value": "1"}',
    }
    with books.begin() as connection:
        connection.execute(insert(Table("rules", MetaData(), autoload_with=connection)).values(row))
    migrations.upgrade(books)
    with books.begin() as connection:
        assert connection.execute(select(schema.rules)).mappings().all() == [row | {"ceiling": 500_000}]
    books.dispose()
