"""Merchants' postbacks that did not count."""

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from tuike.stores.schema.base import CODE, HEX_ID, metadata

refused = Table(
    "refused",
    metadata,
    Column("event_id", HEX_ID, primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),  # the books' order, and the cursor of lists
    Column("merchant", CODE, nullable=False),
    Column("at", BigInteger, nullable=False),  # when it was refused last
    Column("code", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("message", Text, nullable=False),  # JSON: books.records.Message
    Index("refused_merchant", "merchant", "number"),
)
