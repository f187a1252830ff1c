"""`tuike query`: one SELECT on the archive's tables. It reads their files and nothing else, and writes nothing."""

import csv
import io
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Literal

from tuike.archive.stage import connect, said
from tuike.archive.tables import TABLES, Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Format = Literal["table", "csv", "ndjson"]
ROWS_PER_FETCH = 2_000
TABLE_ROWS = 1_000
"""What is shown as a table: people read no more, and its columns are as wide as the widest."""
QUERIES = ("SELECT", "EXPLAIN")

Write = Callable[[bytes], object]


class QueryError(Exception):
    """The query cannot be answered; one line."""


def query(archive: Path, sql: str, format: Format, write: Write) -> None:
    """Answers with UTF-8. Raises QueryError, and DataError where DuckDB is not installed."""
    with _opened(archive) as connection:
        import duckdb

        try:
            _check(connection, sql)
            connection.execute(sql)
            {"table": _table, "csv": _csv, "ndjson": _ndjson}[format](connection, write)
        except duckdb.Error as error:
            raise QueryError(said(error)) from error


@contextmanager
def _opened(archive: Path) -> Iterator["DuckDBPyConnection"]:
    """A view for each table; after that files of the archive may be read, and scratch written, where nobody else
    looks."""
    work = Path(mkdtemp(prefix="tuike-query-"))
    try:
        connection = connect(":memory:", work)
        try:
            for table in TABLES:
                connection.execute(f"CREATE VIEW {table.name} AS {_reading(archive, table)}")
            if archive.exists():
                connection.execute(f"SET allowed_directories = [{_quoted(str(archive))}]")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            yield connection
        finally:
            connection.close()
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _reading(archive: Path, table: Table) -> str:
    """The table with its day, a date; without a row where nothing is archived yet."""
    columns = ", ".join(table.columns)
    if not any((archive / table.name).glob(f"day=*/{table.name}.parquet")):
        nothing = ", ".join(f"NULL::{of} AS {name}" for name, of in table.columns.items())
        return f"SELECT {nothing}, NULL::DATE AS day LIMIT 0"
    files = _quoted(f"{archive}/{table.name}/day=*/{table.name}.parquet")
    return f"SELECT {columns}, day FROM read_parquet({files}, hive_partitioning = true, hive_types = {{'day': DATE}})"


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _check(connection: "DuckDBPyConnection", sql: str) -> None:
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"one query at a time, not {len(statements)}")
    if (kind := statements[0].type.name) not in QUERIES:
        raise QueryError(f"only SELECT is answered, not {kind}: the archive is read")


# --- answers ---------------------------------------------------------------------------------------


def _names(connection: "DuckDBPyConnection") -> list[str]:
    return [column[0] for column in connection.description or ()]


def _rows(connection: "DuckDBPyConnection") -> Iterator[Sequence[Any]]:
    while rows := connection.fetchmany(ROWS_PER_FETCH):
        yield from rows


def _csv(connection: "DuckDBPyConnection", write: Write) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_names(connection))
    for row in _rows(connection):
        writer.writerow([_text(value) for value in row])
        if out.tell() > ROWS_PER_FETCH:
            write(out.getvalue().encode())
            out.seek(0)
            out.truncate()
    write(out.getvalue().encode())


def _ndjson(connection: "DuckDBPyConnection", write: Write) -> None:
    import orjson

    names = _names(connection)
    for row in _rows(connection):
        document = dict(zip(names, row, strict=True))
        write(orjson.dumps(document, default=_text, option=orjson.OPT_PASSTHROUGH_DATETIME) + b"\n")


def _table(connection: "DuckDBPyConnection", write: Write) -> None:
    names = _names(connection)
    rows = []
    for row in _rows(connection):
        rows.append(row)
        if len(rows) > TABLE_ROWS:
            break
    shown = [[_text(value) for value in row] for row in rows[:TABLE_ROWS]]
    widths = [max(map(_width, column)) for column in zip(names, *shown, strict=True)]
    numbers = [all(isinstance(row[place], int | float | None) for row in rows) for place in range(len(names))]
    for line in [names, ["-" * width for width in widths], *shown]:
        cells = [
            " " * (width - _width(cell)) + cell if right else cell + " " * (width - _width(cell))
            for cell, width, right in zip(line, widths, numbers, strict=True)
        ]
        write("  ".join(cells).rstrip().encode() + b"\n")
    if len(rows) > TABLE_ROWS:
        write(f"the first {TABLE_ROWS} rows; --format csv has all\n".encode())


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds" if value.microsecond % 1000 else "milliseconds").replace(
            "+00:00", "Z"
        )
    return str(value)


def _width(text: str) -> int:
    """In a terminal's columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
