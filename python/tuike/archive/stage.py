"""Rows on their way into a file: they are laid out in a scratch database on the disk, compared with what the books say,
and written as Parquet under a name that readers pass over; the file gets its own name when it is on the disk."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from tuike import views
from tuike.archive.tables import TIME, Table
from tuike.data import PRIVATE, DataError
from tuike.faults import Found

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "256MB"
"""What DuckDB takes at most."""
ROWS_PER_APPEND = 10_000
WORK = "_work-"
"""How a directory for scratch begins; readers of partitions pass over it."""
DAY_FOLDER = re.compile(r"day=(\d{4}-\d\d-\d\d)")

Values = Sequence[Any]


def connect(path: str, work: Path) -> "DuckDBPyConnection":
    """DuckDB, with its own scratch in `work`. Raises DataError where it is not installed."""
    try:
        import duckdb
    except ImportError as error:
        raise DataError("the archive needs DuckDB, which is not installed: pip install 'tuike[archive]'") from error
    settings: dict[str, Any] = {
        "memory_limit": MEMORY,
        "threads": 1,
        "temp_directory": str(work),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(path, config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def file_of(root: Path, table: Table, day: int) -> Path:
    """Of a day since 1970-01-01."""
    return root / table.name / f"day={views.day(day)}" / f"{table.name}.parquet"


def days_of(root: Path, table: Table) -> list[int]:
    """Days that have a file."""
    found = []
    for path in sorted((root / table.name).glob(f"day=*/{table.name}.parquet")):
        if named := DAY_FOLDER.fullmatch(path.parent.name):
            found.append(views.day_number(date.fromisoformat(named[1])))
    return found


@contextmanager
def staging(root: Path) -> Iterator["Stage"]:
    """A stage for as long as it is entered. Scratch that a killed one has left is taken away: the archive's lock is
    held. Raises DataError for what DuckDB cannot do."""
    for left in root.glob(f"{WORK}*"):
        shutil.rmtree(left)
    work = Path(mkdtemp(prefix=WORK, dir=root))
    try:
        connection = connect(str(work / "stage"), work)
        import duckdb

        try:
            yield Stage(root, connection)
        except duckdb.Error as error:
            raise DataError(f"{root}: {said(error)}") from error
        finally:
            connection.close()
    finally:
        shutil.rmtree(work, ignore_errors=True)


def said(error: Exception) -> str:
    """What DuckDB says, in one line, without the query that it shows beneath."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())


class Stage:
    """One table's rows of one day at a time."""

    def __init__(self, root: Path, connection: "DuckDBPyConnection") -> None:
        self.root = root
        self.connection = connection

    def begin(self, table: Table) -> None:
        """An empty table of its name, with times as milliseconds."""
        columns = ", ".join(f"{name} {'BIGINT' if of == TIME else of}" for name, of in table.columns.items())
        self.connection.execute(f"CREATE OR REPLACE TABLE {table.name} ({columns})")

    def add(self, table: str, rows: Iterable[Values]) -> int:
        """Lays rows out, however many; how many they were."""
        rows = iter(rows)
        count = 0
        appender = self.connection.appender(table)
        while part := list(islice(rows, ROWS_PER_APPEND)):
            appender.append_rows(part)
            count += len(part)
        appender.flush()
        return count

    def load(self, table: Table, day: int) -> None:
        """Lays out what a day's file has."""
        self.begin(table)
        columns = ", ".join(f"epoch_ms({name})" if of == TIME else name for name, of in table.columns.items())
        file = str(file_of(self.root, table, day))
        self.connection.execute(f"INSERT INTO {table.name} SELECT {columns} FROM read_parquet(?)", [file])

    def rows(self, table: Table, day: int) -> int | None:
        """How many a day's file has; None: there is none."""
        file = file_of(self.root, table, day)
        if not file.exists():
            return None
        return int(self._one("SELECT num_rows FROM parquet_file_metadata(?)", str(file)))

    def said(self, table: Table, day: int, key: str) -> str:
        """What is noted in a day's file under a key; empty where nothing is, or there is no file."""
        file = file_of(self.root, table, day)
        if not file.exists():
            return ""
        found = self._one("SELECT value FROM parquet_kv_metadata(?) WHERE decode(key) = ?", str(file), key)
        return "" if found is None else bytes(found).decode()

    def count(self, file: Path, where: str, values: Sequence[str] = ()) -> int:
        """How many rows of a file meet a condition."""
        found = self._one(f"SELECT count(*) FROM read_parquet(?) WHERE {where}", str(file), *values)
        return int(found)

    def _one(self, statement: str, *values: str) -> Any:
        row = self.connection.execute(statement, list(values)).fetchone()
        return None if row is None else row[0]

    def compare(self, day: int, made: str, told: Iterable[Values], keys: Sequence[str], figures: Sequence[str]) -> None:
        """Sums of what is laid out (`made`, a query) are those that the books tell of, row by their keys and figures.
        Raises Found at the first difference."""
        columns = ", ".join([*(f"{key} VARCHAR" for key in keys), *(f"{name} BIGINT" for name in figures)])
        self.connection.execute(f"CREATE OR REPLACE TABLE told ({columns})")
        self.add("told", told)
        by = ", ".join(keys)
        left = f"SELECT {by}, {', '.join(figures)} FROM ({made})"
        right = f"SELECT {by}, {', '.join(f'-{name}' for name in figures)} FROM told"
        sums = ", ".join(f"sum({name})::BIGINT AS {name}" for name in figures)
        differs = " OR ".join(f"sum({name}) <> 0" for name in figures)
        query = (
            f"SELECT {by}, {sums} FROM ({left} UNION ALL {right}) GROUP BY {by} HAVING {differs} ORDER BY ALL LIMIT 1"
        )
        row = self.connection.execute(query).fetchone()
        if row is not None:
            place = " ".join(filter(None, [views.day(day), *row[: len(keys)]]))
            more = ", ".join(f"{name} {by:+}" for name, by in zip(figures, row[len(keys) :], strict=True) if by)
            raise Found(place, f"beside what the books' reports have: {more}")

    def publish(self, table: Table, day: int, said: Mapping[str, str] | None = None) -> None:
        """Writes what is laid out as the day's file, durably, in place of the one before."""
        file = file_of(self.root, table, day)
        made = [folder for folder in (file.parent.parent, file.parent) if not folder.exists()]
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"_{file.name}.new")
        columns = ", ".join(
            f"make_timestamp({name} * 1000)::TIMESTAMPTZ AS {name}" if of == TIME else name
            for name, of in table.columns.items()
        )
        noted = ", ".join(f"'{key}': '{text}'" for key, text in (said or {}).items())
        options = "FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false" + (
            f", KV_METADATA {{{noted}}}" if said else ""
        )
        target = str(draft).replace("'", "''")
        self.connection.execute(f"COPY (SELECT {columns} FROM {table.name}) TO '{target}' ({options})")
        draft.chmod(PRIVATE)
        _sync(draft)
        draft.rename(file)
        _sync(file.parent)
        for folder in made:
            _sync(folder.parent)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
