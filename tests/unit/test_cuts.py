"""Cuts and days: what batches, partitions and the upgrade of an older database leave in them is the same."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, delete, select

from tuike.stores import cuts, engine, migrations, rollups, schema

TABLES = (schema.hit_days, schema.hit_cuts, schema.order_days, schema.order_cuts)
FIRST = 1_767_571_200  # 2026-01-05T00:00Z
HITS = [
    (FIRST + quarter * 900, merchant, product, promoter, channel, number, label, 1, 2, 3, 4, b"")
    for quarter in (0, 1, 95, 96, 3_000)
    for merchant, product in (("shop", "tea"), ("shop", "silk"), ("paper", "ink"))
    for promoter, channel in (("ann", "web"), ("bob", ""))
    for number, label in ((0, ""), (1, "red"))
]
ORDERS = [(*row[:7], "CNY", 1, 1_000, 100) for row in HITS]


def contents(connection: Connection) -> list[list[tuple[Any, ...]]]:
    return [[tuple(row) for row in connection.execute(select(t).order_by(*t.primary_key.columns))] for t in TABLES]


def test_an_older_database_gets_its_days_and_cuts_when_it_is_upgraded(database: URL) -> None:
    books = engine.open_writer(database)
    older = Config()
    older.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with books.begin() as connection:
        older.attributes["connection"] = connection
        command.upgrade(older, "0003")
        rollups.ROLLUPS.add(connection, [(*row[:7], 0, *row[7:]) for row in HITS])
        rollups.ORDERS.run(connection, ORDERS)
    migrations.upgrade(books)
    with books.begin() as connection:
        upgraded = contents(connection)
        for table in (*TABLES, schema.rollups, schema.order_rollups):
            connection.execute(delete(table))
        rollups.add_rollups(connection, HITS)
        rollups.add_orders(connection, ORDERS)
        assert contents(connection) == upgraded
    books.dispose()


def test_batches_add_up_and_partitions_stand_apart(writer: Engine) -> None:
    with writer.begin() as connection:
        for part in (HITS[::2], HITS[1::2]):
            rollups.add_rollups(connection, part)
            rollups.add_rollups(connection, part, partition=3)
        whole = schema.hit_cuts.c
        rows = connection.execute(
            select(whole.partition, whole.clicks).where(whole.cut == cuts.WHOLE, whole.span == cuts.DAY)
        )
        # 6 of each quarter-hour that are of all labels, of 2 clicks each
        assert sorted(rows) == [(0, 12), (0, 12), (0, 36), (3, 12), (3, 12), (3, 36)]


def test_each_cut_has_the_whole_of_its_dimensions(writer: Engine) -> None:
    with writer.begin() as connection:
        rollups.add_orders(connection, ORDERS)
        columns = schema.order_cuts.c
        found = select(columns.cut, columns.merchant, columns.value, columns.bucket, columns.sales)
        day = connection.execute(found.where(columns.span == cuts.DAY, columns.bucket == FIRST))
        rows = {tuple(row) for row in day}
    assert rows == {
        (cuts.WHOLE, "", "", FIRST, 18_000),
        (cuts.MERCHANT, "shop", "", FIRST, 12_000),
        (cuts.MERCHANT, "paper", "", FIRST, 6_000),
        *((cuts.PRODUCT, m, p, FIRST, 6_000) for m, p in (("shop", "tea"), ("shop", "silk"), ("paper", "ink"))),
        *((cuts.CHANNEL, "", channel, FIRST, 9_000) for channel in ("", "web")),
        *((cuts.MERCHANT_CHANNEL, "shop", channel, FIRST, 6_000) for channel in ("", "web")),
        *((cuts.MERCHANT_CHANNEL, "paper", channel, FIRST, 3_000) for channel in ("", "web")),
    }
