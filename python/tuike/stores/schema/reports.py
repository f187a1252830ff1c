"""Sums of hits and of orders by quarter-hour."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table

from tuike.stores.schema.base import CODE, metadata


def _dimensions() -> list[Column[object]]:
    """What sums are kept by: the quarter-hour (any time zone's days are made of them) and who and where.
    `label_number` 0 holds the sums of all hits, 1 to 5 those that carried sub1 to sub5."""
    return [
        Column("bucket", BigInteger, primary_key=True),  # seconds
        Column("merchant", CODE, primary_key=True),
        Column("product", CODE, primary_key=True),
        Column("promoter", CODE, primary_key=True),
        Column("channel", String(64), primary_key=True),
        Column("label_number", Integer, primary_key=True),
        Column("label", String(512), primary_key=True),
    ]


rollups = Table(
    "rollups",
    metadata,
    *_dimensions(),
    Column("partition", Integer, primary_key=True, autoincrement=False),  # of the hits; reports add up over it
    Column("impressions", BigInteger, nullable=False),
    Column("clicks", BigInteger, nullable=False),
    Column("bots", BigInteger, nullable=False),
    Column("prefetches", BigInteger, nullable=False),
    Column("visitors", LargeBinary, nullable=False),  # HyperLogLog sketch, empty: none
    sqlite_with_rowid=False,
)

order_rollups = Table(
    "order_rollups",
    metadata,
    *_dimensions(),
    Column("currency", String(3), primary_key=True),
    Column("conversions", BigInteger, nullable=False),
    Column("sales", BigInteger, nullable=False),
    Column("commission", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
