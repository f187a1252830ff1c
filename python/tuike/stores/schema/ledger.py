"""The ledger, its days, settlements, payouts."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from tuike.stores.schema.base import CODE, HEX_ID, NUMBER, metadata

accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(96), nullable=False),  # e.g. promoter:alice:pending
    Column("currency", String(3), nullable=False),
    Column("balance", BigInteger, nullable=False),
    UniqueConstraint("name", "currency"),
)

transfers = Table(
    "transfers",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=False),  # 1, 2, 3 ... without a gap
    Column("conversion", BigInteger, nullable=False),  # 0: about no order
    Column("step", String(96), nullable=False),  # which of the order's transfers; names it alone where there is none
    Column("kind", String(16), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("at", BigInteger, nullable=False),  # the instant it concerns
    Column("hash", LargeBinary(32), nullable=False),  # over the previous hash, number, accounts, amounts
    UniqueConstraint("conversion", "step"),
)

entries = Table(
    "entries",
    metadata,
    Column("transfer", BigInteger, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("account", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),  # debits negative; a transfer's entries sum to zero
    Index("entries_account", "account", "transfer"),
    sqlite_with_rowid=False,
)

settlements = Table(
    "settlements",
    metadata,
    Column("id", HEX_ID, primary_key=True),  # of the event that asked for it
    Column("number", BigInteger, nullable=False, unique=True),
    Column("as_of", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),  # "running" or "done"
    Column("released", BigInteger, nullable=False),  # orders
    Column("last_due", BigInteger, nullable=False),  # how far it has come
    Column("last_conversion", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("note", String(512), nullable=False),
    Column("amounts", Text, nullable=False),  # JSON: what was released to promoters, per currency
)

# Statuses of the payouts that are income of their month; what failed or bounced is not.
COUNTING = ("reserved", "paid")

payouts = Table(
    "payouts",
    metadata,
    Column("id", HEX_ID, primary_key=True),  # of the event that asked for it
    Column("number", BigInteger, nullable=False, unique=True),
    Column("promoter", CODE, nullable=False, index=True),
    Column("currency", String(3), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("net", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),  # "reserved", "paid", "failed" or "bounced"
    Column("day", Integer, nullable=False, index=True),  # the accounting date, in days since 1970-01-01
    Column("scheme", String(16), nullable=False),
    Column("person", String(128), nullable=False),  # who is taxed
    Column("created", BigInteger, nullable=False),
    Column("note", String(512), nullable=False),
    Column("detail", Text, nullable=False),  # JSON: the arithmetic of the tax
    CheckConstraint("tax >= 0 AND net >= 0 AND tax + net = amount"),
)

contests = Table(
    "contests",
    metadata,
    Column("id", CODE, primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("name", String(256), nullable=False),
    Column("since", BigInteger, nullable=False),  # seconds
    Column("until", BigInteger, nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("metric", String(16), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("status", String(16), nullable=False),  # "open" or "closed"
    Column("created", BigInteger, nullable=False),
    Column("prizes", Text, nullable=False),  # JSON: amounts, from the first place on
    Column("winners", Text, nullable=False),  # JSON: what was paid to whom
)

closings = Table(
    "closings",
    metadata,
    Column("month", Integer, primary_key=True, autoincrement=False),  # year times 12, and a month from 0
    Column("currency", String(3), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

days = Table(
    "days",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),  # days since 1970-01-01 UTC
    Column("first", BigInteger, nullable=False),  # transfers
    Column("last", BigInteger, nullable=False),
    Column("leaves", BigInteger, nullable=False),  # entries
    Column("root", String(64), nullable=False),
)

# The days' trees are made, and proven from, in tiles: see `stores.tiles`.
tiles = Table(
    "tiles",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("tile", Integer, primary_key=True, autoincrement=False),  # 0, 1, 2 ...
    Column("transfer", BigInteger, nullable=False),  # of its last leaf
    Column("position", Integer, nullable=False),
    Column("leaves", BigInteger, nullable=False),  # in this tile and all before it
    Column("root", LargeBinary(32), nullable=False),
    sqlite_with_rowid=False,
)
