"""Posters and texts that promoters share, of a product, a merchant or the whole instance."""

from sqlalchemy import BigInteger, Column, String, Table, Text
from sqlalchemy.dialects.mysql import VARCHAR

from tuike.stores.schema.base import metadata

INSTANCE = "instance"
"""The owner of what holds for every product; others are `merchant:ID` and `product:ID`."""

OWNER = String(80).with_variant(VARCHAR(80, charset="ascii", collation="ascii_bin"), "mysql")

templates = Table(
    "templates",
    metadata,
    Column("owner", OWNER, primary_key=True),
    Column("poster", Text, nullable=True),  # SVG with places such as {{qr}}
    Column("texts", Text, nullable=False),  # JSON array
    Column("changed", BigInteger, nullable=False),
)
