"""Engines: SQLite in the data directory, or a PostgreSQL, MySQL or MariaDB server by its URL.

A writer's transactions are of one process in SQLite (BEGIN IMMEDIATE) and of any number on a server, where rows
that were read may change (READ COMMITTED) and the compare-and-set on positions decides. A reader's see one
snapshot. SQLite's driver begins none itself: they begin where SQLAlchemy begins them."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import QueuePool, StaticPool

from tuike.data import DataError

BUSY_MS = 5_000
CACHE_KIB = 16_384
"""Of pages that a transaction changes. What is only read stays in the kernel's cache: the file is mapped."""
MAPPED = 1 << 31
"""Bytes; SQLite maps no more."""
CHECKPOINT_PAGES = 16_000
READERS = 4

SHARED_PRAGMAS = (
    f"busy_timeout={BUSY_MS}",
    "foreign_keys=ON",
    f"cache_size=-{CACHE_KIB}",
    f"mmap_size={MAPPED}",
    "temp_store=MEMORY",
)
# what is deleted is overwritten: keys and people that have to be forgotten are
WRITER_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    f"wal_autocheckpoint={CHECKPOINT_PAGES}",
    "secure_delete=ON",
)
SCRATCH_PRAGMAS = ("journal_mode=MEMORY", "synchronous=OFF")
READER_PRAGMAS = ("query_only=ON",)

WRITERS = 2
"""A server's connections of a process that writes."""
CONNECT_S = 5
LOCK_S = 30
ANSWER_S = 300
"""What a server takes longer for counts as an answer that never comes."""
WRITER = "tuike-writer"
"""The `application_name` of a writer's sessions in PostgreSQL."""
IDLE_S = 8
"""A writer that says nothing in mid-transaction for so long (it was paused) loses it, and its locks, to others. MySQL
ends a connection by which nothing was said for so long, in a transaction or not: the next use opens another."""

# How a server's URL may begin, and SQLAlchemy's name with the driver's module and the extra that brings it.
SERVERS: Mapping[str, tuple[str, str, str]] = {
    "postgresql": ("postgresql+psycopg", "psycopg", "postgresql"),
    "mysql": ("mysql+pymysql", "pymysql", "mysql"),
    "mariadb": ("mysql+pymysql", "pymysql", "mysql"),
}
# What a server says of a URL that will never do: no such user, password or database.
HOPELESS_MYSQL = (1044, 1045, 1049, 1698)
HOPELESS_POSTGRESQL = ("authentication failed", "does not exist", "no pg_hba.conf entry", "permission denied")
NO_TABLE_MYSQL = 1146
NO_TABLE_POSTGRESQL = "42P01"


def parse(text: str) -> URL:
    """A server's URL. Raises DataError, in one line, for what is none, or where its driver is not installed."""
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise DataError(f"{text!r} is no URL such as postgresql://user:password@host/name") from error
    known = SERVERS.get(url.drivername)
    if known is None or not url.database:
        raise DataError(f"{shown(url)} is none of postgresql://HOST/NAME, mysql://HOST/NAME, mariadb://HOST/NAME")
    name, module, extra = known
    if find_spec(module) is None:
        raise DataError(f"{url.drivername} needs a driver that is not installed: pip install 'tuike[{extra}]'")
    return url.set(drivername=name)


