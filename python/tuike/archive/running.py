"""`tuike archive`: writes what is finished and not in the archive, or not as it is now."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from socket import AF_UNIX, socket

import msgspec
from sqlalchemy import Connection

from tuike import retention, views
from tuike.archive import forgetting, hits, ledger, orders
from tuike.archive.stage import Stage, staging
from tuike.archive.tables import CONVERSIONS, HITS, SHARES, TRANSFERS, Table
from tuike.books.settings import DAY_MS
from tuike.data import Data, DataError
from tuike.stores import engine, erasures, position

INDEX = "_index.json"
ANSWER_S = 10.0

Told = Callable[[str, str, int], None]
"""Is told of a file that was written: its table, its day, its rows."""


def watermark(data: Data) -> int:
    """Everything received before this instant (ms) is in the books. Raises DataError where the processor does not
    run: nobody else knows."""
    try:
        with _asking(data.processor_socket) as connection:
            connection.request("GET", "/watermark")
            answer = msgspec.json.decode(connection.getresponse().read(), type=dict[str, int])
    except OSError as error:
        detail = "the processor does not run, which says what days are finished; start the instance"
        raise DataError(f"{data.root}: {detail}") from error
    return answer["watermark"]


@contextmanager
def _asking(path: Path) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("localhost")
    with socket(AF_UNIX) as end:
        end.settimeout(ANSWER_S)
        end.connect(str(path))
        connection.sock = end
        yield connection


def archive(data: Data, complete: int, told: Told) -> None:
    """Writes the days that ended before `complete`, the instant up to which the books are. Raises DataError on one of
    several machines, and Found where the books have other sums than what would be written: that day and what comes
    after it is not."""
    data.archive.mkdir(exist_ok=True)
    with data.lock(forgetting.LOCK):
        # what is erased from now on is taken out of the files by whoever erases, who waits for the lock
        books = engine.open_reader(data.database)
        try:
            with books.begin() as connection, staging(data.archive) as stage:
                _check(connection)
                _Run(data, connection, stage, complete // DAY_MS, told).all()
        finally:
            books.dispose()


def _check(connection: Connection) -> None:
    if any(kept.partition for kept in position.read_all(connection)):
        raise DataError("an instance on several machines is not archived: its hits are in the journals of all of them")


class _Run:
    """`after`: the first day that is not finished."""

    def __init__(self, data: Data, connection: Connection, stage: Stage, after: int, told: Told) -> None:
        self._data = data
        self._connection = connection
        self._stage = stage
        self._after = after
        self._told = told

    def all(self) -> None:
        self._hits()
        self._orders()
        self._ledger()

    def _hits(self) -> None:
        index = hits.Index(self._data.archive / INDEX, self._data.journal)
        index.extend(position.read(self._connection, "hits").upto)
        gone = erasures.in_state(self._connection, erasures.JOURNALS)
        people = forgetting.people(gone) if gone else []
        before = retention.noted(self._connection).get("before", 0)
        for day, count in sorted(index.days().items()):
            if day >= self._after or self._stage.rows(HITS, day) == count:
                continue
            hits.lay_out(self._stage, index, day)
            hits.compare(self._stage, self._connection, day)
            forgetting.erase_laid_out(self._stage, people)
            forgetting.end_keeping_laid_out(self._stage, before)
            self._publish(HITS, day, count)

    def _orders(self) -> None:
        for day, of in sorted(orders.days(self._connection).items()):
            if day >= self._after or self._stage.said(CONVERSIONS, day, orders.DIGEST) == of.digest:
                continue
            count = orders.lay_out(self._stage, self._connection, day, of)
            orders.compare(self._stage, self._connection, day)
            # the digest is in the file that gets its name last
            self._stage.publish(SHARES, day)
            self._publish(CONVERSIONS, day, count, {orders.DIGEST: of.digest})

    def _ledger(self) -> None:
        for day, leaves in sorted(ledger.closed(self._connection).items()):
            if day >= self._after or self._stage.rows(TRANSFERS, day) == leaves:
                continue
            count = ledger.lay_out(self._stage, self._connection, day)
            ledger.compare(self._stage, self._connection, day)
            self._publish(TRANSFERS, day, count)

    def _publish(self, table: Table, day: int, count: int, said: dict[str, str] | None = None) -> None:
        self._stage.publish(table, day, said)
        self._told(table.name, views.day(day), count)
