"""Who takes part where there is more than one machine: leases, producers, edges."""

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from tuike.stores.schema.base import CODE, metadata

leases = Table(
    "leases",
    metadata,
    Column("name", CODE, primary_key=True),  # e.g. partition-07, books
    Column("holder", String(128), nullable=False),  # empty: given back
    Column("token", BigInteger, nullable=False),  # grows with each new holder
    Column("until", BigInteger, nullable=False),
)

producers = Table(
    "producers",
    metadata,
    Column("incarnation", String(16), primary_key=True),
    Column("producer", String(128), nullable=False),
    Column("machine", CODE, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),  # "live", "away", "closed" or "lost"
    Column("seq", BigInteger, nullable=False),  # the last that is known
    Column("note", String(512), nullable=False),
)

edges = Table(
    "edges",
    metadata,
    Column("machine", CODE, primary_key=True),
    Column("number", BigInteger, nullable=False),  # of the books: what all its live workers know
    Column("seen", BigInteger, nullable=False),
    Column("url", Text, nullable=False),  # where its journal can be fetched; empty: nowhere
    Column("state", String(16), nullable=False),
)

# What edges must hear. A mirror that is older than the oldest of it begins anew with a snapshot.
registry_changes = Table(
    "registry_changes",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # of the books
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("entry", Text, nullable=False),  # JSON
    Column("at", BigInteger, nullable=False),
)

# Ranges of journals that nobody will ever see: of machines that are gone.
lost = Table(
    "lost",
    metadata,
    Column("incarnation", String(16), primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, primary_key=True, autoincrement=False),
    Column("machine", CODE, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("note", String(512), nullable=False),
)
