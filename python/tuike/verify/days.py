"""The ledger's days: they follow each other without a gap, and their roots are those of their entries' trees."""

from bisect import bisect_right
from collections.abc import Sequence

from sqlalchemy import Connection, Row, select

from tuike.faults import Found
from tuike.stores import tiles
from tuike.stores.schema import days
from tuike.stores.schema import tiles as tiles_table
from tuike.stores.tiles import Entry


class Trees:
    """Makes the days' trees from the ledger's entries, given in order, tile by tile."""

    def __init__(self, connection: Connection, secret: str) -> None:
        self._connection = connection
        self._secret = secret
        self._days = iter(connection.execute(select(days).order_by(days.c.day)).all())
        self._open: list[Entry] = []
        self._closed = 0
        self._done = 0
        self._reached = 0  # the last transfer that was taken
        self._leaves = 0
        self._next_day()

    def take(self, batch: Sequence[Entry]) -> None:
        """The next entries of the ledger, each transfer's together."""
        if batch:
            self._reached = batch[-1][0]
        start = 0
        while self._day is not None and start < len(batch):
            end = bisect_right(batch, self._day.last, lo=start, key=lambda entry: entry[0])
            self._open.extend(batch[start:end])
            start = end
            whole = len(self._open) - len(self._open) % tiles.TILE
            for first in range(0, whole, tiles.TILE):
                self._tile(self._open[first : first + tiles.TILE])
            del self._open[:whole]
            if end < len(batch):
                self._end_day()

    def end(self) -> str:
        """Call it after the last entry."""
        while self._day is not None:
            self._end_day()
        return f"{self._done} days, {self._leaves} entries in their trees"

    def _next_day(self) -> None:
        self._day: Row[tuple[int, int, int, int, str]] | None = next(self._days, None)
        self._nodes: list[bytes] = []
        self._count = 0
        if self._day is None:
            return
        if self._day.first != self._closed + 1 or self._day.last < self._day.first:
            raise Found(self._place(), f"it begins with transfer {self._day.first}, not {self._closed + 1}")
        self._closed = self._day.last
        found = select(tiles_table).where(tiles_table.c.day == self._day.day).order_by(tiles_table.c.tile)
        self._tiles = list(self._connection.execute(found))

    def _tile(self, entries: Sequence[Entry]) -> None:
        root = tiles.tree(self._secret, entries).root
        number = len(self._nodes)
        self._nodes.append(root)
        self._count += len(entries)
        assert self._day is not None
        row = self._tiles[number] if number < len(self._tiles) else None
        if row is None or tuple(row) != (self._day.day, number, *entries[-1][:2], self._count, root):
            raise Found(f"{self._place()} tile {number}", "it is not what its entries make")

    def _end_day(self) -> None:
        day = self._day
        assert day is not None
        if self._reached < day.last:
            raise Found(self._place(), f"its last transfer is {day.last}, the ledger's is {self._reached}")
        if self._open:
            self._tile(self._open)
            self._open = []
        if len(self._tiles) != len(self._nodes):
            raise Found(f"{self._place()} tile {len(self._nodes)}", "it is of no entries")
        if not self._nodes or tiles.root(self._nodes).hex() != day.root or self._count != day.leaves:
            raise Found(self._place(), "its root is not that of its entries")
        self._done += 1
        self._leaves += self._count
        self._next_day()

    def _place(self) -> str:
        assert self._day is not None
        return f"day {tiles.date_of(self._day.day)}"
