"""Writes what a batch of hits adds up to: rollups, hit counts, damaged stretches."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, case, func, literal_column, select, tuple_

from tuike import _core
from tuike.stores.bulk import Row, adding, changing, missing
from tuike.stores.schema import damage, hit_counts, promoter_hours, rollups

# SQLite takes 32,766 parameters in a statement; a key has eight.
KEYS_PER_SELECT = 1_000
HOUR_S = 3_600

KEY_COLUMNS = tuple(rollups.primary_key.columns)
COUNTERS = ("impressions", "clicks", "bots", "prefetches")


def _changes(new: Any) -> dict[str, Any]:
    sums = {name: rollups.c[name] + new[name] for name in COUNTERS}
    kept = case((func.length(new.visitors) == literal_column("0"), rollups.c.visitors), else_=new.visitors)
    return sums | {"visitors": kept}


def _together(before: Row, after: Row) -> Row:
    """Two rows of a batch, whose sketches are merged with what stands in the table already."""
    width = len(KEY_COLUMNS)
    sums = [a + b for a, b in zip(before[width:-1], after[width:-1], strict=True)]
    return (*before[:width], *sums, _merged(before[-1], after[-1]))


ROLLUPS = changing(rollups, _changes, _together)
HOURS = adding(promoter_hours, "clicks")
COUNTS = adding(hit_counts, "hits")
DAMAGE = missing(damage)


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
    ROLLUPS.run(connection, [(*row[:-1], _merged(standing.get(row[:width]), row[-1])) for row in rows])
    _add_hours(connection, rows)


def _add_hours(connection: Connection, rows: Iterable[Row]) -> None:
    """Adds a promoter's clicks by hour, which fraud rules ask for: of the rows, those of all hits."""
    hours: dict[Row, int] = {}
    for bucket, merchant, _, promoter, _, label, _, partition, _, clicks, *_ in rows:
        if clicks and not label:
            key = promoter, merchant, bucket // HOUR_S * HOUR_S, partition
            hours[key] = hours.get(key, 0) + clicks
    HOURS.run(connection, [(*key, clicks) for key, clicks in hours.items()])


def _merged(standing: bytes | None, sketch: bytes) -> bytes:
    return _core.merge_sketches([standing, sketch]) if standing and sketch else sketch or standing or b""


def add_hit_counts(connection: Connection, counts: Mapping[int, Mapping[str, int]], partition: int = 0) -> None:
    """Adds the number of hits by incarnation and outcome."""
    rows = [
        (f"{incarnation:016x}", outcome, partition, hits)
        for incarnation, outcomes in counts.items()
        for outcome, hits in outcomes.items()
    ]
    COUNTS.run(connection, rows)


def add_damage(connection: Connection, stretches: Iterable[tuple[str, int, int, int]], found: int) -> None:
    """Notes damaged stretches (producer, incarnation, offset, length in bytes), each once."""
    rows = [
        (f"{incarnation:016x}", offset, producer, length, found) for producer, incarnation, offset, length in stretches
    ]
    DAMAGE.run(connection, rows)
