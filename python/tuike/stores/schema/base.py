"""What all tables share: their metadata, and the types of their keys."""

from sqlalchemy import BigInteger, Integer, MetaData, String

metadata = MetaData()

CODE = String(64)
HEX_ID = String(32)
# A number that rows are clustered by: in SQLite only an INTEGER is the row's own id.
NUMBER = BigInteger().with_variant(Integer(), "sqlite")
