"""Copies of whole databases, from any engine to any other, table by table."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from sqlalchemy import URL, Boolean, Connection, Engine, Table, delete, func, select

from tuike.stores import engine, migrations
from tuike.stores.bulk import Row, inserting, stream
from tuike.stores.schema import booked, hit_counts, hit_cuts, hit_days, meta, metadata, rollups

ROWS = 5_000
"""Of one transaction's part, and of one step of the progress."""
# what the books' decisions ask nothing of
HITS = (rollups, hit_days, hit_cuts, hit_counts, booked)

Told = Callable[[int, int], None]
"""Is told how many rows are done, and of how many."""


def copy(url: URL, to: Path) -> Engine:
    """The writer's engine of a copy of the books as they stand now, for trials; they may be written to meanwhile."""
    if url.get_backend_name() == "sqlite":
        return engine.copy(Path(url.database or ""), to)
    made, source = engine.scratch(to), engine.open_reader(url)
    try:
        migrations.upgrade(made)
        with source.begin() as there, made.begin() as here:
            for table in metadata.sorted_tables:
                if table not in HITS:
                    for rows in _portions(there, table):
                        inserting(table).run(here, rows)
    finally:
        source.dispose()
    return made


def move(source: Connection, target: Engine, told: Told, more: Callable[[], None] = lambda: None) -> int:
    """Copies every table into a migrated database, each in one transaction, `meta` as the last, behind what `more`
    does; what is there already, and equal, stays. How many rows there are. A run that was killed is gone on with by
    the next."""
    tables = [*(table for table in metadata.sorted_tables if table is not meta), meta]
    counts = {table.name: _count(source, table) for table in tables}
    whole, done = sum(counts.values()), 0
    for table in tables:
        if table is meta:
            more()
        with target.begin() as connection:
            if _count(connection, table) == counts[table.name] and not differs(source, connection, table):
                done += counts[table.name]
                told(done, whole)
                continue
            connection.execute(delete(table))
            insert = inserting(table)
            for rows in _portions(source, table):
                insert.run(connection, rows)
                done += len(rows)
                told(done, whole)
    return whole


def differs(one: Connection, other: Connection, table: Table) -> bool:
    """Whether two databases have other rows in a table."""
    return digest(one, table) != digest(other, table)


def digest(connection: Connection, table: Table) -> tuple[int, bytes]:
    """How many rows a table has, and a hash of them in the order of their keys: the same on every engine."""
    count, hash = 0, hashlib.sha256()
    for rows in _portions(connection, table):
        count += len(rows)
        for row in rows:
            hash.update(repr(row).encode())
    return count, hash.digest()


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _portions(connection: Connection, table: Table) -> Iterator[Sequence[Row]]:
    """A table's rows by their keys, some at a time, as the same values on every engine."""
    rows = stream(connection, select(table).order_by(*table.primary_key.columns))
    places = [place for place, column in enumerate(table.columns) if isinstance(column.type, Boolean)]
    read: Iterable[Row] = rows if not places else (_with_booleans(row, places) for row in rows)
    while some := [tuple(row) for row in islice(read, ROWS)]:
        yield some


def _with_booleans(row: Row, places: Sequence[int]) -> Row:
    """SQLite and MySQL keep them as numbers."""
    return tuple([bool(value) if place in places else value for place, value in enumerate(row)])
