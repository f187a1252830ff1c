"""Brings a database to this program's schema, at each start of the processor."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from tuike.data import DataError


def upgrade(engine: Engine) -> None:
    """Runs what is missing, all of it or nothing. Raises DataError for a database of a newer program."""
    config = Config()
    # the option is read with % interpolation
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with engine.begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in known:
            raise DataError(f"{engine.url.database}: written by a newer tuike (schema {current}); upgrade tuike")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
