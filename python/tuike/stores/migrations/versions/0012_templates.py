"""Posters and texts of products, merchants and the instance."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARCHAR

revision = "0012"
down_revision = "0011"

OWNER = sa.String(80).with_variant(VARCHAR(80, charset="ascii", collation="ascii_bin"), "mysql")


def upgrade() -> None:
    op.create_table(
        "templates",
        sa.Column("owner", OWNER, nullable=False),
        sa.Column("poster", sa.Text(), nullable=True),
        sa.Column("texts", sa.Text(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner"),
    )
