"""Brings a database to this program's schema, at each start of the processor."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, select, text

from tuike.data import DataError
from tuike.stores.schema import metadata

LOCK = 0x7475696B65
"""Of PostgreSQL's advisory locks: one process at a time brings a database to its schema."""
LOCK_NAME = "tuike-migrations"
LOCK_S = 60


def upgrade(engine: Engine) -> None:
    """Runs what is missing, all of it or nothing. Raises DataError for a database of a newer program."""
    config = Config()
    # the option is read with % interpolation
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with engine.begin() as connection:
        _alone(connection)
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in known:
            raise DataError(f"{engine.url.database}: written by a newer tuike (schema {current}); upgrade tuike")
        if current is None and connection.dialect.name == "mysql":
            _clear(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if connection.dialect.name == "mysql":
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": LOCK_NAME})


def _alone(connection: Connection) -> None:
    """Waits for whoever else is at it; the end of the transaction, or of the connection, gives it back."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    elif connection.dialect.name == "mysql":
        lock = {"name": LOCK_NAME, "most": LOCK_S}
        if connection.scalar(text("SELECT GET_LOCK(:name, :most)"), lock) != 1:
            raise DataError(f"another process has been making the tables for {LOCK_S} s; stop it and start again")


def _clear(connection: Connection) -> None:
    """MySQL makes tables one by one: those of a first start that was killed are made again."""
    there = set(inspect(connection).get_table_names()) & set(metadata.tables)
    tables = [metadata.tables[name] for name in sorted(there)]
    for table in tables:
        if connection.execute(select(table).limit(1)).first() is not None:
            raise DataError(f"table {table.name} has rows, and the database says of no schema; choose an empty one")
    metadata.drop_all(connection, tables)
