"""What all tables share: their metadata, and the types of their keys."""

from sqlalchemy import BigInteger, Integer, MetaData, String
from sqlalchemy.dialects.mysql import VARCHAR

from tuike.stores import dialects  # noqa: F401 (says how each engine has these types)

metadata = MetaData()

# Ids are ASCII. MySQL counts four bytes for each character of other texts, and takes 3,072 in a key.
CODE = String(64).with_variant(VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql")
HEX_ID = String(32).with_variant(VARCHAR(32, charset="ascii", collation="ascii_bin"), "mysql")
# A number that rows are clustered by: in SQLite only an INTEGER is the row's own id.
NUMBER = BigInteger().with_variant(Integer(), "sqlite")
