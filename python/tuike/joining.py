"""How a machine joins an instance that runs on several: what is checked before it starts, and what runs beside it."""

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy.exc import DBAPIError

from tuike import bookkeeping, clock, folder, mirror
from tuike.clock import Clock
from tuike.data import Data, DataError
from tuike.stores import engine, members
from tuike.transport import shipper
from tuike.transport.redis_log import hosts
from tuike.watching import Watch

ANY_ADDRESS = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Helper:
    """A process beside the machine's own: its command and what it finds in its environment."""

    name: str
    command: list[str]
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Network:
    """What joins the machines. `journal_url`: where others reach this one's journal, if not where it listens."""

    database: str
    redis: str = ""
    journal_url: str = ""

    def check(self, data: Data) -> None:
        """Measures the books' clock and finds out whether this machine may join. With the database away nobody knows,
        and the machine starts; Redis need not be there. Raises DataError; what a retired one has in its journal is
        declared then."""
        url = engine.parse(self.database)
        if self.redis:
            hosts(self.redis)  # whether it is a URL; Redis itself may be away
        books = engine.open_writer(url)
        refused = ""
        try:
            with books.begin() as connection:
                members.now(connection)
                begun = clock.steady()
                Clock(data.clock).measured(members.now(connection), begun, clock.steady())
                members.check_secret(connection, data.secret_sum)
                if members.is_retired(connection, data.machine):
                    refused = mirror.refusal(connection, data)
        except DBAPIError as error:
            if engine.is_hopeless(error):
                raise DataError(f"{engine.shown(url)}: {' '.join(str(error.orig).split())}") from error
            if not engine.is_away(error) and not engine.lacks_tables(error):
                raise
        finally:
            books.dispose()
        if refused:
            raise DataError(refused)

    def begin(self, data: Data, address: str) -> None:
        """Says in SQL that an edge starts, before it answers anybody: orders elsewhere wait for its first word. With
        the database away there are none."""
        books = engine.open_writer(engine.parse(self.database))
        try:
            with books.begin() as connection:
                members.report(connection, data.machine, 0, self._url(address), "starting")
        except DBAPIError as error:
            if not engine.is_away(error) and not engine.lacks_tables(error):
                raise
        finally:
            books.dispose()

    def _url(self, address: str) -> str:
        return self.journal_url or _reachable(address)

    def helpers(self, data: Data, address: str, *, serves: bool) -> list[Helper]:
        """In the order in which they stop. `address` is where the machine listens; `serves`: it has an edge."""
        found = []
        if self.redis:
            config: Any = shipper.Config(str(data.journal), data.machine, self.redis, self.database, str(data.clock))
            found.append(_helper("shipper", "tuike.transport.shipper", shipper.VARIABLE, config))
        config = mirror.Config(str(data.root), self.database, self.redis, self._url(address), serves)
        found.append(_helper("mirror", "tuike.mirror", mirror.VARIABLE, config))
        return found

    def watched(self) -> Watch:
        """What operators see of all processes."""
        return Watch(engine.parse(self.database))

    def processes(
        self, data: Data, folders: int, max_levels: int, payout_minimum: Mapping[str, int], retention_days: int
    ) -> list[Helper]:
        """What folds hits and keeps the books on a machine of several."""
        config: Any = folder.Config(self.database, self.redis, str(data.root))
        found = [_helper(f"folder-{n}", "tuike.folder", folder.VARIABLE, config) for n in range(folders)]
        least = dict(payout_minimum)
        config = bookkeeping.Config(str(data.root), self.database, self.redis, max_levels, least, retention_days)
        return [*found, _helper("bookkeeper", "tuike.bookkeeping", bookkeeping.VARIABLE, config)]


def _helper(name: str, module: str, variable: str, config: Any) -> Helper:
    return Helper(name, [sys.executable, "-m", module], {variable: msgspec.json.encode(config).decode()})


def _reachable(address: str) -> str:
    """Where others find what listens here."""
    parts = urlsplit(address)
    host = socket.gethostname() if parts.hostname in ANY_ADDRESS else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port}"


def retire(database: str, machine: str) -> str:
    """Declares a machine gone for good; says what is lost with it. Raises DataError."""
    url = engine.parse(database)
    books = engine.open_writer(url)
    try:
        with books.begin() as connection:
            lost = members.retire(connection, machine)
    except members.NotThere as error:
        raise DataError(f"{engine.shown(url)}: no machine {machine} was ever there") from error
    except members.Lives as error:
        raise DataError(f"machine {machine} gives signs of life; stop its edge first") from error
    except DBAPIError as error:
        if not engine.is_away(error) and not engine.lacks_tables(error):
            raise
        raise DataError(f"{engine.shown(url)}: {' '.join(str(error.orig).split())}") from error
    finally:
        books.dispose()
    told = [f"{machine} {row.incarnation}: lost from event {row.first} on" for row in lost]
    return "\n".join([*told, f"{machine} is retired; {len(lost)} of its journals have not ended"])
