"""`tuike archive` and `query`: thin, as those of `cli`."""

import sys
from pathlib import Path
from typing import Any

import click

from tuike.config import option
from tuike.data import Data
from tuike.options import with_data, with_database
from tuike.terminal import FAULT, stop

FORMATS = click.Choice(("table", "csv", "ndjson"))


@click.command()
@with_data
@with_database
def archive(data: Path, database: Any) -> None:
    """Write finished days as Parquet files to DATA/archive.

    Each file is told of with its day and its rows: hits, conversions, shares and transfers, a file a day (UTC). A day
    whose orders have changed is written again. The instance runs meanwhile: its processor says which days are finished.
    Needs the extra `archive`.
    """
    from tuike.archive.running import archive as write_days
    from tuike.archive.running import watermark
    from tuike.faults import Found

    opened = Data.open(data, database)
    with opened.needing_room("make room, and archive again"):
        try:
            write_days(opened, watermark(opened), lambda table, day, rows: click.echo(f"{table:<12} {day} {rows:>9}"))
        except Found as found:
            stop(f"the archive and the books do not agree: {found}", FAULT)


@click.command()
@click.argument("sql")
@with_data
@option("--format", type=FORMATS, default="table", help="A table for people, or all rows as CSV or JSON documents.")
def query(sql: str, data: Path, format: Any) -> None:
    """Ask the archive in SQL (DuckDB's).

    The tables are hits, conversions, shares and transfers, each with its `day`. One SELECT; nothing can be written, and
    nothing else be read. Needs the extra `archive`.
    """
    from tuike.archive.querying import QueryError
    from tuike.archive.querying import query as answer

    try:
        answer(Data.open(data).archive, sql, format, sys.stdout.buffer.write)
        sys.stdout.flush()
    except QueryError as error:
        stop(str(error))


COMMANDS = (archive, query)
