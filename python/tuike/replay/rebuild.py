"""Everything derived from the journal, made again in a fresh database: the books by the bookkeeper's own posting of
what was booked, registry writes applied again in their places, hits folded anew."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, Engine

from tuike import _core
from tuike.books.backlog import Item
from tuike.books.bookkeeper import Bookkeeper
from tuike.books.records import Booked
from tuike.books.touches import NoTouches
from tuike.data import Data
from tuike.process import clock
from tuike.replay.history import Messages, booked
from tuike.stores import engine, migrations, rollups

READ_LIMIT = 50_000
RECORDS_PER_POST = 2_000
# What one posting may hold: of anything else, each record is posted by itself, as it was.
TOGETHER = ("order", "claim", "close")

Told = Callable[[int], None]
"""Is told how many records are done."""


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


def rebuild_books(made: Engine, root: str, upto: int, max_levels: int, told: Told) -> None:
    """Posts the records 1 to `upto` again. Raises Found where the journal lacks one, or a message."""
    messages = Messages(root)
    with made.begin() as connection:
        keeper = Bookkeeper(connection, NoTouches(), lambda records: None, max_levels)
    for part in parts(booked(root, upto, Booked), messages):
        with made.begin() as connection:
            if isinstance(part, Item):
                keeper.repeat_write(connection, part, keeper.number + 1)
            else:
                keeper.repeat(connection, part)
        told(keeper.number)


def parts(records: Iterator[Booked], messages: Messages) -> Iterator[Sequence[Booked] | Item]:
    """The books' history in the parts in which it can be posted: records together, or a registry write."""
    held: list[Booked] = []
    for record in records:
        if held and (record.kind not in TOGETHER or held[-1].kind not in TOGETHER or len(held) == RECORDS_PER_POST):
            yield held
            held = []
        if record.kind == "registry":
            yield messages.take(record.event)
        else:
            held.append(record)
    if held:
        yield held


def rebuild_hits(made: Engine, root: str, upto: Mapping[int, int], touches: Sequence[_core.TouchStore] = ()) -> int:
    """Folds the hits up to a position again, and gives them to touch stores; how many events were read."""
    follower = _core.Follower(root)
    read: dict[int, int] = {}
    more, count = True, 0
    while more:
        batch = follower.read(read, READ_LIMIT, clock(), upto)
        read.update(batch.upto)
        more = batch.more
        count += batch.count
        for store in touches:
            store.put(batch)
        with made.begin() as connection:
            _fold(connection, batch)
    return count


def _fold(connection: Connection, batch: _core.Batch) -> None:
    rollups.add_rollups(connection, batch.rollups())
    rollups.add_hit_counts(connection, batch.hit_counts())
    rollups.add_damage(connection, batch.damage, 0)
