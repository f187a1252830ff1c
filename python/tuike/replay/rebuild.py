"""Everything derived from the journal, made again in a fresh database: the books by the bookkeeper's own posting of
what was booked, registry writes applied again in their places, hits folded anew."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine

from tuike import _core
from tuike.books.bookkeeper import Bookkeeper
from tuike.books.touches import NoTouches
from tuike.data import Data
from tuike.replay.history import Hits, history, parts
from tuike.replay.logs import BookedLog
from tuike.stores import engine, migrations, rollups

Told = Callable[[int, int], None]
"""Is told how many records are done, and of how many."""


def untold(done: int, whole: int) -> None:
    """For where nobody waits."""


@contextmanager
def fresh(data: Data) -> Iterator[tuple[Path, Engine]]:
    """A directory and a database with empty tables, for as long as it is entered."""
    with TemporaryDirectory(dir=data.run, prefix="replay-") as directory:
        made = engine.scratch(Path(directory) / "books.sqlite")
        try:
            migrations.upgrade(made)
            yield Path(directory), made
        finally:
            made.dispose()


@contextmanager
def touch_store(directory: Path, name: str) -> Iterator[_core.TouchStore]:
    """A new touch store, for as long as it is entered."""
    with closing(_core.TouchStore(str(directory / name))) as touches:
        yield touches


def rebuild_books(made: Engine, log: BookedLog, root: str, upto: int, max_levels: int, told: Told) -> None:
    """Posts the records 1 to `upto` again. Raises Found where the log lacks one, or the journal a message."""
    with made.begin() as connection:
        keeper = Bookkeeper(connection, NoTouches(), lambda records: None, max_levels)
    for part in parts(history(log, root, upto, ("registry",))):
        record, item = part[0]
        with made.begin() as connection:
            if item is None:
                keeper.repeat(connection, [record for record, _ in part])
            else:
                keeper.repeat_write(connection, item, record.number)
        told(keeper.number, upto)


def rebuild_hits(made: Engine, root: str, upto: Mapping[int, int]) -> int:
    """Folds the hits up to a position again; how many events were read."""
    count = 0
    for batch in Hits(root).upto(upto):
        count += batch.count
        with made.begin() as connection:
            rollups.add_rollups(connection, batch.rollups())
            rollups.add_hit_counts(connection, batch.hit_counts())
            rollups.add_damage(connection, batch.damage, 0)
    return count
