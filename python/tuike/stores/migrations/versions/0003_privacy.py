"""Erasures, and what every table says of rates and levels by itself."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARCHAR

revision = "0003"
down_revision = "0001"

CODE = sa.String(64).with_variant(VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql")
HEX_ID = sa.String(32).with_variant(VARCHAR(32, charset="ascii", collation="ascii_bin"), "mysql")


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", HEX_ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.String(length=512), nullable=False),
        sa.Column("fresh", HEX_ID, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("touches", sa.BigInteger(), nullable=False),
        sa.Column("orders", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "erasure_journals",
        sa.Column("id", HEX_ID, nullable=False),
        sa.Column("machine", CODE, nullable=False),
        sa.Column("pending", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", "machine"),
    )
