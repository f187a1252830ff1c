"""The books on PostgreSQL and MariaDB are those on SQLite, row by row, and the oracle's after every step."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pair import PRODUCTS, Pair
from sqlalchemy import URL, Connection, select
from test_books_against_oracle import GOODS, MERCHANTS, STEP, take

import sql_servers
from sql_servers import Server
from tuike.stores import engine, migrations
from tuike.stores.bulk import Row
from tuike.stores.schema import metadata

CASES = 12


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def server_database(request: pytest.FixtureRequest, sql_server: Callable[[str], Server]) -> URL:
    return engine.parse(sql_server(request.param).create())


def tables(connection: Connection) -> dict[str, list[Row]]:
    """Every row of every table."""
    return {
        name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
        for name, table in metadata.tables.items()
    }


@settings(
    max_examples=CASES,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    merchants=st.fixed_dictionaries({"shop": MERCHANTS, "mart": MERCHANTS}),
    products=st.fixed_dictionaries(dict.fromkeys(PRODUCTS, GOODS)),
    steps=st.lists(STEP, min_size=30, max_size=60),
)
def test_the_same_series_makes_the_same_books(
    server_database: URL,
    merchants: dict[str, Any],
    products: dict[str, Any],
    steps: list[tuple[str, dict[str, Any]]],
) -> None:
    writer = engine.open_writer(server_database)
    migrations.upgrade(writer)
    sql_servers.clear(writer)
    writer.dispose()
    made = []
    with TemporaryDirectory() as directory:
        for database in (None, server_database):
            pair = Pair(Path(directory), merchants, products, database)
            for name, how in steps:
                take(pair, name, how)
                pair.check()
            with pair.real.engine.begin() as connection:
                made.append(tables(connection))
            pair.real.engine.dispose()
    here, there = made
    assert [row[-1] for row in here["transfers"]] == [row[-1] for row in there["transfers"]]
    assert here == there
