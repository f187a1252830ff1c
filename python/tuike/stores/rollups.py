"""Writes what a batch of hits adds up to: rollups, hit counts, damaged stretches."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, case, func, select, tuple_
from sqlalchemy.dialects.sqlite import insert

from tuike import _core
from tuike.stores.schema import damage, hit_counts, rollups

# SQLite takes 32,766 parameters in a statement; a key has eight.
KEYS_PER_SELECT = 1_000

KEY_COLUMNS = tuple(rollups.primary_key.columns)
COUNTERS = ("impressions", "clicks", "bots", "prefetches")
NAMES = (*(column.name for column in KEY_COLUMNS), *COUNTERS, "visitors")

_insert_rollup = insert(rollups)
UPSERT_ROLLUP = _insert_rollup.on_conflict_do_update(
    index_elements=[column.name for column in KEY_COLUMNS],
    set_={name: rollups.c[name] + _insert_rollup.excluded[name] for name in COUNTERS}
    | {
        "visitors": case(
            (func.length(_insert_rollup.excluded.visitors) == 0, rollups.c.visitors),
            else_=_insert_rollup.excluded.visitors,
        )
    },
)
_insert_count = insert(hit_counts)
UPSERT_COUNT = _insert_count.on_conflict_do_update(
    index_elements=["incarnation", "outcome", "partition"],
    set_={"hits": hit_counts.c.hits + _insert_count.excluded.hits},
)


def add_rollups(connection: Connection, sums: Iterable[tuple[Any, ...]], partition: int = 0) -> None:
    """Adds sums as `_core.Batch.rollups` gives them; sketches of visitors are merged with what stands there."""
    width = len(KEY_COLUMNS)
    rows = [(*row[: width - 1], partition, *row[width - 1 :]) for row in sums]
    if not rows:
        return
    keys = [row[:width] for row in rows if row[-1]]
    standing: dict[tuple[Any, ...], bytes] = {}
    for start in range(0, len(keys), KEYS_PER_SELECT):
        chunk = keys[start : start + KEYS_PER_SELECT]
        found = connection.execute(select(*KEY_COLUMNS, rollups.c.visitors).where(tuple_(*KEY_COLUMNS).in_(chunk)))
        standing.update((tuple(row[:width]), row[width]) for row in found if row[width])
    connection.execute(
        UPSERT_ROLLUP,
        [dict(zip(NAMES, (*row[:-1], _merged(standing.get(row[:width]), row[-1])), strict=True)) for row in rows],
    )


def _merged(standing: bytes | None, sketch: bytes) -> bytes:
    return _core.merge_sketches([standing, sketch]) if standing else sketch


def add_hit_counts(connection: Connection, counts: Mapping[int, Mapping[str, int]], partition: int = 0) -> None:
    """Adds the number of hits by incarnation and outcome."""
    rows = [
        {"incarnation": f"{incarnation:016x}", "outcome": outcome, "partition": partition, "hits": hits}
        for incarnation, outcomes in counts.items()
        for outcome, hits in outcomes.items()
    ]
    if rows:
        connection.execute(UPSERT_COUNT, rows)


def add_damage(connection: Connection, stretches: Iterable[tuple[str, int, int, int]], found: int) -> None:
    """Notes damaged stretches (producer, incarnation, offset, length in bytes), each once."""
    rows = [
        {
            "producer": producer,
            "incarnation": f"{incarnation:016x}",
            "offset": offset,
            "length": length,
            "found": found,
        }
        for producer, incarnation, offset, length in stretches
    ]
    if rows:
        connection.execute(insert(damage).on_conflict_do_nothing(), rows)
