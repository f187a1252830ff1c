"""Closes the ledger's days: each has a Merkle root over the entries of its transfers (money.md, section 5).

A transfer belongs to the UTC day, by the books' clock, in which it was posted. A day that is over is closed beside
the booking of the next, some tiles at each step, however many entries it has; it is booked once its tiles are in the
tables. A day without transfers is none."""

import json

from sqlalchemy import Connection, func, select

from tuike.books.periods import DAY_MS
from tuike.books.records import Day
from tuike.stores import bulk, meta, tiles
from tuike.stores.schema import days
from tuike.stores.schema import tiles as tiles_table

OPEN_KEY = "open_days"
TILES_PER_STEP = 16

TILES = bulk.inserting(tiles_table)


class Days:
    """The ledger's days that are not closed. Belongs to the one bookkeeper."""

    def __init__(self, connection: Connection, secret: str | None) -> None:
        """`secret` is the instance's; without it no day is closed."""
        self._secret = secret
        self._today = 0
        self.resume(connection)

    def resume(self, connection: Connection) -> None:
        """Takes up what the tables say."""
        closed = connection.scalar(select(func.max(days.c.day)))
        kept = json.loads(meta.read(connection, OPEN_KEY) or "[]")
        self._open: list[tuple[int, int]] = [(day, first) for day, first in kept if closed is None or day > closed]
        self._tiled = False

    def begin(self, now: int) -> None:
        """What is posted from now on is of this day; days never go back."""
        self._today = max(self._today, now // DAY_MS)

    def posted(self, connection: Connection, first: int) -> None:
        """Transfers were posted, from this number on."""
        if not self._open or self._open[-1][0] < self._today:
            self._open.append((self._today, first))
            meta.write(connection, OPEN_KEY, json.dumps(self._open))

    def due(self, now: int) -> bool:
        return self._secret is not None and bool(self._open) and self._open[0][0] < now // DAY_MS

    def step(self, connection: Connection, last: int) -> Day | None:
        """Goes on with the first day that is over; what closes it, once that is known. `last` is the ledger's last
        transfer."""
        day, first = self._open[0]
        if len(self._open) > 1:
            last = self._open[1][1] - 1
        if not self._tiled:
            self._tiled = self._tile(connection, day, first, last)
            return None
        leaves = connection.scalar(select(func.max(tiles_table.c.leaves)).where(tiles_table.c.day == day))
        assert leaves is not None
        return Day(day, first, last, leaves, tiles.root(tiles.roots(connection, day)).hex())

    def _tile(self, connection: Connection, day: int, first: int, last: int) -> bool:
        """Makes some more tiles of a day; whether those were the last."""
        assert self._secret is not None
        made = select(tiles_table).where(tiles_table.c.day == day).order_by(tiles_table.c.tile.desc()).limit(1)
        row = connection.execute(made).one_or_none()
        after, number, leaves = ((first, -1), 0, 0)
        if row is not None:
            after, number, leaves = (row.transfer, row.position), row.tile + 1, row.leaves
        rows: list[bulk.Row] = []
        while len(rows) < TILES_PER_STEP:
            entries = tiles.entries_after(connection, after, last)
            if entries:
                after, leaves = (entries[-1][0], entries[-1][1]), leaves + len(entries)
                rows.append((day, number + len(rows), *after, leaves, tiles.tree(self._secret, entries).root))
            if len(entries) < tiles.TILE:
                break
        TILES.run(connection, rows)
        return len(rows) < TILES_PER_STEP
