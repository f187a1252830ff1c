"""The platform's ceiling that each rule was written under: half of the amount, before it could be set."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    # one text for all engines: SQLite adds a column and its check in place, while a copy of the table, the other way
    # there, would lose the check of 0003
    op.execute(
        "ALTER TABLE rules ADD COLUMN ceiling INTEGER DEFAULT 500000 NOT NULL CHECK (ceiling BETWEEN 1 AND 500000)"
    )
