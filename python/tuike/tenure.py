"""Who keeps the books of a database on a server: one data directory's processor, by a lease.

In the data directory a lock says it, and SQLite is nobody else's. A server's database could be given to two."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from tuike.data import Data, DataError, DataInUse
from tuike.stores import engine, leases, members

LEASE = "books"
LEASE_MS = 10_000
RENEW_MS = 2_000


@dataclass(slots=True)
class Tenure:
    """The lease's token; 0: none is needed."""

    token: int
    held: int = 0
    """When it was renewed last."""

    @classmethod
    def of_books(cls, books: Engine, data: Data, now: int) -> "Tenure":
        """Takes the lease; this directory's own last processor is no other: it has ended. Raises DataInUse, and
        DataError where the books are another instance's."""
        if data.server is None:
            return cls(0)
        with books.begin() as connection:
            try:
                members.claim(connection, data.secret_sum)
            except members.OtherSecret as error:
                raise DataError(
                    f"{engine.shown(data.server)}: the books were made under another secret than {data.root}; "
                    "choose another --database or --data"
                ) from error
            token = leases.claim(connection, LEASE, data.machine, now, LEASE_MS)
            if token is None:
                holder = leases.holders(connection, now).get(LEASE, "another machine")
                raise DataInUse(f"{engine.shown(data.server)}: {holder} keeps these books; stop it, or choose another")
        return cls(token, now)

    def hold(self, connection: Connection, now: int) -> None:
        """First in a transaction of the books. Raises PositionMoved."""
        if self.token:
            leases.hold(connection, LEASE, self.token, now, LEASE_MS)
            self.held = now

    def keep(self, books: Engine, now: int) -> None:
        """The same from time to time, with nothing to do."""
        if self.token and now - self.held >= RENEW_MS:
            with books.begin() as connection:
                self.hold(connection, now)
