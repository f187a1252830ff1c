"""`tuike migrate`: moves the books of a stopped instance from SQLite to a server, and proves that they are equal.

A run that was killed is run again, and goes on. The server's database must have nothing of its own: a note in it says
whose move is under way, until the last transaction puts the instance's own `meta` in its place."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice

import msgspec
from msgspec.structs import replace
from sqlalchemy import URL, Connection, Engine, Table, delete, select

from tuike.books.bookkeeper import NUMBER_KEY
from tuike.data import Data, DataError
from tuike.faults import Found
from tuike.replay.history import Hits, history
from tuike.replay.logs import JournalLog
from tuike.sending.outbox import Outbox
from tuike.stores import engine, erasures, meta, migrations, moving, position
from tuike.stores.bulk import missing
from tuike.stores.moving import Told
from tuike.stores.position import Position
from tuike.stores.schema import booked, metadata, positions, webhook_deliveries, webhook_positions
from tuike.stores.touches import SqlTouches
from tuike.transport.entries import ORDERS, PARTITIONS

NOTE = "moving"
"""The secret's hash of the instance that is being moved."""
OF_SEVERAL = (booked, positions, webhook_positions, webhook_deliveries)
"""What several machines have otherwise than one."""
RECORDS_PER_PART = 2_000
BOOKED = missing(booked)


@dataclass(frozen=True, slots=True)
class Moved:
    """How many rows and tables are equal; whether they had been before."""

    rows: int
    tables: int
    before: bool


def migrate(data: Data, to: URL, told: Told, *, several: bool = False) -> Moved:
    """With `several` it is made an instance on several machines. Raises DataInUse where the instance runs, DataError
    where the database is another's, Found where they differ."""
    if not data.books.exists():
        raise DataError(f"{data.root}: no books yet; start with `--database` at once")
    with ExitStack() as held:
        for name in ("lock", "processor.lock", "import.lock"):
            held.enter_context(data.lock(name))
        _to_this_schema(data)
        source, target = engine.reader(data.books), engine.open_writer(to)
        held.callback(source.dispose)
        held.callback(target.dispose)
        migrations.upgrade(target)
        with source.begin() as here:
            tables = [table for table in metadata.sorted_tables if not several or table not in OF_SEVERAL]
            before = not _begin(here, target, data, to, tables)
            if not before:
                moving.move(here, target, told, partial(_spread, here, target, data) if several else lambda: None)
            return Moved(_check(here, target, tables), len(tables), before)


def _to_this_schema(data: Data) -> None:
    books = engine.writer(data.books)
    migrations.upgrade(books)
    books.dispose()


def _spread(here: Connection, target: Engine, data: Data) -> None:
    """What several machines have in SQL and one has in files: what was booked, touches, how far webhooks are, and a
    position for each partition, from which shippers go on. Twice is once."""
    root, number = str(data.journal), int(meta.read(here, NUMBER_KEY) or 0)
    hits, books = position.read(here, "hits"), position.read(here, "books")
    steps = history(JournalLog(root, erasures.under_way(here)), root, number, ("registry",))
    while some := list(islice(steps, RECORDS_PER_PART)):
        whole = [record if item is None else replace(record, message=item.message) for record, item in some]
        with target.begin() as there:
            BOOKED.run(there, [(record.number, msgspec.json.encode(record)) for record in whole])
    touches = SqlTouches(target)
    for batch in Hits(root).upto(hits.upto):
        rows = batch.touch_rows()
        touches.prepare(rows)
        with target.begin() as there:
            touches.put(there, rows)
    if data.webhooks.exists():
        outbox = Outbox.of_file(data.webhooks)
        with target.begin() as there:
            outbox.copy_to(there)
        outbox.close()
    with target.begin() as there:
        there.execute(delete(positions))
        for partition in range(PARTITIONS):
            position.advance(there, Position("hits", 0, {}, partition), hits.upto)
        position.advance(there, Position("books", 0, {}, ORDERS), books.upto)


def _begin(here: Connection, target: Engine, data: Data, to: URL, tables: Sequence[Table]) -> bool:
    """Notes whose move it is. False: all is there already. Raises DataError where the database is not empty."""
    with target.begin() as there:
        noted = meta.read(there, NOTE)
        if noted is None and any(there.execute(select(table).limit(1)).first() for table in metadata.tables.values()):
            if any(moving.differs(here, there, table) for table in tables):
                raise DataError(f"{engine.shown(to)}: it has books already; name an empty database")
            return False
        if noted not in (None, data.secret_sum):
            raise DataError(f"{engine.shown(to)}: another instance is being moved there; name an empty database")
        if noted is None:
            meta.write(there, NOTE, data.secret_sum)
    return True


def _check(here: Connection, target: Engine, tables: Sequence[Table]) -> int:
    """How many rows both have. Raises Found."""
    rows = 0
    for table in tables:
        mine = moving.digest(here, table)
        with target.begin() as there:  # for each anew: the server would end one that waits for so long
            theirs = moving.digest(there, table)
        if mine != theirs:
            raise Found(f"table {table.name}", f"{mine[0]} rows here and {theirs[0]} there are not the same")
        rows += mine[0]
    return rows
