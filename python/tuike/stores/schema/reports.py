"""Sums of hits and of orders: by quarter-hour and all dimensions, by day, and in cuts (see `stores.cuts`)."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from tuike.stores.schema.base import CODE, metadata


def _dimensions() -> list[Column[object]]:
    """Who and where; `bucket` is where the quarter-hour or day of UTC begins, in seconds."""
    return [
        Column("bucket", BigInteger, primary_key=True),
        Column("merchant", CODE, primary_key=True),
        Column("product", CODE, primary_key=True),
        Column("promoter", CODE, primary_key=True),
        Column("channel", String(64), primary_key=True),
    ]


def _labels() -> list[Column[object]]:
    """`label_number` 0 holds the sums of all hits, 1 to 5 those that carried sub1 to sub5."""
    return [
        Column("label_number", Integer, primary_key=True),
        Column("label", String(512), primary_key=True),
    ]


def _cut() -> list[Column[object]]:
    return [
        Column("cut", Integer, primary_key=True, autoincrement=False),
        Column("span", Integer, primary_key=True, autoincrement=False),  # seconds
        Column("merchant", CODE, primary_key=True),
        Column("value", String(64), primary_key=True),  # the product or channel, where it is a cut by them
        Column("bucket", BigInteger, primary_key=True),
    ]


def _hits() -> list[Column[object]]:
    return [
        Column("partition", Integer, primary_key=True, autoincrement=False),  # of the hits; reports add up over it
        Column("impressions", BigInteger, nullable=False),
        Column("clicks", BigInteger, nullable=False),
        Column("bots", BigInteger, nullable=False),
        Column("prefetches", BigInteger, nullable=False),
        Column("visitors", LargeBinary, nullable=False),  # HyperLogLog sketch, empty: none
    ]


def _orders() -> list[Column[object]]:
    return [
        Column("currency", String(3), primary_key=True),
        Column("conversions", BigInteger, nullable=False),
        Column("sales", BigInteger, nullable=False),
        Column("commission", BigInteger, nullable=False),
    ]


# Any time zone's days and hours are made of quarter-hours.
rollups = Table(
    "rollups",
    metadata,
    *_dimensions(),
    *_labels(),
    *_hits(),
    Index("ix_rollups_promoter", "promoter", "bucket"),
    sqlite_with_rowid=False,
)

order_rollups = Table(
    "order_rollups",
    metadata,
    *_dimensions(),
    *_labels(),
    *_orders(),
    Index("ix_order_rollups_promoter", "promoter", "bucket"),
    sqlite_with_rowid=False,
)

hit_days = Table(
    "hit_days",
    metadata,
    *_dimensions(),
    *_hits(),
    Index("ix_hit_days_promoter", "promoter", "bucket"),
    sqlite_with_rowid=False,
)

order_days = Table(
    "order_days",
    metadata,
    *_dimensions(),
    *_orders(),
    Index("ix_order_days_promoter", "promoter", "bucket"),
    sqlite_with_rowid=False,
)

hit_cuts = Table("hit_cuts", metadata, *_cut(), *_hits(), sqlite_with_rowid=False)

order_cuts = Table("order_cuts", metadata, *_cut(), *_orders(), sqlite_with_rowid=False)
