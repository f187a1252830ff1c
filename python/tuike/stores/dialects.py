"""Where SQLite, PostgreSQL and MySQL (or MariaDB) differ: types, upserts, functions. Nothing else need ask which it is.

Texts are compared by their bytes in all three, so that rows have one order: in PostgreSQL by the collation "C", in
MySQL by a binary one that does not pad with spaces."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Insert, LargeBinary, String, Table, Text, and_, or_
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

Changes = Callable[[Any], Mapping[str, Any]]
"""Given what was to be inserted: the columns that change where its key is there already."""


def upsert(dialect: str, table: Table, changes: Changes) -> Insert:
    """An insert of whole rows; where a row's primary key is there, it changes, or with no changes stays."""
    keys = [column.name for column in table.primary_key.columns]
    if dialect == "mysql":
        mine = mysql.insert(table)
        return mine.on_duplicate_key_update(dict(changes(mine.inserted)) or {keys[0]: table.c[keys[0]]})
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    changed = changes(statement.excluded)
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=keys)
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


class json_array(FunctionElement[str]):
    """A JSON array of its arguments, as text."""

    type = Text()
    inherit_cache = True


@compiles(json_array)
def _array(element: Any, compiler: Any, **how: Any) -> str:
    return f"json_array({compiler.process(element.clauses, **how)})"


@compiles(json_array, "postgresql")
def _array_of_postgresql(element: Any, compiler: Any, **how: Any) -> str:
    return f"CAST(json_build_array({compiler.process(element.clauses, **how)}) AS TEXT)"


class further(FunctionElement[Any]):
    """Whether a pair of columns is greater than a pair of values, the first deciding: by a range of their index.

    It has no type: of a boolean MySQL would be asked whether it is 1, and look through the whole index."""

    type = NullType()
    inherit_cache = True


@compiles(further)
def _pair(element: Any, compiler: Any, **how: Any) -> str:
    a, b, x, y = (compiler.process(clause, **how) for clause in element.clauses)
    return f"(({a}, {b}) > ({x}, {y}))"


@compiles(further, "mysql")
def _pair_of_mysql(element: Any, compiler: Any, **how: Any) -> str:
    """Of pairs it looks through the whole index."""
    first, second, least, after = element.clauses
    either = or_(first > least, and_(first == least, second > after))
    return f"({compiler.process(either, **how)})"


@compiles(String, "postgresql")
def _string(type_: String, compiler: Any, **how: Any) -> str:
    return f'{compiler.visit_VARCHAR(type_, **how)} COLLATE "C"'


@compiles(Text, "mysql")
def _text(type_: Text, compiler: Any, **how: Any) -> str:
    return "LONGTEXT"


@compiles(LargeBinary, "mysql")
def _bytes(type_: LargeBinary, compiler: Any, **how: Any) -> str:
    return f"VARBINARY({type_.length})" if type_.length else "LONGBLOB"


@compiles(CreateTable, "mysql")
def _table(element: CreateTable, compiler: Any, **how: Any) -> str:
    collation = "utf8mb4_nopad_bin" if compiler.dialect.is_mariadb else "utf8mb4_0900_bin"
    made = compiler.visit_create_table(element, **how).rstrip()
    return f"{made} ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={collation}"
