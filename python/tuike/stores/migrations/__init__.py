"""Brings a database to this program's schema, at each start of the processor."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, select, text

from tuike.data import DataError
from tuike.stores.schema import metadata

LOCK = 0x7475696B65
"""Of PostgreSQL's advisory locks: one process at a time brings a database to its schema."""
LOCK_S = 60
MAX_LOCK_NAME = 64
"""Characters, of MySQL's locks."""


def upgrade(engine: Engine) -> None:
    """Runs what is missing, all of it or nothing. Raises DataError for a database of a newer program."""
    # not all that come with this module ever do it
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    # the option is read with % interpolation
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with engine.connect() as connection, _alone(connection), connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in known:
            raise DataError(f"{engine.url.database}: written by a newer tuike (schema {current}); upgrade tuike")
        if current is None and connection.dialect.name == "mysql":
            _clear(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """On MySQL, waits for whoever else is at it. The lock is the server's, so it has the database's name; it outlives
    the transaction, as it must, for the last version is seen after its end, and it is given back whatever the end is,
    for the connection goes back into a pool. PostgreSQL's lock ends with the transaction."""
    if connection.dialect.name != "mysql":
        yield
        return
    lock = {"name": f"tuike {connection.engine.url.database}"[:MAX_LOCK_NAME]}
    with connection.begin():
        got = connection.scalar(text("SELECT GET_LOCK(:name, :most)"), lock | {"most": LOCK_S})
    if got != 1:
        raise DataError(f"another process has been making the tables for {LOCK_S} s; stop it and start again")
    try:
        yield
    finally:
        with connection.begin():
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), lock)


def _clear(connection: Connection) -> None:
    """MySQL makes tables one by one: those of a first start that was killed are made again."""
    there = set(inspect(connection).get_table_names()) & set(metadata.tables)
    tables = [metadata.tables[name] for name in sorted(there)]
    for table in tables:
        if connection.execute(select(table).limit(1)).first() is not None:
            raise DataError(f"table {table.name} has rows, and the database says of no schema; choose an empty one")
    metadata.drop_all(connection, tables)
