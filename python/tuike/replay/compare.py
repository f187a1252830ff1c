"""Two databases, table by table and row by row."""

from collections.abc import Container
from itertools import zip_longest
from typing import Any

from sqlalchemy import Connection, Table, select

from tuike import _core, retention
from tuike.books.bookkeeper import NUMBER_KEY
from tuike.faults import Found
from tuike.stores import meta
from tuike.stores.bulk import Row, stream
from tuike.stores.schema import erasures, metadata

# Not derived from the journal alone: how far folds have come in which transactions, random keys, who holds which lease
# on which machine, what was sent to whom. Tiles are made of the ledger when there is time for it, and `verify` makes
# them again, as it does the sums for /metrics, whose rows of nothing depend on what was posted together.
SUMS = ("level_sums", "set_aside_sums")
MACHINES = ("leases", "producers", "edges", "registry_changes", "lost")
OUTBOX = ("webhook_positions", "webhook_deliveries")
NOT_DERIVED = ("meta", "positions", "daily_keys", "tiles", "booked", "erasure_journals", *SUMS, *OUTBOX, *MACHINES)
# When damage was found is no event, nor how far an erasure has come; sketches of the same visitors may differ in their
# bytes, and have no visitor taken out of them.
ASKED_FOR = ("id", "number", "kind", "merchant", "at")
PASSED_OVER = {
    "damage": ("found",),
    "erasures": tuple(column.name for column in erasures.columns if column.name not in ASKED_FOR),
}
SKETCHED = ("rollups", "hit_days", "hit_cuts")
NEVER = 1 << 62
SHOWN = 60


def compare(live: Connection, made: Connection) -> str:
    """Raises Found at the first difference."""
    numbers = [meta.read(connection, NUMBER_KEY) for connection in (live, made)]
    if numbers[0] != numbers[1]:
        raise Found("books", f"they are at number {numbers[0]}, the journal's at {numbers[1]}")
    tables = [table for table in metadata.sorted_tables if table.name not in NOT_DERIVED]
    since = visitors_since(live)
    rows = sum(_compare(live, made, table, PASSED_OVER.get(table.name, ()), since) for table in tables)
    return f"{len(tables)} tables, {rows} rows"


def visitors_since(live: Connection) -> int:
    """From which instant (s) on the visitors of hits can be counted again: earlier ones are kept no longer, and once
    somebody was forgotten whoever had one id has had two."""
    if live.execute(select(erasures.c.id).limit(1)).first():
        return NEVER
    return retention.noted(live).get("before", 0) // 1000


def _compare(live: Connection, made: Connection, table: Table, passed_over: Container[str], since: int) -> int:
    """Sketches are of rows that begin `since`."""
    columns = [column for column in table.columns if column.name not in passed_over]
    keys = list(table.primary_key.columns)
    places = [columns.index(key) for key in keys]
    statement = select(*columns).order_by(*keys)
    rows = 0
    for here, there in zip_longest(stream(live, statement), stream(made, statement)):
        rows += 1
        if here == there or (
            here and there and _read(table, columns, here, since) == _read(table, columns, there, since)
        ):
            continue
        if here is None or (
            there is not None and [there[place] for place in places] < [here[place] for place in places]
        ):
            raise Found(_place(table, there, places), "the journal makes this row, and the books lack it")
        if there is None or [here[place] for place in places] < [there[place] for place in places]:
            raise Found(_place(table, here, places), "the journal does not make this row")
        column, mine, theirs = next(
            (column.name, a, b) for column, a, b in zip(columns, here, there, strict=True) if a != b
        )
        detail = f"{column} is {_short(mine)}, the journal makes it {_short(theirs)}"
        raise Found(_place(table, here, places), detail)
    return rows


def _read(table: Table, columns: list[Any], row: Row, since: int) -> Row:
    if table.name not in SKETCHED:
        return tuple(row)
    values = {column.name: value for column, value in zip(columns, row, strict=True)}
    values["visitors"] = _core.estimate_sketch(values["visitors"]) if values["bucket"] >= since else None
    return tuple(values.values())


def _place(table: Table, row: Row, places: list[int]) -> str:
    return f"{table.name} {' '.join(str(row[place]) for place in places)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
