"""How far the folds have come, and what became of what was asked."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table, Text

from tuike.stores.schema.base import HEX_ID, NUMBER, metadata

# `books_number`: the number of the last event that the bookkeeper applied. `open_days`: JSON, the ledger's days that
# are not closed: each one's day and first transfer.
meta = Table("meta", metadata, Column("key", String(64), primary_key=True), Column("value", Text, nullable=False))

# Partitions: on one machine 0 alone; on many, hits have 0 to 63 and what is no hit has 64.
positions = Table(
    "positions",
    metadata,
    Column("fold", String(32), primary_key=True),  # "hits", "touches" or "books"
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),  # compare-and-set: see stores.position
    Column("token", BigInteger, nullable=False),  # of the lease that moved it last; 0: none
    Column("upto", LargeBinary, nullable=False),  # JSON: incarnation (hex) -> sequence number
    Column("marks", LargeBinary, nullable=False),  # JSON: incarnation (hex) -> nothing received before is to come, ms
)

hit_counts = Table(
    "hit_counts",
    metadata,
    Column("incarnation", String(16), primary_key=True),
    Column("outcome", String(32), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("hits", BigInteger, nullable=False),
)

damage = Table(
    "damage",
    metadata,
    Column("incarnation", String(16), primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("producer", String(128), nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("found", BigInteger, nullable=False),
)

# What the books' journal has on one machine: kept here, a standby on another needs nothing of the dead one's disk.
booked = Table(
    "booked",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("record", LargeBinary, nullable=False),  # JSON: books.records.Booked
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("event_id", HEX_ID, primary_key=True),
    Column("number", BigInteger, nullable=False),  # the books' order
    Column("kind", String(16), nullable=False),
    Column("status", String(16), nullable=False),  # "applied", "set_aside" or "waiting"
    Column("code", String(64), nullable=False),  # empty, or the reason
    Column("http", Integer, nullable=False),  # what the API answers
    Column("result", Text, nullable=False),  # JSON: what the API answers
    sqlite_with_rowid=False,
)

# How many messages of others than admins stand set aside.
set_aside_sums = Table(
    "set_aside_sums",
    metadata,
    Column("code", String(64), primary_key=True),
    Column("messages", BigInteger, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", String(256), primary_key=True),  # actor and the caller's key
    Column("fingerprint", String(64), nullable=False),  # of method, path and body
    Column("event_id", HEX_ID, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(160), nullable=False),
    Column("detail", Text, nullable=False),  # JSON
)