def of_file(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


def shown(url: URL) -> str:
    """A URL for people: without its password."""
    return url.render_as_string(hide_password=True)


def open_writer(url: URL) -> Engine:
    """The engine of a process that writes. In SQLite a single connection, each commit on the disk."""
    if url.get_backend_name() != "sqlite":
        return _server(url, WRITERS, "READ COMMITTED", writes=True)
    connect_args = {"check_same_thread": False, "cached_statements": 512}
    engine = create_engine(url, poolclass=StaticPool, connect_args=connect_args, hide_parameters=True)
    return _prepare(engine, (*SHARED_PRAGMAS, *WRITER_PRAGMAS), "BEGIN IMMEDIATE")


def open_reader(url: URL) -> Engine:
    """The engine of whoever only reads. The database must exist already."""
    if url.get_backend_name() != "sqlite":
        return _server(url, READERS, "REPEATABLE READ", writes=False)
    engine = create_engine(
        URL.create("sqlite", database=f"file:{url.database}", query={"mode": "rw", "uri": "true"}),
        poolclass=QueuePool,
        pool_size=READERS,
        connect_args={"check_same_thread": False},
        hide_parameters=True,
    )
    return _prepare(engine, (*SHARED_PRAGMAS, *READER_PRAGMAS), "BEGIN")


def writer(path: Path) -> Engine:
    return open_writer(of_file(path))


def reader(path: Path) -> Engine:
    return open_reader(of_file(path))


def copy(path: Path, to: Path) -> Engine:
    """The writer's engine of a copy of the database as it stands now; it may be written to meanwhile."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return writer(to)


def scratch(path: Path) -> Engine:
    """The writer's engine of a new database that nobody will miss."""
    engine = create_engine(of_file(path), poolclass=StaticPool, connect_args={"cached_statements": 512})
    return _prepare(engine, (*SHARED_PRAGMAS, *SCRATCH_PRAGMAS), "BEGIN IMMEDIATE")


def forget(books: Engine) -> bool:
    """Takes older versions of pages out of SQLite's log; outside of any transaction. False: a reader still has one."""
    if books.dialect.name != "sqlite":
        return True
    with closing(books.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout=0")  # nobody is waited for
        busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        return not busy


def exists(url: URL) -> bool:
    """Whether a database is there, with tables in it."""
    if url.get_backend_name() == "sqlite":
        return Path(url.database or "").exists()
    engine = open_reader(url)
    try:
        return inspect(engine).has_table("meta")
    finally:
        engine.dispose()


def is_away(error: BaseException) -> bool:
    """Whether a server could not be reached, went away, had no room for one more, or gave up a transaction for
    another's: what was rolled back can be tried again. Not so in SQLite: there is nothing that would come back."""
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


def is_hopeless(error: BaseException) -> bool:
    """Whether a server was reached and refuses for good: the URL has to be mended."""
    if not is_away(error) or not isinstance(error, DBAPIError):
        return False
    if _is_mysqls(error):
        return _number(error) in HOPELESS_MYSQL
    return any(words in str(error.orig) for words in HOPELESS_POSTGRESQL)


def lacks_tables(error: BaseException) -> bool:
    """Whether there are no tables yet: no processor has begun there."""
    if not isinstance(error, DBAPIError):
        return False
    return _number(error) == NO_TABLE_MYSQL if _is_mysqls(error) else _code(error) == NO_TABLE_POSTGRESQL


def said(error: BaseException) -> str:
    """What a server or its driver said, in one line."""
    words = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(words).split())


def _is_mysqls(error: DBAPIError) -> bool:
    return type(error.orig).__module__.startswith("pymysql")


def _number(error: DBAPIError) -> object:
    """MySQL's own, of an error."""
    return error.orig.args[0] if error.orig is not None and error.orig.args else None


def _code(error: DBAPIError) -> object:
    """SQLSTATE."""
    return getattr(error.orig, "sqlstate", None)


def _server(url: URL, connections: int, isolation: str, *, writes: bool) -> Engine:
    postgresql = url.get_backend_name() == "postgresql"
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=LOCK_S,
        pool_pre_ping=True,
        isolation_level=isolation,
        connect_args=_of_postgresql(writes) if postgresql else _of_mysql(),
        # Bulk and Lookup give tuples
        paramstyle="format",
        # an error's text goes to the log, and values may be of persons
        hide_parameters=True,
    )
    if postgresql:
        event.listen(engine, "connect", _speak_postgresql)
    else:
        event.listen(engine, "connect", lambda connection, _record: _speak_mysql(connection, writes))
    return engine


def _of_postgresql(writes: bool) -> dict[str, Any]:
    settings = {"lock_timeout": LOCK_S * 1000, "statement_timeout": ANSWER_S * 1000}
    if writes:
        settings["idle_in_transaction_session_timeout"] = IDLE_S * 1000
        # of an answer that is not fetched: no other timeout reaches a server that waits for its client to read
        settings["tcp_user_timeout"] = IDLE_S * 1000
    else:
        settings["default_transaction_read_only"] = 1
    named = {"application_name": WRITER} if writes else {}
    return named | {
        "connect_timeout": CONNECT_S,
        "keepalives_idle": CONNECT_S,
        "keepalives_interval": CONNECT_S,
        "keepalives_count": 2,
        "tcp_user_timeout": 3 * CONNECT_S * 1000,
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }


def _of_mysql() -> dict[str, Any]:
    from pymysql.constants import FIELD_TYPE
    from pymysql.converters import conversions

    # all numbers are integers, their sums too
    whole = {FIELD_TYPE.DECIMAL: int, FIELD_TYPE.NEWDECIMAL: int}
    timeouts = {"connect_timeout": CONNECT_S, "read_timeout": ANSWER_S, "write_timeout": ANSWER_S}
    return {"charset": "utf8mb4", "conv": {**conversions, **whole}, **timeouts}


def _speak_postgresql(connection: Any, _record: Any) -> None:
    from tuike.stores import postgresql

    postgresql.prepare(connection)


def _speak_mysql(connection: Any, writes: bool) -> None:
    mode = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION sql_mode = '{mode}', innodb_lock_wait_timeout = {LOCK_S}")
        if not writes:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            return
        cursor.execute(f"SET SESSION net_write_timeout = {IDLE_S}")  # of an answer that is not fetched
        if "MariaDB" in connection.get_server_info():
            # the server's value of one of the others would come before that for all
            names = ("idle_transaction_timeout", "idle_write_transaction_timeout", "idle_readonly_transaction_timeout")
            cursor.execute("SET SESSION " + ", ".join(f"{name} = {IDLE_S}" for name in names))
        else:
            cursor.execute(f"SET SESSION wait_timeout = {IDLE_S}")  # of its connection: it has none for transactions


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
