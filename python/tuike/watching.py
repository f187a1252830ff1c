"""What operators see of the processes that fold hits and keep the books, where there are several machines: all of it
stands in the database, so each of them tells the same of all."""

from collections.abc import Iterable

from sqlalchemy import URL, Connection, func, select
from sqlalchemy.exc import DBAPIError

from tuike.observing import Sample, family
from tuike.stores import engine, leases, members, position
from tuike.stores.schema import hit_counts, producers
from tuike.transport.entries import PARTITIONS

BOOKS = "books"


class Watch:
    """Asks the database, with a connection of its own at a time."""

    def __init__(self, database: URL) -> None:
        self._books = engine.open_reader(database)

    def unready(self) -> str:
        """Why nothing can be folded; empty: it can."""
        try:
            with self._books.begin() as connection:
                members.now(connection)
        except DBAPIError as error:
            return f"books: {engine.said(error)}"
        return ""

    def metrics(self) -> str:
        """Metrics in Prometheus' text format."""
        try:
            with self._books.begin() as connection:
                return _away(0) + _lags(connection) + _leases(connection) + _folded(connection)
        except DBAPIError:
            return _away(1)


def _away(away: int) -> str:
    text = "Whether the database server cannot be asked; hits are recorded all the same."
    return family("affiliate_books_away", "gauge", text, [("", (), away)])


def _lags(connection: Connection) -> str:
    """A partition is as far behind as the oldest promise in it of anybody who lives."""
    alive = select(producers.c.incarnation).where(producers.c.state == "live")
    live = [int(incarnation, 16) for incarnation in connection.scalars(alive)]
    now = members.now(connection)
    samples: list[Sample] = []
    for place in sorted(position.read_all(connection), key=lambda place: place.partition):
        least = min((place.marks.get(incarnation, 0) for incarnation in live), default=0)
        if least:  # else somebody has promised nothing yet
            samples.append(("", (("partition", _name(place.partition)),), max(0, now - least) / 1000))
    text = "How far behind the clock a partition of hits is, its sums included, or the books."
    return family("affiliate_partition_lag_seconds", "gauge", text, samples)


def _leases(connection: Connection) -> str:
    held = sorted(leases.holders(connection, members.now(connection)).items())
    samples: Iterable[Sample] = [("", (("lease", name), ("holder", holder)), 1) for name, holder in held]
    return family("affiliate_lease", "gauge", "Who holds which lease: a partition of hits, or the books.", samples)


def _folded(connection: Connection) -> str:
    folded = connection.scalar(select(func.coalesce(func.sum(hit_counts.c.hits), 0))) or 0
    text = "Hits that are folded, whatever became of them."
    return family("affiliate_folded_hits_total", "counter", text, [("", (), int(folded))])


def _name(partition: int) -> str:
    return f"{partition:02}" if partition < PARTITIONS else BOOKS
