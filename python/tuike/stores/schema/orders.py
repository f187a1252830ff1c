"""Orders, what they earned, and what has been sold before them."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, String, Table, Text

from tuike.stores.schema.base import CODE, HEX_ID, NUMBER, metadata

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

# Approved orders that are not released, with what a release asks of them, so that it need not touch their wide rows.
dues = Table(
    "dues",
    metadata,
    Column("due", BigInteger, primary_key=True, autoincrement=False),
    Column("conversion", BigInteger, primary_key=True, autoincrement=False),
    Column("merchant", CODE, nullable=False),
    Column("product", CODE, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("rule_version", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Which step of a settlement has released an order.
releases = Table(
    "releases",
    metadata,
    Column("conversion", NUMBER, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),  # the step's, in the order of the books
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

# How many orders a product's promoters of each level have a share in (level 0: nobody has one), and what the shares
# were booked at.
level_sums = Table(
    "level_sums",
    metadata,
    Column("product", CODE, primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("currency", String(3), primary_key=True),
    Column("conversions", BigInteger, nullable=False),
    Column("shares", BigInteger, nullable=False),
    Column("commission", BigInteger, nullable=False),
)
