"""Erasures, and rules that the database itself keeps within three levels and half of the amount."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARCHAR

revision = "0003"
down_revision = "0002"

CODE = sa.String(64).with_variant(VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql")
HEX_ID = sa.String(32).with_variant(VARCHAR(32, charset="ascii", collation="ascii_bin"), "mysql")

# A percentage, also as the base of a hybrid, is at most 50; a rule has at most three levels.
WITHIN_LIMITS = {
    "sqlite": """
        coalesce(json_array_length(rule, '$.levels'), 0) <= 3
        AND (coalesce(json_extract(rule, '$.type'), '') <> 'percentage'
             OR CAST(json_extract(rule, '$.value') AS NUMERIC) <= 50)
        AND (coalesce(json_extract(rule, '$.base.type'), '') <> 'percentage'
             OR CAST(json_extract(rule, '$.base.value') AS NUMERIC) <= 50)
    """,
    "postgresql": """
        coalesce(jsonb_array_length(CAST(rule AS jsonb) -> 'levels'), 0) <= 3
        AND (CAST(rule AS jsonb) ->> 'type' IS DISTINCT FROM 'percentage'
             OR CAST(CAST(rule AS jsonb) ->> 'value' AS numeric) <= 50)
        AND (CAST(rule AS jsonb) -> 'base' ->> 'type' IS DISTINCT FROM 'percentage'
             OR CAST(CAST(rule AS jsonb) -> 'base' ->> 'value' AS numeric) <= 50)
    """,
    "mysql": """
        coalesce(JSON_LENGTH(rule, '$.levels'), 0) <= 3
        AND (coalesce(JSON_CONTAINS(rule, '"percentage"', '$.type'), 0) = 0
             OR CAST(JSON_UNQUOTE(JSON_EXTRACT(rule, '$.value')) AS DECIMAL(20, 6)) <= 50)
        AND (coalesce(JSON_CONTAINS(rule, '"percentage"', '$.base.type'), 0) = 0
             OR CAST(JSON_UNQUOTE(JSON_EXTRACT(rule, '$.base.value')) AS DECIMAL(20, 6)) <= 50)
    """,
}


def upgrade() -> None:
    with op.batch_alter_table("rules") as rules:
        rules.create_check_constraint("rules_within_limits", WITHIN_LIMITS[op.get_bind().dialect.name])
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
