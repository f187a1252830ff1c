"""A merchant's postbacks in the names of another tracker, the tokens that authenticate them, and what of postbacks did
not count; sums that /metrics reads."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARCHAR

revision = "0008"
down_revision = "0007"

CODE = sa.String(64).with_variant(VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql")
HEX_ID = sa.String(32).with_variant(VARCHAR(32, charset="ascii", collation="ascii_bin"), "mysql")


def upgrade() -> None:
    op.add_column("merchants", sa.Column("dialect", sa.Text(), nullable=True))
    op.add_column("merchants", sa.Column("tokens", sa.Text(), nullable=True))
    op.create_table(
        "refused",
        sa.Column("event_id", HEX_ID, primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False, unique=True),
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
    )
    op.create_index("refused_merchant", "refused", ["merchant", "number"])
    op.create_table(
        "level_sums",
        sa.Column("product", CODE, primary_key=True),
        sa.Column("level", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("currency", sa.String(3), primary_key=True),
        sa.Column("conversions", sa.BigInteger(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("commission", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "set_aside_sums",
        sa.Column("code", sa.String(64), primary_key=True),
        sa.Column("messages", sa.BigInteger(), nullable=False),
    )
    op.execute(
        "INSERT INTO level_sums (product, level, currency, conversions, shares, commission) "
        "SELECT c.product, s.level, c.currency, COUNT(DISTINCT s.conversion), COUNT(*), SUM(s.original) "
        "FROM shares s JOIN conversions c ON c.number = s.conversion WHERE s.promoter <> '' "
        "GROUP BY c.product, s.level, c.currency"
    )
    op.execute(
        "INSERT INTO level_sums (product, level, currency, conversions, shares, commission) "
        "SELECT c.product, 0, c.currency, COUNT(*), 0, 0 FROM conversions c WHERE NOT EXISTS "
        "(SELECT 1 FROM shares s WHERE s.conversion = c.number AND s.promoter <> '') GROUP BY c.product, c.currency"
    )
    op.execute(
        "INSERT INTO set_aside_sums (code, messages) SELECT code, COUNT(*) FROM outcomes "
        "WHERE status = 'set_aside' AND kind NOT IN ('registry', 'decision') GROUP BY code"
    )
