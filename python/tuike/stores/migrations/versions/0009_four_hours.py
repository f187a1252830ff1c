"""Cuts by four hours, made of those by the hour: days of time zones are read from few rows then."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from tuike.stores import cuts, rollups

revision = "0009"
down_revision = "0012"

FOUR_HOURS, HOUR = 14_400, 3_600


def upgrade() -> None:
    for name, written in (("hit_cuts", rollups.HIT_CUTS.add), ("order_cuts", rollups.ORDER_CUTS.run)):
        connection = op.get_bind()
        table = sa.Table(name, sa.MetaData(), autoload_with=connection)
        column = table.c
        # an older database has got them already, by what fills its cuts
        connection.execute(sa.delete(table).where(column.span == FOUR_HOURS))
        what = (column.cut, column.merchant, column.value)
        for cut, merchant, value in connection.execute(sa.select(*what).where(column.span == HOUR).distinct()).all():
            hours = sa.select(table).where(
                column.cut == cut, column.span == HOUR, column.merchant == merchant, column.value == value
            )
            written(connection, _summed(connection.execute(hours).all()))


def _summed(hours: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Rows by (cut, span, merchant, value, bucket, partition or currency, counters, and of hits the sketch)."""
    sums: cuts.Sums = {}
    for cut, _, merchant, value, bucket, part, *figures in hours:
        hits = isinstance(figures[-1], bytes)
        key = (cut, FOUR_HOURS, merchant, value, bucket // FOUR_HOURS * FOUR_HOURS, part)
        cuts.add(sums, key, figures[:-1] if hits else figures, [figures[-1]] if hits and figures[-1] else [])
    if hours and isinstance(hours[0][-1], bytes):
        return rollups.flat(sums)
    return [(*key, *counters) for key, (counters, _) in sums.items()]
