"""Merchants, products and their rules, promoters, links, tokens, keys."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, String, Table, Text, text

from tuike.stores.schema.base import CODE, HEX_ID, metadata

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
    Column("old_secret", Text, nullable=True),  # the one before it, sealed likewise
    Column("old_secret_until", BigInteger, nullable=False, server_default=text("0")),  # until when it is valid too
    Column("status", String(16), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("body", String(64), nullable=False),  # SHA-256 of the body that made it
    Column("dialect", Text, nullable=True),  # JSON: a tracker's name, or `names` and `statuses`
    Column("tokens", Text, nullable=True),  # JSON array of postback tokens: SHA-256, and until when it is valid or null
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
    Column("rule", Text, nullable=False),  # JSON; migration 0003 keeps its levels and rates within the limits
    Column(
        "ceiling", Integer, nullable=False, server_default=text("500000")
    ),  # 1e-6, the platform's when it was written
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
    Column("day", Integer, primary_key=True, autoincrement=False),  # days since 1970-01-01 UTC
    Column("key", Text, nullable=False),  # sealed under the instance's secret
)
