"""Small facts that the folds keep of themselves, by name."""

from sqlalchemy import Connection, ScalarSelect, select

from tuike.stores.bulk import replacing
from tuike.stores.schema import meta

_WRITE = replacing(meta)


def of(key: str) -> ScalarSelect[str]:
    """A fact as a part of a statement."""
    return select(meta.c.value).where(meta.c.key == key).scalar_subquery()


def read(connection: Connection, key: str) -> str | None:
    return connection.scalar(select(of(key)))


def write(connection: Connection, key: str, value: str) -> None:
    _WRITE.run(connection, [(key, value)])
