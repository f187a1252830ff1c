"""The tables. All of it but `meta` and `tokens` is a fold of the journal.

Times are milliseconds since the Unix epoch, amounts are minor units, ids are hex.
Only the processor writes; everyone else reads.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

CODE = String(64)
HEX_ID = String(32)
# A number that rows are clustered by: in SQLite only an INTEGER is the row's own id.
NUMBER = BigInteger().with_variant(Integer(), "sqlite")

# --- bookkeeping of the folds themselves ---------------------------------------------------------

# `books_number`: the number of the last event that the bookkeeper applied.
meta = Table("meta", metadata, Column("key", String(64), primary_key=True), Column("value", Text, nullable=False))

positions = Table(
    "positions",
    metadata,
    Column("fold", String(32), primary_key=True),  # "hits" or "books"
    Column("version", BigInteger, nullable=False),  # compare-and-set: see stores.position
    Column("upto", LargeBinary, nullable=False),  # JSON: incarnation (hex) -> sequence number
)

hit_counts = Table(
    "hit_counts",
    metadata,
    Column("incarnation", String(16), primary_key=True),
    Column("outcome", String(32), primary_key=True),
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

# --- registry ------------------------------------------------------------------------------------

merchants = Table(
    "merchants",
    metadata,
    Column("id", CODE, primary_key=True),
    Column("name", String(256), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("settlement", String(16), nullable=False),
    Column("refund_days", Integer, nullable=False),
    Column("release_when", String(16), nullable=False),  # "approved" or "funded"
    Column("secret", Text, nullable=False),  # sealed under the instance's secret
    Column("status", String(16), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("body", String(64), nullable=False),  # SHA-256 of the body that made it
)

products = Table(
    "products",
    metadata,
    Column("id", CODE, primary_key=True),
    Column("merchant", CODE, nullable=False, index=True),
    Column("name", String(256), nullable=False),
    Column("category", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("fallback_url", Text, nullable=False),  # empty: none
    Column("allowed_hosts", Text, nullable=False),  # JSON array
    Column("cookie_days", Integer, nullable=False),
    Column("hold_days", Integer, nullable=False),
    Column("pixel_conversions", String(8), nullable=False),
    Column("attribution", Text, nullable=False),  # JSON, defaults filled in
    Column("fraud", Text, nullable=False),  # JSON, defaults filled in
    Column("status", String(16), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("body", String(64), nullable=False),  # SHA-256 of the body that made it
)

rules = Table(
    "rules",
    metadata,
    Column("product", CODE, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("effective_from", BigInteger, nullable=False),
    Column("rule", Text, nullable=False),  # JSON
)

promoters = Table(
    "promoters",
    metadata,
    Column("id", CODE, primary_key=True),
    Column("name", String(256), nullable=False),
    Column("parent", CODE, nullable=True, index=True),
    Column("kind", String(16), nullable=False),
    Column("tax", Text, nullable=False),  # JSON
    Column("person", String(128), nullable=False, index=True),  # who is taxed; empty: this account alone
    Column("customers", Text, nullable=False),  # JSON
    Column("status", String(16), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("body", String(64), nullable=False),  # SHA-256 of the body that made it
)

promoter_parents = Table(
    "promoter_parents",
    metadata,
    Column("promoter", CODE, primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("number", BigInteger, primary_key=True),  # the books' number: two changes in one millisecond
    Column("parent", CODE, nullable=True),
)

links = Table(
    "links",
    metadata,
    Column("code", CODE, primary_key=True),
    Column("promoter", CODE, nullable=False, index=True),
    Column("product", CODE, nullable=False, index=True),
    Column("url", Text, nullable=False),  # empty: the product's
    Column("channel", String(64), nullable=False),
    Column("sub1", String(512), nullable=False),
    Column("sub2", String(512), nullable=False),
    Column("sub3", String(512), nullable=False),
    Column("sub4", String(512), nullable=False),
    Column("sub5", String(512), nullable=False),
    Column("coupon", String(64), nullable=False, index=True),
    Column("expires", BigInteger, nullable=True),
    Column("status", String(16), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("body", String(64), nullable=False),  # SHA-256 of the body that made it
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", HEX_ID, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),  # SHA-256 of the token
    Column("role", String(16), nullable=False),
    Column("subject", CODE, nullable=False),  # of `merchant:ID` and `promoter:ID`, else empty
    Column("expires", BigInteger, nullable=True),
    Column("created", BigInteger, nullable=False),
    Column("revoked", Boolean, nullable=False),
)

daily_keys = Table(
    "daily_keys",
    metadata,
    Column("day", Integer, primary_key=True),  # days since 1970-01-01 UTC
    Column("key", Text, nullable=False),  # sealed under the instance's secret
)

# --- what became of what was asked ---------------------------------------------------------------

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

# --- reports -------------------------------------------------------------------------------------


def _dimensions() -> list[Column[object]]:
    """What sums are kept by: the quarter-hour (any time zone's days are made of them) and who and where.
    `label_number` 0 holds the sums of all hits, 1 to 5 those that carried sub1 to sub5."""
    return [
        Column("bucket", BigInteger, primary_key=True),  # seconds
        Column("merchant", CODE, primary_key=True),
        Column("product", CODE, primary_key=True),
        Column("promoter", CODE, primary_key=True),
        Column("channel", String(64), primary_key=True),
        Column("label_number", Integer, primary_key=True),
        Column("label", String(512), primary_key=True),
    ]


rollups = Table(
    "rollups",
    metadata,
    *_dimensions(),
    Column("impressions", BigInteger, nullable=False),
    Column("clicks", BigInteger, nullable=False),
    Column("bots", BigInteger, nullable=False),
    Column("prefetches", BigInteger, nullable=False),
    Column("visitors", LargeBinary, nullable=False),  # HyperLogLog sketch, empty: none
    sqlite_with_rowid=False,
)

order_rollups = Table(
    "order_rollups",
    metadata,
    *_dimensions(),
    Column("currency", String(3), primary_key=True),
    Column("conversions", BigInteger, nullable=False),
    Column("sales", BigInteger, nullable=False),
    Column("commission", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# --- money ---------------------------------------------------------------------------------------

# Kept small for the many: rows are clustered by the books' numbers, which only grow, and indexes are few.

conversions = Table(
    "conversions",
    metadata,
    Column("id", HEX_ID, nullable=False, unique=True),  # derived from merchant, order and product
    Column("number", NUMBER, primary_key=True, autoincrement=False),  # the books' order, and the cursor of lists
    Column("merchant", CODE, nullable=False),
    Column("order_id", String(512), nullable=False, index=True),
    Column("product", CODE, nullable=False),
    Column("amount", BigInteger, nullable=True),
    Column("currency", String(3), nullable=False),
    Column("status", String(16), nullable=False),
    Column("refunded", BigInteger, nullable=False),
    Column("model", String(16), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("stamp", BigInteger, nullable=False),  # the `ts` of the last status applied
    Column("at", BigInteger, nullable=False),  # the order's instant
    Column("day", Integer, nullable=False),  # its date in the merchant's zone, in days since 1970-01-01
    Column("created", BigInteger, nullable=False),  # when it was received
    Column("due", BigInteger, nullable=False),  # from when it may be released; 0: not approved yet
    Column("released", BigInteger, nullable=False),  # the number of the settlement's step; 0: it is not
    Column("source", String(16), nullable=False),
    Column("event_id", HEX_ID, nullable=False),  # the message that made it
    Column("evidence", Text, nullable=False),  # JSON: what the decision was taken from
)

shares = Table(
    "shares",
    metadata,
    Column("conversion", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("promoter", CODE, nullable=False),  # empty: the platform's line
    Column("level", Integer, nullable=False),
    Column("via", CODE, nullable=False),  # the credited promoter
    Column("weight", BigInteger, nullable=False),  # of the credited promoter, 1e-9
    Column("original", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),  # what it stands at
    CheckConstraint("amount >= 0 AND amount <= original"),
    CheckConstraint("level BETWEEN 0 AND 3"),
    sqlite_with_rowid=False,
)

# What is to be released when its instant has come. A row goes when its order is released or looked at in vain.
dues = Table(
    "dues",
    metadata,
    Column("due", BigInteger, primary_key=True, autoincrement=False),
    Column("conversion", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# What each order counts, less refunds and times the weight, among the sales of a promoter credited with it.
sales = Table(
    "sales",
    metadata,
    Column("promoter", CODE, primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("day", Integer, primary_key=True),  # of the order, in the merchant's zone
    Column("merchant", CODE, primary_key=True),
    Column("conversion", BigInteger, primary_key=True),
    Column("booked", BigInteger, nullable=False),  # the number under which it was booked, or booked anew
    Column("net", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

tiers = Table(
    "tiers",
    metadata,
    Column("promoter", CODE, primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("tier", String(16), nullable=False),
    Column("net", BigInteger, nullable=False),  # the sales that it follows from
    sqlite_with_rowid=False,
)

# What a rule with a daily budget has paid for the orders of a day in the merchant's zone.
budgets = Table(
    "budgets",
    metadata,
    Column("product", CODE, primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("amount", BigInteger, nullable=False),
)

# Where an order that credited somebody ended its visitor's path, at merchants with a product with `path_reset`.
path_ends = Table(
    "path_ends",
    metadata,
    Column("merchant", CODE, primary_key=True),
    Column("visitor", HEX_ID, primary_key=True),
    Column("at", BigInteger, primary_key=True),  # the order's instant
    Column("conversion", BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)

# What each merchant has paid in, and what stands of its orders that were released.
funding = Table(
    "funding",
    metadata,
    Column("merchant", CODE, primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("funded", BigInteger, nullable=False),
    Column("released", BigInteger, nullable=False),
)

# Refunds of orders that are not there yet.
waiting = Table(
    "waiting",
    metadata,
    Column("conversion", HEX_ID, primary_key=True),
    Column("event_id", HEX_ID, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("message", Text, nullable=False),  # JSON
)

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
    Column("person", String(128), nullable=False, index=True),  # who is taxed
    Column("created", BigInteger, nullable=False),
    Column("note", String(512), nullable=False),
    Column("detail", Text, nullable=False),  # JSON: the arithmetic of the tax
    CheckConstraint("tax >= 0 AND net >= 0 AND tax + net = amount"),
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
