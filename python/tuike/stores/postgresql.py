"""What psycopg is told: numbers are integers, and texts have no NUL, which PostgreSQL does not keep."""

from typing import Any

import psycopg
from psycopg.adapt import Loader
from psycopg.types.string import StrDumperUnknown


class _Whole(Loader):
    """Sums of BIGINT come as NUMERIC; ours are of integers."""

    def load(self, data: Any) -> int:
        return int(bytes(data))


class _Text(StrDumperUnknown):
    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


def prepare(connection: "psycopg.Connection[Any]") -> None:
    connection.adapters.register_loader("numeric", _Whole)
    connection.adapters.register_dumper(str, _Text)
