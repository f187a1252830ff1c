"""Where what happens in the books is sent to, and what was sent to whom: see `tuike.sending`."""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

from tuike.stores.schema.base import CODE, metadata

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", CODE, primary_key=True),
    Column("url", Text, nullable=False),
    Column("events", Text, nullable=False),  # JSON array of types
    Column("secret", Text, nullable=False),  # sealed under the instance's secret
    Column("status", String(16), nullable=False),  # "active" or "paused"
    Column("number", BigInteger, nullable=False),  # of the books: what comes after it is sent
    Column("created", BigInteger, nullable=False),
    Column("body", String(64), nullable=False),  # SHA-256 of the body that made it
)


def outbox(metadata: MetaData, prefix: str) -> tuple[Table, Table]:
    """How far each webhook is, and what became of deliveries."""
    positions = Table(
        f"{prefix}positions",
        metadata,
        Column("webhook", CODE, primary_key=True),
        Column("made", BigInteger, nullable=False),  # the number that the webhook was made under
        Column("number", BigInteger, nullable=False),  # of the books: what is up to it needs nothing more
        Column("attempts", Integer, nullable=False),  # that the next one has had
        Column("next_at", BigInteger, nullable=False),
    )
    deliveries = Table(
        f"{prefix}deliveries",
        metadata,
        Column("webhook", CODE, primary_key=True),
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("type", String(32), nullable=False),
        Column("status", String(16), nullable=False),  # "delivered", "failing" or "dead"
        Column("attempts", Integer, nullable=False),
        Column("code", Integer, nullable=False),  # of the last answer; 0: there was none
        Column("detail", Text, nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("next_at", BigInteger, nullable=False),
    )
    Index(f"{prefix}deliveries_status", deliveries.c.webhook, deliveries.c.status, deliveries.c.number)
    return positions, deliveries


# On several machines; on one they are in a file of the sender's own, which the processor need not wait for.
webhook_positions, webhook_deliveries = outbox(metadata, "webhook_")
