"""Webhooks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARCHAR

revision = "0005"
down_revision = "0004"

CODE = sa.String(64).with_variant(VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql")


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", CODE, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
