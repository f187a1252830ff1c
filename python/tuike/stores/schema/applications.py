"""Who wants to be a promoter, and by whose invitation."""

from sqlalchemy import BigInteger, Column, Integer, String, Table

from tuike.stores.schema.base import CODE, HEX_ID, NUMBER, metadata

invites = Table(
    "invites",
    metadata,
    Column("code", CODE, primary_key=True),
    Column("parent", CODE, nullable=True),  # under whom its promoters come
    Column("uses", Integer, nullable=False),  # how many may still apply with it
    Column("expires", BigInteger, nullable=True),
    Column("created", BigInteger, nullable=False),
    Column("body", String(64), nullable=False),  # SHA-256 of the body that made it
)

applications = Table(
    "applications",
    metadata,
    Column("id", HEX_ID, nullable=False, unique=True),  # of the event that made it
    Column("number", NUMBER, primary_key=True, autoincrement=False),  # the books', and the cursor of lists
    Column("invite", CODE, nullable=False),
    Column("promoter", CODE, nullable=False),  # the code that is wanted
    Column("name", String(256), nullable=False),
    Column("note", String(512), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("reason", String(512), nullable=False),
    Column("created", BigInteger, nullable=False),
)
