"""Fraud: flags that hold orders, clicks that count no more, and what rules compare an order with."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from tuike.stores.schema.base import CODE, HEX_ID, NUMBER, metadata

fraud_flags = Table(
    "fraud_flags",
    metadata,
    Column("id", HEX_ID, nullable=False, unique=True),  # derived from order and rule
    Column("number", NUMBER, primary_key=True, autoincrement=False),  # the books' times 16 and a place: of lists
    Column("conversion", BigInteger, nullable=False, index=True),  # the order's number
    Column("rule", String(32), nullable=False),
    Column("score", Integer, nullable=False),  # 1 to 100
    Column("evidence", Text, nullable=False),  # JSON
    Column("status", String(16), nullable=False),  # "open", "cleared" or "confirmed"
    Column("promoter", CODE, nullable=False),
    Column("merchant", CODE, nullable=False),
    Column("product", CODE, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("decided_by", String(128), nullable=False),  # empty: nobody has
    Column("decided_at", BigInteger, nullable=False),
    Column("note", String(512), nullable=False),
    Index("fraud_flags_status", "status", "number"),
)

# Clicks of orders that were confirmed as fraud: they never count again.
bad_touches = Table(
    "bad_touches",
    metadata,
    Column("touch", HEX_ID, primary_key=True),
    Column("conversion", BigInteger, nullable=False),  # of the order that was confirmed
    sqlite_with_rowid=False,
)

# Lists of networks that the operator has loaded.
fraud_networks = Table(
    "fraud_networks",
    metadata,
    Column("id", CODE, primary_key=True),
    Column("networks", Text, nullable=False),  # JSON array
    Column("narrow", Integer, nullable=False),  # lines that were left out
    Column("updated", BigInteger, nullable=False),
)

# Counted clicks of a promoter by hour.
promoter_hours = Table(
    "promoter_hours",
    metadata,
    Column("promoter", CODE, primary_key=True),
    Column("merchant", CODE, primary_key=True),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),  # where it begins, seconds
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("clicks", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Which promoters have bought, as customers, what was credited to which others.
promoter_purchases = Table(
    "promoter_purchases",
    metadata,
    Column("merchant", CODE, primary_key=True),
    Column("buyer", CODE, primary_key=True),
    Column("promoter", CODE, primary_key=True),
    Column("conversion", BigInteger, nullable=False),  # the first one
    sqlite_with_rowid=False,
)
