"""Many rows with one statement, as tuples: what SQLAlchemy does for each row's parameters costs more than SQLite."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

Row = tuple[Any, ...]


class Bulk:
    """A statement that is compiled once for each dialect. Rows have its parameters in the order of `names`."""

    def __init__(self, statement: ClauseElement, names: Sequence[str]) -> None:
        self._statement = statement
        self.names = tuple(names)
        self._compiled = cache(self._compile)

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Runs it for each row, in one call of the driver."""
        if not rows:
            return
        sql, order = self._compiled(connection.dialect)
        if order is not None:
            rows = [tuple([row[place] for place in order]) for row in rows]
        connection.exec_driver_sql(sql, list(rows))

    def _compile(self, dialect: Dialect) -> tuple[str, list[int] | None]:
        return _compiled(self._statement, self.names, dialect)


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
        cursor = connection.connection.cursor()
        cursor.execute(sql, tuple([values[place] for place in order]))
        rows: list[Row] = list(cursor.fetchall())
        cursor.close()
        return rows

    def _compile(self, dialect: Dialect) -> tuple[str, list[int]]:
        sql, order = _compiled(self._statement, self.names, dialect)
        return sql, list(range(len(self.names))) if order is None else order


def stream(connection: Connection, statement: ClauseElement) -> Iterator[Row]:
    """The rows of a query, however many, as the driver gives them: as they are asked for, as plain tuples."""
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    cursor = connection.connection.cursor()
    cursor.execute(str(compiled))
    rows: Iterator[Row] = iter(cursor)  # type: ignore[call-overload]  # drivers' cursors are iterable
    return rows


def _compiled(statement: ClauseElement, names: Sequence[str], dialect: Dialect) -> tuple[str, list[int] | None]:
    """The driver's text, and which of `names` each of its parameters is; None: just those, in turn."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)
    order = [names.index(name) for name in compiled.positiontup or ()]
    return str(compiled), None if order == list(range(len(names))) else order


def inserting(table: Table) -> Bulk:
    """Plain inserts of whole rows."""
    return Bulk(table.insert(), [column.name for column in table.columns])


def replacing(table: Table, *, keep: Sequence[str] = ()) -> Bulk:
    """Inserts of whole rows, each in place of the row with its primary key; columns in `keep` stay as they stand."""
    statement = insert(table)
    keys = [column.name for column in table.primary_key.columns]
    fixed = {*keys, *keep}
    changed = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in fixed}
    return Bulk(
        statement.on_conflict_do_update(index_elements=keys, set_=changed), [column.name for column in table.columns]
    )


def adding(table: Table, *sums: str) -> Bulk:
    """Inserts of whole rows; where the key is there already, the columns `sums` are added up."""
    statement = insert(table)
    keys = [column.name for column in table.primary_key.columns]
    summed = {name: table.c[name] + statement.excluded[name] for name in sums}
    return Bulk(
        statement.on_conflict_do_update(index_elements=keys, set_=summed), [column.name for column in table.columns]
    )


def missing(table: Table) -> Bulk:
    """Inserts of whole rows whose primary keys are not there yet."""
    return Bulk(insert(table).on_conflict_do_nothing(), [column.name for column in table.columns])
