"""What psycopg is told: numbers are integers, and texts have no NUL, which PostgreSQL does not keep."""

from typing import Any

import psycopg
from psycopg.adapt import Loader
from psycopg.types.string import StrBinaryDumper, StrDumperUnknown


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
