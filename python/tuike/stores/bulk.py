"""Many rows with one statement, as tuples: what SQLAlchemy does for each row's parameters costs more than SQLite.

A server is given many rows in each statement, since each of its answers takes longer than a row."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import count
from tempfile import TemporaryFile
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    LargeBinary,
    Table,
    Text,
    bindparam,
    literal_column,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

from tuike.stores.dialects import Changes, upsert

Row = tuple[Any, ...]
Statement = ClauseElement | Callable[[str], ClauseElement]
"""One for all, or what gives it for a dialect's name."""

# Of one statement to a server.
ROWS = 500
ARRAYS = 10_000
TEXT_BYTES = 4 << 20
ROWS_PER_FETCH = 2_000

NONE: ColumnElement[int] = literal_column("0")
"""Of rows passed over, and such: said as text, since a lookup has no parameters but its own."""

_CURSORS = count(1)


class Bulk:
    """A statement that is compiled once for each dialect. Rows have its parameters in the order of `names`."""

    def __init__(self, statement: Statement, names: Sequence[str]) -> None:
        self._statement = statement
        self.names = tuple(names)
        self._compiled = cache(self._compile)

    def run(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Runs it for each row, in one call of the driver; how many rows of the table that touched, where it is an
        update."""
        if not rows:
            return 0
        sql, order = self._compiled(connection.dialect)
        if order is not None:
            rows = [tuple([row[place] for place in order]) for row in rows]
        if connection.dialect.name == "mysql" and sql.startswith("DELETE"):
            return self._delete(connection, sql, rows)
        return connection.exec_driver_sql(sql, list(rows)).rowcount

    def _delete(self, connection: Connection, sql: str, rows: Sequence[Row]) -> int:
        """MySQL answers each statement before it takes the next: one deletes what any of many rows says."""
        head, where, condition = sql.partition(" WHERE ")
        count = 0
        for start in range(0, len(rows), ROWS):
            some = rows[start : start + ROWS]
            text = f"{head}{where}{' OR '.join([f'({condition})'] * len(some))}"
            count += connection.exec_driver_sql(text, tuple([value for row in some for value in row])).rowcount
        return count

    def _compile(self, dialect: Dialect) -> tuple[str, list[int] | None]:
        return _compiled(self._statement, self.names, dialect)


class Inserts(Bulk):
    """Inserts of whole rows of a table. Of rows with the same key in one call `merged` makes one, given the earlier and
    the later; without it there are none."""

    def __init__(self, statement: Statement, table: Table, merged: Callable[[Row, Row], Row] | None = None) -> None:
        names = [column.name for column in table.columns]
        super().__init__(statement, names)
        self._merged = merged
        self._keys = [names.index(column.name) for column in table.primary_key.columns]
        self._long = [n for n, column in enumerate(table.columns) if isinstance(column.type, Text | LargeBinary)]
        self._table = table
        self._arrays = cache(self._of_arrays)

    def run(self, connection: Connection, rows: Sequence[Row]) -> int:
        if connection.dialect.name == "sqlite":
            return super().run(connection, rows)
        once = self._once(rows)
        if connection.dialect.name == "postgresql":
            self._run_arrays(connection, once)
        else:
            # PyMySQL makes one text of many rows
            super().run(connection, once)
        return len(once)

    def _run_arrays(self, connection: Connection, rows: Sequence[Row]) -> None:
        sql = self._arrays(connection.dialect)
        for some in self._portions(rows):
            connection.exec_driver_sql(sql, tuple([list(column) for column in zip(*some, strict=True)]))

    def _of_arrays(self, dialect: Dialect) -> str:
        """One parameter for each column, so that the statement is the same however many rows there are."""
        head, tail = _parted(self._compiled(dialect)[0])
        arrays = ", ".join(_array(column, dialect) for column in self._table.columns)
        return f"{head} SELECT * FROM unnest({arrays}){tail}"  # noqa: S608 (columns and types are ours)

    def _once(self, rows: Sequence[Row]) -> Sequence[Row]:
        """A server's statement may have each key once."""
        merged = self._merged
        if merged is None:
            return rows
        found: dict[Row, Row] = {}
        for row in rows:
            key = tuple([row[place] for place in self._keys])
            before = found.get(key)
            found[key] = row if before is None else merged(before, row)
        return list(found.values())

    def _portions(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """The rows in parts that a server takes in one statement."""
        if not self._long:
            yield from (rows[start : start + ARRAYS] for start in range(0, len(rows), ARRAYS))
            return
        start = size = 0
        for place, row in enumerate(rows):
            size += sum([len(row[long] or "") for long in self._long])
            if place - start == ARRAYS or (size > TEXT_BYTES and place > start):
                yield rows[start:place]
                start, size = place, 0
        if start < len(rows):
            yield rows[start:]


class Lookup:
    """A query of one value that is asked for each order, so on the driver's own cursor. It is compiled once for each
    dialect, with its parameters in the order of `names`."""

    def __init__(self, statement: ClauseElement, names: Sequence[str]) -> None:
        self._statement = statement
        self.names = tuple(names)
        self._compiled = cache(self._compile)

    def find(self, connection: Connection, *values: str | int) -> Any:
        """The first value; None where there is no row."""
        rows = self.rows(connection, *values)
        return rows[0][0] if rows else None

    def rows(self, connection: Connection, *values: str | int) -> list[Row]:
        sql, order = self._compiled(connection.dialect)
        return _run(connection, sql, tuple([values[place] for place in order]))

    def _compile(self, dialect: Dialect) -> tuple[str, list[int]]:
        sql, order = _compiled(self._statement, self.names, dialect)
        return sql, list(range(len(self.names))) if order is None else order


class Standing:
    """A column's values in the rows of given primary keys. A server is asked for many at once, in words that leave it
    no choice but the primary key's index: of a table that has only begun to fill it knows too little to choose."""

    def __init__(self, table: Table, column: Column[Any]) -> None:
        self._table = table
        self._keys = list(table.primary_key.columns)
        self._column = column
        of_key = select(column).where(*(key == bindparam(key.name) for key in self._keys))
        self._one = Lookup(of_key, [key.name for key in self._keys])

    def find(self, connection: Connection, keys: Sequence[Row]) -> dict[Row, Any]:
        """Of the keys that have a row."""
        name = connection.dialect.name
        if name == "sqlite":
            # for SQLite many at once cost more than they save
            found = ((key, self._one.rows(connection, *key)) for key in keys)
            return {key: rows[0][0] for key, rows in found if rows}
        standing: dict[Row, Any] = {}
        most = ARRAYS if name == "postgresql" else ROWS
        for start in range(0, len(keys), most):
            some = keys[start : start + most]
            if name == "postgresql":
                sql, values = self._of_arrays(connection.dialect), [list(column) for column in zip(*some, strict=True)]
            else:
                sql, values = self._of_rows(connection.dialect, len(some)), [value for key in some for value in key]
            standing.update((tuple(row[:-1]), row[-1]) for row in connection.exec_driver_sql(sql, tuple(values)))
        return standing

    def _of_arrays(self, dialect: Dialect) -> str:
        """For each key the first row from it on, in the key's own order: only its index has that at hand."""
        table, column, names = self._quoted(dialect)
        arrays = ", ".join(_array(key, dialect) for key in self._keys)
        every, asked, found = (", ".join(f"{of}{name}" for name in names) for of in ("", "asked.", "standing."))
        first = f"SELECT * FROM {table} WHERE ({every}) >= ({asked}) ORDER BY {every} LIMIT 1"  # noqa: S608 (names are ours)
        return (
            f"SELECT {asked}, standing.{column} FROM unnest({arrays}) AS asked ({every}) "  # noqa: S608
            f"CROSS JOIN LATERAL ({first}) AS standing WHERE ({found}) = ({asked})"
        )

    def _of_rows(self, dialect: Dialect, rows: int) -> str:
        table, column, names = self._quoted(dialect)
        asked = ", ".join(f"asked.{name}" for name in names)
        first = ", ".join(f"%s AS {name}" for name in names)
        others = f" UNION ALL SELECT {', '.join(['%s'] * len(names))}" * (rows - 1)
        same = " AND ".join(f"standing.{name} = asked.{name}" for name in names)
        return (
            f"SELECT {asked}, standing.{column} FROM (SELECT {first}{others}) AS asked "  # noqa: S608
            f"STRAIGHT_JOIN {table} AS standing FORCE INDEX (PRIMARY) ON {same}"
        )

    def _quoted(self, dialect: Dialect) -> tuple[str, str, list[str]]:
        """The names of table, column and keys."""
        table, column, *names = map(
            dialect.identifier_preparer.quote, (self._table.name, *(one.name for one in (self._column, *self._keys)))
        )
        return table, column, names


def stream(connection: Connection, statement: ClauseElement) -> Iterator[Row]:
    """The rows of a query, however many, as the driver gives them: as they are asked for, as plain tuples."""
    sql = str(statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    driver: Any = connection.connection
    if connection.dialect.name == "postgresql":
        return _told(connection, _fetched(driver.cursor(name=f"stream_{next(_CURSORS)}", scrollable=False), sql))
    if connection.dialect.name == "mysql":
        from pymysql.cursors import SSCursor

        return _told(connection, _put_aside(driver.cursor(SSCursor), sql))
    rows: Iterator[Row] = driver.cursor().execute(sql)
    return rows


def _run(connection: Connection, sql: str, values: Row) -> list[Row]:
    """On the driver's own cursor; its errors are SQLAlchemy's all the same."""
    cursor: Any = connection.connection.cursor()
    try:
        cursor.execute(sql, values)
        rows: list[Row] = list(cursor.fetchall())
        cursor.close()
    except connection.dialect.loaded_dbapi.Error as error:
        raise as_sqlalchemys(connection, error) from error
    return rows


def _told(connection: Connection, rows: Iterator[Row]) -> Iterator[Row]:
    try:
        yield from rows
    except connection.dialect.loaded_dbapi.Error as error:
        raise as_sqlalchemys(connection, error) from error


def as_sqlalchemys(connection: Connection, error: Exception) -> BaseException:
    """An error of the driver's own cursor, as if it had been used by way of SQLAlchemy."""
    gone = connection.dialect.is_disconnect(error, connection.connection.dbapi_connection, None)  # type: ignore[arg-type]
    if gone:
        connection.invalidate(error)
    return DBAPIError.instance(
        None,
        None,
        error,
        connection.dialect.loaded_dbapi.Error,
        connection_invalidated=gone,
        dialect=connection.dialect,
    )


def _fetched(cursor: Any, sql: str) -> Iterator[Row]:
    """By a cursor of the server, which keeps what was not asked for yet."""
    with cursor:
        cursor.itersize = ROWS_PER_FETCH
        cursor.execute(sql, ())
        yield from cursor


def _put_aside(cursor: Any, sql: str) -> Iterator[Row]:
    """By way of a file: MySQL answers nothing else on the connection until all rows are read."""
    with cursor, TemporaryFile() as file:
        cursor.execute(sql, ())
        parts = 0
        while rows := cursor.fetchmany(ROWS_PER_FETCH):
            pickle.dump(rows, file, pickle.HIGHEST_PROTOCOL)
            parts += 1
        file.seek(0)
        for _ in range(parts):
            yield from pickle.load(file)


def _compiled(statement: Statement, names: Sequence[str], dialect: Dialect) -> tuple[str, list[int] | None]:
    """The driver's text, and which of `names` each of its parameters is; None: just those, in turn."""
    if not isinstance(statement, ClauseElement):
        statement = statement(dialect.name)
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)
    order = [names.index(name) for name in compiled.positiontup or ()]
    return str(compiled), None if order == list(range(len(names))) else order


def _array(column: Column[Any], dialect: Dialect) -> str:
    """A parameter that is many values of a column, in binary: texts need no escapes."""
    return f"%b::{column.type.as_generic().compile(dialect).partition('(')[0].partition(' ')[0]}[]"


def _parted(sql: str) -> tuple[str, str]:
    """What stands before and behind the values of an insert of one row."""
    head = sql.index(" VALUES (")
    start = head + len(" VALUES ")
    depth, end = 1, start + 1
    while depth:
        depth += {"(": 1, ")": -1}.get(sql[end], 0)
        end += 1
    return sql[:head], sql[end:]


def inserting(table: Table) -> Bulk:
    """Plain inserts of whole rows."""
    return Inserts(table.insert(), table)


def changing(table: Table, changes: Changes, merged: Callable[[Row, Row], Row]) -> Bulk:
    """Inserts of whole rows; where the key is there already, the row changes. `merged` says the same of two rows."""
    return Inserts(partial(upsert, table=table, changes=changes), table, merged)


def replacing(table: Table, *, keep: Sequence[str] = ()) -> Bulk:
    """Inserts of whole rows, each in place of the row with its primary key; columns in `keep` stay as they stand."""
    fixed = {column.name for column in table.primary_key.columns} | set(keep)
    kept = [column.name in keep for column in table.columns]

    def changes(new: Any) -> dict[str, Any]:
        return {column.name: new[column.name] for column in table.columns if column.name not in fixed}

    def merged(before: Row, after: Row) -> Row:
        return tuple([a if stays else b for a, b, stays in zip(before, after, kept, strict=True)])

    return changing(table, changes, merged)


def adding(table: Table, *sums: str) -> Bulk:
    """Inserts of whole rows; where the key is there already, the columns `sums` are added up."""
    summed = [column.name in sums for column in table.columns]

    def merged(before: Row, after: Row) -> Row:
        return tuple([a + b if adds else a for a, b, adds in zip(before, after, summed, strict=True)])

    return changing(table, lambda new: {name: table.c[name] + new[name] for name in sums}, merged)


def missing(table: Table) -> Bulk:
    """Inserts of whole rows whose primary keys are not there yet."""
    return changing(table, lambda new: {}, lambda before, after: before)
