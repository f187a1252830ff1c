"""`tuike migrate`: moves the books of a stopped instance from SQLite to a server, and proves that they are equal.

A run that was killed is run again, and goes on. The server's database must have nothing of its own: a note in it says
whose move is under way, until the last transaction puts the instance's own `meta` in its place."""

from contextlib import ExitStack
from dataclasses import dataclass

from sqlalchemy import URL, Connection, Engine, select

from tuike.data import Data, DataError
from tuike.faults import Found
from tuike.stores import engine, meta, migrations, moving
from tuike.stores.moving import Told
from tuike.stores.schema import metadata

NOTE = "moving"
"""The secret's hash of the instance that is being moved."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How many rows and tables are equal; whether they had been before."""

    rows: int
    tables: int
    before: bool


def migrate(data: Data, to: URL, told: Told) -> Moved:
    """Raises DataInUse where the instance runs, DataError where the database is another's, Found where they differ."""
    if not data.books.exists():
        raise DataError(f"{data.root}: no books yet; start with `--database` at once")
    with ExitStack() as held:
        for name in ("lock", "processor.lock", "import.lock"):
            held.enter_context(data.lock(name))
        _to_this_schema(data)
        source, target = engine.reader(data.books), engine.open_writer(to)
        held.callback(source.dispose)
        held.callback(target.dispose)
        migrations.upgrade(target)
        with source.begin() as here:
            before = not _begin(here, target, data, to)
            if not before:
                moving.move(here, target, told)
            return Moved(_check(here, target), len(metadata.tables), before)


def _to_this_schema(data: Data) -> None:
    books = engine.writer(data.books)
    migrations.upgrade(books)
    books.dispose()


def _begin(here: Connection, target: Engine, data: Data, to: URL) -> bool:
    """Notes whose move it is. False: all is there already. Raises DataError where the database is not empty."""
    with target.begin() as there:
        noted = meta.read(there, NOTE)
        if noted is None and any(there.execute(select(table).limit(1)).first() for table in metadata.tables.values()):
            if any(moving.differs(here, there, table) for table in metadata.sorted_tables):
                raise DataError(f"{engine.shown(to)}: it has books already; name an empty database")
            return False
        if noted not in (None, data.secret_sum):
            raise DataError(f"{engine.shown(to)}: another instance is being moved there; name an empty database")
        if noted is None:
            meta.write(there, NOTE, data.secret_sum)
    return True


def _check(here: Connection, target: Engine) -> int:
    """How many rows both have. Raises Found."""
    rows = 0
    with target.begin() as there:
        for table in metadata.sorted_tables:
            mine, theirs = moving.digest(here, table), moving.digest(there, table)
            if mine != theirs:
                raise Found(f"table {table.name}", f"{mine[0]} rows here and {theirs[0]} there are not the same")
            rows += mine[0]
    return rows
