"""Reports that read few rows: sums by day and in cuts, made of the quarter-hours that are there. Contests."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARCHAR

from tuike.stores import rollups
from tuike.stores.bulk import Row, stream
from tuike.stores.cuts import DAY

revision = "0004"
down_revision = "0003"

CODE = sa.String(64).with_variant(VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql")
DIMENSIONS = ("bucket", "merchant", "product", "promoter", "channel")
CUT = ("cut", "span", "merchant", "value", "bucket")


def _dimensions() -> list[sa.Column[object]]:
    return [
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("product", CODE, nullable=False),
        sa.Column("promoter", CODE, nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
    ]


def _cut() -> list[sa.Column[object]]:
    return [
        sa.Column("cut", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("span", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
    ]


def _hits() -> list[sa.Column[object]]:
    return [
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("impressions", sa.BigInteger(), nullable=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.Column("bots", sa.BigInteger(), nullable=False),
        sa.Column("prefetches", sa.BigInteger(), nullable=False),
        sa.Column("visitors", sa.LargeBinary(), nullable=False),
    ]


def _orders() -> list[sa.Column[object]]:
    return [
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("conversions", sa.BigInteger(), nullable=False),
        sa.Column("sales", sa.BigInteger(), nullable=False),
        sa.Column("commission", sa.BigInteger(), nullable=False),
    ]


def upgrade() -> None:
    for name, keys, columns in (
        ("hit_days", (*DIMENSIONS, "partition"), [*_dimensions(), *_hits()]),
        ("order_days", (*DIMENSIONS, "currency"), [*_dimensions(), *_orders()]),
        ("hit_cuts", (*CUT, "partition"), [*_cut(), *_hits()]),
        ("order_cuts", (*CUT, "currency"), [*_cut(), *_orders()]),
    ):
        op.create_table(name, *columns, sa.PrimaryKeyConstraint(*keys), sqlite_with_rowid=False)
    op.create_table(
        "contests",
        sa.Column("id", CODE, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("metric", sa.String(length=16), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("prizes", sa.Text(), nullable=False),
        sa.Column("winners", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    for name in ("rollups", "order_rollups", "hit_days", "order_days"):
        op.create_index(f"ix_{name}_promoter", name, ["promoter", "bucket"], unique=False)
    _fill("rollups", rollups.add_coarser_hits)
    _fill("order_rollups", rollups.add_coarser_orders)


def _fill(name: str, add: Callable[[sa.Connection, Sequence[Row]], None]) -> None:
    """A day at a time: what the rows of a day make is written once."""
    connection = op.get_bind()
    table = sa.Table(name, sa.MetaData(), autoload_with=connection)
    days = sa.select(sa.func.min(table.c.bucket), sa.func.max(table.c.bucket)).where(table.c.label_number == 0)
    first, last = connection.execute(days).one()
    if first is None:
        return
    for day in range(int(first) // DAY * DAY, int(last) + 1, DAY):
        some = sa.select(table).where(table.c.bucket >= day, table.c.bucket < day + DAY, table.c.label_number == 0)
        add(connection, list(stream(connection, some)))
