"""`tuike config`: its commands, thin as those of `cli`."""

from pathlib import Path
from typing import Any

import click

from tuike.config import option
from tuike.data import Data
from tuike.options import with_books, with_ceiling, with_data, with_database
from tuike.terminal import FAULT, stop

SECTIONS = ("merchants", "products", "promoters", "links", "templates")


@click.group("config")
def config() -> None:
    """Keep merchants, products, links and the like in a file."""


@config.command()
@with_data
@with_database
@option("--only", multiple=True, type=click.Choice(SECTIONS), help="This section; may be repeated. All by default.")
def export(data: Path, database: Any, only: tuple[str, ...]) -> None:
    """Print the instance's configuration as JSON.

    It is the same text for the same configuration, and holds no secret. Of a product's rules it has the one in force.
    """
    from tuike import configuring

    click.echo(configuring.export(Data.open(data, database), only or SECTIONS), nl=False)


@config.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_data
@with_database
@with_books
@with_ceiling
@option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@option(
    "--keys",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON file that the postback keys of new merchants are added to, for its owner alone.",
)
def apply(file: Path, data: Path, database: Any, dry_run: bool, keys: Path | None, ceiling: int, **books: Any) -> None:
    """Make the instance what a file of `tuike config export` says.

    All of it is done or none. What stands in the instance and not in FILE is left alone. Parents of promoters that are
    there, currencies and owners are not changed by a file: it is refused. Whether the instance is running or not; twice
    is once.
    """
    from tuike import configuring

    try:
        opened = Data.open(data, database, create=True)
        made = configuring.apply(opened, file, keys, dry=dry_run, ceiling=ceiling, **books)
    except configuring.NotApplied as refused:
        for line in str(refused).splitlines():
            click.echo(f"tuike: {line}", err=True)
        stop("nothing was changed", FAULT)
    for line in made.lines:
        click.echo(line)
    click.echo(f"{len(made.lines)} changes{', none of them made: this was a dry run' if dry_run else ''}")
