"""What psycopg is told: numbers are integers, and texts have no NUL, which PostgreSQL does not keep; and COPY."""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.adapt import Loader
from psycopg.types.string import StrBinaryDumper, StrDumperUnknown
from sqlalchemy import Connection

from tuike.stores.bulk import as_sqlalchemys
from tuike.stores.leases import COPYING


class _Whole(Loader):
    """Sums of BIGINT come as NUMERIC; ours are of integers."""

    def load(self, data: Any) -> int:
        return int(bytes(data))


class _Text(StrDumperUnknown):
    def dump(self, obj: str) -> Any:
        return super().dump(_without_nul(obj))


class _BinaryText(StrBinaryDumper):
    def dump(self, obj: str) -> Any:
        return super().dump(_without_nul(obj))


def _without_nul(text: str) -> str:
    return text.replace("\0", "\ufffd") if "\0" in text else text


def prepare(connection: "psycopg.Connection[Any]") -> None:
    connection.adapters.register_loader("numeric", _Whole)
    connection.adapters.register_dumper(str, _BinaryText)
    connection.adapters.register_dumper(str, _Text)  # the last one is the default


def copy(connection: Connection, table: str, rows: Iterable[tuple[bytes, bytes]]) -> bool:
    """Adds rows of two columns of bytes. False: a key is there already, and none was added."""
    savepoint = connection.begin_nested()
    cursor: psycopg.Cursor[Any] = connection.connection.cursor()  # type: ignore[assignment]
    try:
        with cursor.copy(COPYING.format(table=table).encode()) as copying:
            copying.set_types(["bytea", "bytea"])
            for row in rows:
                copying.write_row(row)
    except psycopg.errors.UniqueViolation:
        savepoint.rollback()
        return False
    except psycopg.Error as error:
        raise as_sqlalchemys(connection, error) from error
    savepoint.commit()
    return True
