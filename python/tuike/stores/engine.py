"""SQLite engines: one writer, any number of readers.

The driver's own transaction handling is switched off, so that a transaction begins where SQLAlchemy
begins it: the writer's takes the write lock at once (BEGIN IMMEDIATE), a reader's sees one snapshot.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool, StaticPool

BUSY_MS = 5_000
CACHE_KIB = 65_536
CHECKPOINT_PAGES = 4_000
READERS = 4

SHARED_PRAGMAS = (f"busy_timeout={BUSY_MS}", "foreign_keys=ON", f"cache_size=-{CACHE_KIB}", "temp_store=MEMORY")
WRITER_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", f"wal_autocheckpoint={CHECKPOINT_PAGES}")
SCRATCH_PRAGMAS = ("journal_mode=MEMORY", "synchronous=OFF")
READER_PRAGMAS = ("query_only=ON",)


def writer(path: Path) -> Engine:
    """The engine of the one process that writes: a single connection, each commit on the disk."""
    engine = create_engine(
        f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False, "cached_statements": 512}
    )
    return _prepare(engine, (*SHARED_PRAGMAS, *WRITER_PRAGMAS), "BEGIN IMMEDIATE")


def reader(path: Path) -> Engine:
    """The engine of whoever only reads. The database must exist already."""
    engine = create_engine(
        f"sqlite:///file:{path}?mode=rw&uri=true",
        poolclass=QueuePool,
        pool_size=READERS,
        connect_args={"check_same_thread": False},
    )
    return _prepare(engine, (*SHARED_PRAGMAS, *READER_PRAGMAS), "BEGIN")


def copy(path: Path, to: Path) -> Engine:
    """The writer's engine of a copy of the database as it stands now; it may be written to meanwhile."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return writer(to)


def scratch(path: Path) -> Engine:
    """The writer's engine of a new database that nobody will miss."""
    engine = create_engine(f"sqlite:///{path}", poolclass=StaticPool, connect_args={"cached_statements": 512})
    return _prepare(engine, (*SHARED_PRAGMAS, *SCRATCH_PRAGMAS), "BEGIN IMMEDIATE")


def _prepare(engine: Engine, pragmas: tuple[str, ...], begin: str) -> Engine:
    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
