"""Fraud flags, and what fraud rules compare an order with."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARCHAR

revision = "0002"
down_revision = "0001"

CODE = sa.String(64).with_variant(VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql")
HEX_ID = sa.String(32).with_variant(VARCHAR(32, charset="ascii", collation="ascii_bin"), "mysql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "fraud_flags",
        sa.Column("id", HEX_ID, nullable=False),
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("conversion", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("promoter", CODE, nullable=False),
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("product", CODE, nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.String(length=128), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=512), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ix_fraud_flags_conversion", "fraud_flags", ["conversion"])
    op.create_index("fraud_flags_status", "fraud_flags", ["status", "number"])
    op.create_table(
        "bad_touches",
        sa.Column("touch", HEX_ID, nullable=False),
        sa.Column("conversion", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("touch"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "fraud_networks",
        sa.Column("id", CODE, nullable=False),
        sa.Column("networks", sa.Text(), nullable=False),
        sa.Column("narrow", sa.Integer(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "promoter_hours",
        sa.Column("promoter", CODE, nullable=False),
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("promoter", "merchant", "hour", "partition"),
        sqlite_with_rowid=False,
    )
    _fill_hours()
    op.create_table(
        "promoter_purchases",
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("buyer", CODE, nullable=False),
        sa.Column("promoter", CODE, nullable=False),
        sa.Column("conversion", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", "buyer", "promoter"),
        sqlite_with_rowid=False,
    )


def _fill_hours() -> None:
    """From the sums that there are."""
    names = ("promoter", "merchant", "bucket", "partition", "label_number", "clicks")
    sums = sa.table("rollups", *[sa.column(name, sa.BigInteger()) for name in names])
    columns = ("promoter", "merchant", "hour", "partition", "clicks")
    hours = sa.table("promoter_hours", *[sa.column(name, sa.BigInteger()) for name in columns])
    hour = sums.c.bucket - sums.c.bucket % 3_600
    by = (sums.c.promoter, sums.c.merchant, hour, sums.c.partition)
    found = sa.select(*by, sa.func.sum(sums.c.clicks)).where(sums.c.label_number == 0, sums.c.clicks > 0).group_by(*by)
    op.execute(hours.insert().from_select(columns, found))
