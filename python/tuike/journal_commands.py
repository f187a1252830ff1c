"""`tuike journal`: its commands, thin as those of `cli`."""

import os
import sys
from pathlib import Path

import click

from tuike.data import Data
from tuike.options import with_data
from tuike.terminal import FAULT


@click.group()
def journal() -> None:
    """Look into the journal."""


@journal.command()
@with_data
def cat(data: Path) -> None:
    """Every event as one line of JSON."""
    from tuike import journal

    with os.fdopen(sys.stdout.fileno(), "wb", closefd=False) as out:
        for line in journal.lines(Data.open(data)):
            out.write(line + b"\n")


@journal.command()
@with_data
def stat(data: Path) -> None:
    """Events by producer and kind."""
    from tuike import journal

    click.echo(journal.stat(Data.open(data)))


@journal.command()
@with_data
def check(data: Path) -> None:
    """Every record's checksum."""
    from tuike import journal

    report, sound = journal.check(Data.open(data))
    click.echo(report)
    sys.exit(0 if sound else FAULT)
