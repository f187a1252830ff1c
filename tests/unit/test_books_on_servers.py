"""The books on PostgreSQL and MariaDB are those on SQLite, row by row, whatever is asked and whoever is killed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from memory_kit import MemoryBooks
from pair import MINIMUM, Pair, Step
from sqlalchemy import URL, Connection, Engine, select
from test_books_against_oracle import SETUP, STEP

import sql_servers
from sql_servers import Server
from tuike.books.backlog import Item
from tuike.stores import engine, migrations, moving
from tuike.stores.bulk import Row
from tuike.stores.schema import metadata

CASES = 10


class Twin(MemoryBooks):
    """Books on a server that go on from a copy of others, and are told the same."""

    def __init__(self, made: Engine, first: MemoryBooks) -> None:
        self._made = made
        with first.engine.begin() as connection:
            moving.move(connection, made, lambda done, whole: None)
        super().__init__(None, MINIMUM)
        self.touches, self.written = first.touches, first.written
        self.open()

    def database(self, path: Path) -> Engine:
        return self._made

    def follow(self, first: MemoryBooks) -> None:
        """From now on it is told whatever the other is."""
        run, restart = first.run, first.restart

        def both(orders: Sequence[Item] = (), registry: Sequence[Item] = (), now: int = 0) -> None:
            self.crashing = first.crashing
            run(orders, registry, now)
            self.run(orders, registry, now)

        def restarted() -> None:
            restart()
            self.restart()

        first.run, first.restart = both, restarted  # type: ignore[method-assign]


@pytest.fixture(scope="module", params=sql_servers.SERVERS)
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
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(setup=SETUP, steps=st.lists(STEP, min_size=30, max_size=60))
def test_the_same_series_makes_the_same_books(server_database: URL, setup: dict[str, Any], steps: list[Step]) -> None:
    writer = engine.open_writer(server_database)
    migrations.upgrade(writer)
    sql_servers.clear(writer)
    pair = Pair(**setup)
    twin = Twin(writer, pair.real)
    twin.follow(pair.real)
    pair.play(steps)
    with pair.real.engine.begin() as connection:
        here = tables(connection)
    with writer.begin() as connection:
        there = tables(connection)
    writer.dispose()
    assert [row[-1] for row in here["transfers"]] == [row[-1] for row in there["transfers"]]
    assert here == there
