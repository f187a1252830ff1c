"""A merchant's postback key before the present one, and until when it is valid too."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("merchants", sa.Column("old_secret", sa.Text(), nullable=True))
    op.add_column(
        "merchants", sa.Column("old_secret_until", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
