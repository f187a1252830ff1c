"""Finished days as Parquet, for whoever has questions that no report answers.

DATA/archive/<table>/day=YYYY-MM-DD/<table>.parquet    a day of UTC, whole or not there
DATA/archive/_index.json                               where each day's hits stand in the journal; made again when lost

tables       what the columns are         stage      rows on their way into a file, and how it gets its name
hits         from the journal             orders     conversions and shares, as the books have them now
ledger       its closed days              forgetting  erasures and the end of keeping, in files that are there
running      what is to be written        querying   SQL on all of it

The Parquet is what is kept: DuckDB, which writes and reads it, has no file of its own longer than a command runs.
"""
