"""Where what happens in the books is sent to. What was sent to whom is the sender's own: see `tuike.sending`."""

from sqlalchemy import BigInteger, Column, String, Table, Text

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
