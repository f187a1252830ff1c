"""What commands say to people on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

import click

FAULT = 1
USAGE = 2


def stop(message: str, code: int = USAGE) -> NoReturn:
    click.echo(f"tuike: {message}", err=True)
    sys.exit(code)


def of_database(error: Exception) -> str:
    """What a database that cannot be reached, or read, said; anything else is a bug, and raised again."""
    if "sqlalchemy" not in sys.modules:  # its import takes longer than most commands
        raise error
    from tuike.stores import engine

    if not engine.is_away(error) and not engine.lacks_tables(error):
        raise error
    return f"the database cannot be read: {engine.said(error)}"


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, which is told how much is done of how much."""
    with ExitStack() as stack:
        bars: list[Any] = []

        def told(done: int, whole: int) -> None:
            if not bars:
                bars.append(stack.enter_context(click.progressbar(length=whole, label=label, file=sys.stderr)))
            bars[0].update(done - bars[0].pos)

        yield told
