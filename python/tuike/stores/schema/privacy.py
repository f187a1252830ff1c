"""Who has to be forgotten, and how far that has come."""

from sqlalchemy import BigInteger, Column, String, Table, Text

from tuike.stores.schema.base import CODE, HEX_ID, metadata

erasures = Table(
    "erasures",
    metadata,
    Column("id", HEX_ID, primary_key=True),  # of the event that asked for it
    Column("number", BigInteger, nullable=False),  # of the books
    Column("kind", String(16), nullable=False),  # "visitor" or "customer"
    Column("merchant", CODE, nullable=False),  # whose customer; empty: a visitor
    Column("at", BigInteger, nullable=False),  # what was received later is not erased
    Column("subject", String(512), nullable=False),  # who, for as long as it is under way
    Column("fresh", HEX_ID, nullable=False),  # random: what takes their place, for as long as it is under way
    Column("state", String(16), nullable=False),  # "waiting", "journals" or "done"
    Column("upto", BigInteger, nullable=False),  # the books' number when the tables were rewritten
    Column("touches", BigInteger, nullable=False),
    Column("orders", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),  # when; 0: not yet
)

# What each machine has still to write again of its journal.
erasure_journals = Table(
    "erasure_journals",
    metadata,
    Column("id", HEX_ID, primary_key=True),
    Column("machine", CODE, primary_key=True),
    Column("pending", Text, nullable=False),  # JSON: producer/incarnation -> indexes of segments
)
