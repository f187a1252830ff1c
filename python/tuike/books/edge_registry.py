"""What edges must hear of the registry: told to those of this machine in its registry log, to others by way of SQL."""

from sqlalchemy import Connection, Engine

from tuike.books import daily_keys, entries
from tuike.books.daily_keys import Random
from tuike.books.entries import Entry
from tuike.books.registry_log import DAY_MS, RegistryLog
from tuike.data import Data
from tuike.stores import engine, registry_changes


class EdgeRegistry:
    """The registry log of a machine that has books and edges. Belongs to the processor, which is in no transaction
    when it calls."""

    def __init__(self, books: Engine, data: Data, random: Random) -> None:
        """`books` is the writer's engine."""
        self._books = books
        self._reader = engine.open_reader(data.database)
        self._secret = data.secret
        self._random = random
        self._log = RegistryLog(self._reader, data.registry, random)
        self.is_due = self._log.is_due
        self.wait = self._log.wait
        self.append = self._log.append
        self.tick = self._log.tick

    def begin(self, number: int, now: int) -> None:
        """Turns the keys, and begins an incarnation of the log at the books' `number`."""
        with self._books.begin() as connection:
            daily_keys.turn(connection, now // DAY_MS, self._secret, self._random)
            few = list(entries.few(connection))
        self._log.begin(few, number, now)

    def close(self, now: int) -> None:
        self._log.close(now)
        self._reader.dispose()


class EdgeNews:
    """What the edges of other machines must hear, for a bookkeeper that has none beside it: in its own transactions.
    After the commit its caller wakes the mirrors; those that do not hear it look by themselves."""

    def __init__(self, secret: str, random: Random) -> None:
        self._secret = secret
        self._random = random
        self._day = -1

    def is_due(self, now: int) -> bool:
        """Whether a day has begun for which `begin` was not called."""
        return now // DAY_MS != self._day

    def begin(self, connection: Connection, now: int) -> None:
        """Turns the keys, and drops what is told no more. Twice is once: whoever takes the books over does it again."""
        daily_keys.turn(connection, now // DAY_MS, self._secret, self._random)
        registry_changes.prune(connection, now)
        self._day = now // DAY_MS

    def tell(self, connection: Connection, changed: list[Entry], number: int, now: int) -> None:
        """What `Bookkeeper.apply` answered for registry writes, with its number after them; the number alone where
        edges need not hear of it, since whoever wrote waits for them to say it."""
        registry_changes.write(connection, changed or [entries.NUMBER], number, now)
