"""Where a sender finds what was booked, keeps how far it is, and whether it is the one to send."""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tuike.books.records import Booked
from tuike.data import Data
from tuike.replay.logs import JournalLog, TableLog
from tuike.sending.outbox import Outbox
from tuike.stores import engine, leases, members

LEASE = "webhooks"
LEASE_MS = 4_000


class Place(Protocol):
    """Belongs to one thread. Every call may raise one of SQL's errors."""

    @property
    def outbox(self) -> Outbox: ...
    def is_turn(self) -> bool:
        """Whether this one sends now; to be asked every second at least."""
        ...

    def after(self, number: int, upto: int) -> list[Booked]:
        """Some of what was booked behind `number` and up to `upto`."""
        ...

    def close(self) -> None: ...


class OneMachine:
    """The books' own journal, and a file beside it."""

    def __init__(self, data: Data) -> None:
        self.outbox = Outbox.of_file(data.webhooks)
        self._log = JournalLog(str(data.journal))

    def is_turn(self) -> bool:
        return True

    def after(self, number: int, upto: int) -> list[Booked]:
        return self._log.after(number, upto, Booked)

    def close(self) -> None:
        self.outbox.close()


class ManyMachines:
    """SQL alone. Of several that would send, the one that has the lease does; another that wakes up may send something
    once more, under the same id, and moves nothing."""

    def __init__(self, data: Data, holder: str) -> None:
        """`holder` is this process's alone, for ever."""
        self._engine = engine.open_writer(data.database)
        self._holder = holder
        self._token = 0
        self.outbox = Outbox(self._engine, hold=self._hold)

    def is_turn(self) -> bool:
        with self._engine.begin() as connection:
            token = leases.claim(connection, LEASE, self._holder, members.now(connection), LEASE_MS)
        self._token = token or 0
        return token is not None

    def after(self, number: int, upto: int) -> list[Booked]:
        with self._engine.begin() as connection:
            return TableLog(connection).after(number, upto, Booked)

    def close(self) -> None:
        """Gives the lease back, so that another need not wait."""
        with suppress(DBAPIError), self._engine.begin() as connection:
            leases.release(connection, LEASE, self._token)
        self.outbox.close()

    def _hold(self, connection: Connection) -> None:
        leases.hold(connection, LEASE, self._token, members.now(connection), LEASE_MS)


Open = Callable[[], Place]
"""Opens it, in its thread."""
