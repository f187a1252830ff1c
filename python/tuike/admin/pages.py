"""Cursor pages: `{"items": [...], "next": CURSOR | null}`.

A cursor is the sort key of the last item, so that pages stay right while rows are added.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, RowMapping, Select

from tuike.admin.problems import Problem

Body = dict[str, Any]
Key = int | str

MAX_NUMBER = 2**63 - 1  # of a column


def encode_cursor(key: Key) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode_cursor(cursor: str, kind: type[Key]) -> Key:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = msgspec.json.decode(base64.urlsafe_b64decode(padded.encode()), type=kind)
    except (binascii.Error, msgspec.DecodeError, UnicodeError) as error:
        raise Problem("bad_cursor", "`cursor` is not a `next` of this list") from error
    if isinstance(key, int) and not 0 <= key <= MAX_NUMBER:
        raise Problem("bad_cursor", "`cursor` is not a `next` of this list")
    return key


def fetch(
    connection: Connection,
    statement: Select[Any],
    key: Column[Any],
    *,
    cursor: str,
    limit: int,
    newest_first: bool = False,
) -> tuple[list[RowMapping], str | None]:
    """One page of a select, in the order of a unique `key` column, and the cursor of the next."""
    if cursor:
        after = decode_cursor(cursor, key.type.python_type)
        statement = statement.where(key < after if newest_first else key > after)
    order = key.desc() if newest_first else key.asc()
    rows = connection.execute(statement.order_by(order).limit(limit + 1)).mappings().all()
    page = list(rows[:limit])
    return page, encode_cursor(page[-1][key.name]) if len(rows) > limit else None


def page(
    connection: Connection,
    statement: Select[Any],
    key: Column[Any],
    view: Callable[[RowMapping], Body],
    *,
    cursor: str,
    limit: int,
    newest_first: bool = False,
) -> Body:
    rows, following = fetch(connection, statement, key, cursor=cursor, limit=limit, newest_first=newest_first)
    return {"items": [view(row) for row in rows], "next": following}
