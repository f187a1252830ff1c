"""`tuike backup`, `restore` and `doctor`: thin, as those of `cli`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tuike.config import option
from tuike.data import Data
from tuike.options import with_data, with_database
from tuike.terminal import FAULT

FOLDER = click.Path(file_okay=False, path_type=Path)
# of the environment, beside the options'
VARIABLES = ("TUIKE_ADMIN_TOKEN", "TUIKE_SECRET", "TUIKE_CONFIG", "TUIKE_CONTROL")


@click.command()
@click.argument("directory", type=FOLDER)
@with_data
def backup(directory: Path, data: Path) -> None:
    """Back up an instance while it runs.

    DIRECTORY is made: it holds the books, the journal and the keys, each file with its checksum. Whoever has it
    can sign in your name: keep it as you keep DATA.
    """
    from tuike import backing

    done = backing.backup(Data.open(data), directory)
    click.echo(f"{done.files} files, {done.bytes / (1 << 20):.1f} MiB in {directory}")


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@with_data
def restore(directory: Path, data: Path) -> None:
    """Make a data directory of a backup.

    DATA must be empty or absent. What was recorded after the backup is not in it. Then start as always; `tuike verify`
    proves the books, `tuike replay` makes them again. Killed, it is run again.
    """
    from tuike import backing

    done = backing.restore(directory, data)
    click.echo(f"{done.files} files, {done.bytes / (1 << 20):.1f} MiB in {data}")


@click.command()
@with_data
@with_database
@option("--public-url", metavar="URL", default="http://127.0.0.1:8080", help="Where browsers reach the edge.")
@option("--shop", multiple=True, metavar="HOST", help="A page that conversions come from; may be repeated.")
def doctor(data: Path, database: Any, public_url: str, shop: tuple[str, ...]) -> None:
    """Look for what is wrong or will be.

    Settings, clock, limits, disk, permissions, the books, and how long browsers will keep cookies behind this host
    name. The exit code is 1 where there is a fault.
    """
    from tuike.doctor import examine

    checks = examine(data, public_url, shop, _variables(), database=database)
    for check in checks:
        click.echo(check.line())
    sys.exit(FAULT if any(check.fault for check in checks) else 0)


def _variables() -> Iterator[str]:
    """Every variable that an option, or we, read."""
    yield from VARIABLES
    waiting: list[click.Command] = [click.get_current_context().find_root().command]
    while waiting:
        command = waiting.pop()
        if isinstance(command, click.Group):
            waiting += command.commands.values()
        for parameter in command.params:
            if isinstance(parameter.envvar, str):
                yield parameter.envvar


COMMANDS = (backup, restore, doctor)
