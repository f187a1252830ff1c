"""The schema of the first release."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARCHAR

revision = "0001"
down_revision = None

CODE = sa.String(64).with_variant(VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql")
HEX_ID = sa.String(32).with_variant(VARCHAR(32, charset="ascii", collation="ascii_bin"), "mysql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _folds()
    _machines()
    _registry()
    _links_and_keys()
    _outcomes()
    _reports()
    _totals()
    _conversions()
    _ledger()
    _payments()


def _folds() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "positions",
        sa.Column("fold", sa.String(length=32), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("upto", sa.LargeBinary(), nullable=False),
        sa.Column("marks", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("fold", "partition"),
    )
    op.create_table(
        "hit_counts",
        sa.Column("incarnation", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", "outcome", "partition"),
    )
    op.create_table(
        "damage",
        sa.Column("incarnation", sa.String(length=16), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("producer", sa.String(length=128), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", "offset"),
    )
    op.create_table(
        "booked",
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )


def _machines() -> None:
    op.create_table(
        "leases",
        sa.Column("name", CODE, nullable=False),
        sa.Column("holder", sa.String(length=128), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "producers",
        sa.Column("incarnation", sa.String(length=16), nullable=False),
        sa.Column("producer", sa.String(length=128), nullable=False),
        sa.Column("machine", CODE, nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=512), nullable=False),
        sa.PrimaryKeyConstraint("incarnation"),
    )
    op.create_table(
        "edges",
        sa.Column("machine", CODE, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("machine"),
    )
    op.create_table(
        "registry_changes",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", "position"),
    )
    op.create_table(
        "lost",
        sa.Column("incarnation", sa.String(length=16), nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("machine", CODE, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=512), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", "first", "last"),
    )


def _registry() -> None:
    op.create_table(
        "merchants",
        sa.Column("id", CODE, nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("settlement", sa.String(length=16), nullable=False),
        sa.Column("refund_days", sa.Integer(), nullable=False),
        sa.Column("release_when", sa.String(length=16), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "products",
        sa.Column("id", CODE, nullable=False),
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("category", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("fallback_url", sa.Text(), nullable=False),
        sa.Column("allowed_hosts", sa.Text(), nullable=False),
        sa.Column("cookie_days", sa.Integer(), nullable=False),
        sa.Column("hold_days", sa.Integer(), nullable=False),
        sa.Column("pixel_conversions", sa.String(length=8), nullable=False),
        sa.Column("attribution", sa.Text(), nullable=False),
        sa.Column("fraud", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_products_merchant", "products", ["merchant"], unique=False)
    op.create_table(
        "rules",
        sa.Column("product", CODE, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("effective_from", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("product", "version"),
    )
    op.create_table(
        "promoters",
        sa.Column("id", CODE, nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("parent", CODE, nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("tax", sa.Text(), nullable=False),
        sa.Column("person", sa.String(length=128), nullable=False),
        sa.Column("customers", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_promoters_parent", "promoters", ["parent"], unique=False)
    op.create_index("ix_promoters_person", "promoters", ["person"], unique=False)
    op.create_table(
        "promoter_parents",
        sa.Column("promoter", CODE, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("parent", CODE, nullable=True),
        sa.PrimaryKeyConstraint("promoter", "since", "number"),
    )


def _links_and_keys() -> None:
    op.create_table(
        "links",
        sa.Column("code", CODE, nullable=False),
        sa.Column("promoter", CODE, nullable=False),
        sa.Column("product", CODE, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("sub1", sa.String(length=512), nullable=False),
        sa.Column("sub2", sa.String(length=512), nullable=False),
        sa.Column("sub3", sa.String(length=512), nullable=False),
        sa.Column("sub4", sa.String(length=512), nullable=False),
        sa.Column("sub5", sa.String(length=512), nullable=False),
        sa.Column("coupon", sa.String(length=64), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_index("ix_links_coupon", "links", ["coupon"], unique=False)
    op.create_index("ix_links_product", "links", ["product"], unique=False)
    op.create_index("ix_links_promoter", "links", ["promoter"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("id", HEX_ID, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("subject", CODE, nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "daily_keys",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day"),
    )


def _outcomes() -> None:
    op.create_table(
        "outcomes",
        sa.Column("event_id", HEX_ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("http", sa.Integer(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "idempotency",
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("event_id", HEX_ID, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "audit",
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=160), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "waiting",
        sa.Column("conversion", HEX_ID, nullable=False),
        sa.Column("event_id", HEX_ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("conversion", "event_id"),
    )


def _reports() -> None:
    op.create_table(
        "rollups",
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("product", CODE, nullable=False),
        sa.Column("promoter", CODE, nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("label_number", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=512), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("impressions", sa.BigInteger(), nullable=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.Column("bots", sa.BigInteger(), nullable=False),
        sa.Column("prefetches", sa.BigInteger(), nullable=False),
        sa.Column("visitors", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "bucket", "merchant", "product", "promoter", "channel", "label_number", "label", "partition"
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "order_rollups",
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("product", CODE, nullable=False),
        sa.Column("promoter", CODE, nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("label_number", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=512), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("conversions", sa.BigInteger(), nullable=False),
        sa.Column("sales", sa.BigInteger(), nullable=False),
        sa.Column("commission", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "bucket", "merchant", "product", "promoter", "channel", "label_number", "label", "currency"
        ),
        sqlite_with_rowid=False,
    )


def _totals() -> None:
    op.create_table(
        "sales",
        sa.Column("promoter", CODE, nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("conversion", sa.BigInteger(), nullable=False),
        sa.Column("booked", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("promoter", "currency", "day", "merchant", "conversion"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tiers",
        sa.Column("promoter", CODE, nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("tier", sa.String(length=16), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("promoter", "currency", "day"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "budgets",
        sa.Column("product", CODE, nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("product", "currency", "day"),
    )
    op.create_table(
        "path_ends",
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("visitor", HEX_ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("conversion", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", "visitor", "at", "conversion"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "funding",
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("funded", sa.BigInteger(), nullable=False),
        sa.Column("released", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", "currency"),
    )


def _conversions() -> None:
    op.create_table(
        "conversions",
        sa.Column("id", HEX_ID, nullable=False),
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("order_id", sa.String(length=512), nullable=False),
        sa.Column("product", CODE, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("refunded", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("event_id", HEX_ID, nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ix_conversions_order_id", "conversions", ["order_id"], unique=False)
    op.create_table(
        "shares",
        sa.Column("conversion", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("promoter", CODE, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("via", CODE, nullable=False),
        sa.Column("weight", sa.BigInteger(), nullable=False),
        sa.Column("original", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount >= 0 AND amount <= original"),
        sa.CheckConstraint("level BETWEEN 0 AND 3"),
        sa.PrimaryKeyConstraint("conversion", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dues",
        sa.Column("due", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("conversion", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("merchant", CODE, nullable=False),
        sa.Column("product", CODE, nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("due", "conversion"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "releases",
        sa.Column("conversion", NUMBER, autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("conversion"),
    )


def _ledger() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=96), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", "currency"),
    )
    op.create_table(
        "transfers",
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("conversion", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.String(length=96), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("conversion", "step"),
    )
    op.create_table(
        "entries",
        sa.Column("transfer", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("transfer", "position"),
        sqlite_with_rowid=False,
    )
    op.create_index("entries_account", "entries", ["account", "transfer"], unique=False)
    op.create_table(
        "days",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("leaves", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("day"),
    )
    op.create_table(
        "tiles",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tile", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("transfer", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("leaves", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("day", "tile"),
        sqlite_with_rowid=False,
    )


def _payments() -> None:
    op.create_table(
        "settlements",
        sa.Column("id", HEX_ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("released", sa.BigInteger(), nullable=False),
        sa.Column("last_due", sa.BigInteger(), nullable=False),
        sa.Column("last_conversion", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=512), nullable=False),
        sa.Column("amounts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_table(
        "payouts",
        sa.Column("id", HEX_ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("promoter", CODE, nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("scheme", sa.String(length=16), nullable=False),
        sa.Column("person", sa.String(length=128), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=512), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.CheckConstraint("tax >= 0 AND net >= 0 AND tax + net = amount"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_index("ix_payouts_day", "payouts", ["day"], unique=False)
    op.create_index("ix_payouts_promoter", "payouts", ["promoter"], unique=False)
    op.create_table(
        "closings",
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("month", "currency"),
    )
