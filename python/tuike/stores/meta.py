"""Small facts that the folds keep of themselves, by name."""

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from tuike.stores.schema import meta


def read(connection: Connection, key: str) -> str | None:
    found: str | None = connection.scalar(select(meta.c.value).where(meta.c.key == key))
    return found


def write(connection: Connection, key: str, value: str) -> None:
    row = {"key": key, "value": value}
    connection.execute(insert(meta).on_conflict_do_update(index_elements=["key"], set_=row), row)
