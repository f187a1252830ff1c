"""The transport without Redis, for a few edges: whoever reads fetches the journals from the machines themselves.

It has the face of a `RedisLog` for one reader. The streams are in this process's memory, and the shippers are here too,
one for each machine that says where its journal can be fetched (`edges.url`); they read over HTTP (`journal_http`).
Nothing of it outlives the process, and nothing need: what is not committed is fetched again.
"""

import http.client
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import URL

from tuike.journal_http import MEDIA, Asked, Taken, token
from tuike.stores import engine, members
from tuike.transport.entries import Packet, Reached, Sending
from tuike.transport.redis_log import START, Failed, Known, order_of
from tuike.transport.shipper import Away, Shipper, stored_positions

PULL_S = 0.05
"""Between two requests to a machine that has nothing new."""
MACHINES_S = 2.0
"""Between looks at which machines there are."""
RETRY_S = 1.0
ANSWER_S = 10.0
UNREACHABLE = (OSError, http.client.HTTPException, msgspec.DecodeError)

_log = logging.getLogger(__name__)


class Memory:
    """Streams of packets with one reader, and what shippers ask of them."""

    def __init__(self) -> None:
        self._streams: dict[int, deque[tuple[bytes, Packet]]] = {}
        self._committed: dict[int, Reached] = {}
        self._asked: set[tuple[int, str]] = set()
        self._last = 0
        self.closed: frozenset[int] | None = None
        """Incarnations that are wholly applied."""

    def keep(self, partitions: Iterable[int]) -> None:
        """Drops all others."""
        self._streams = {place: stream for place, stream in self._streams.items() if place in partitions}

    def reset(self) -> None:
        """There is nothing that could be found anew."""

    def check(self) -> None:
        """Nor anything that could be wrong."""

    def send(self, packets: Sequence[Sending]) -> list[bytes]:
        sent = []
        for sending in packets:
            self._last += 1
            id = b"%d-0" % self._last
            self._streams.setdefault(sending.packet.partition, deque()).append((id, sending.whole()))
            sent.append(id)
        return sent

    def look(self, machine: str, newest: Mapping[int, bytes | None]) -> tuple[dict[int, Known], frozenset[int] | None]:
        known = {}
        for partition, id in newest.items():
            there = id is None or any(kept == id for kept, _ in reversed(self._streams.get(partition, ())))
            asked = (partition, machine) in self._asked
            self._asked.discard((partition, machine))
            known[partition] = Known(there, self._committed.get(partition), asked)
        return known, self.closed

    def read(self, cursors: Mapping[int, bytes], limit: int) -> dict[int, list[tuple[bytes, Packet]]]:
        found = {}
        for partition, cursor in cursors.items():
            after = order_of(cursor)
            news = [kept for kept in self._streams.get(partition, ()) if order_of(kept[0]) > after][:limit]
            if news:
                found[partition] = news
        return found

    def last_ids(self, partitions: Iterable[int]) -> dict[int, bytes]:
        streams = {partition: self._streams.get(partition) for partition in partitions}
        return {partition: stream[-1][0] if stream else START for partition, stream in streams.items()}

    def commit(self, reached: Mapping[int, tuple[Reached, bytes]]) -> None:
        for partition, (position, id) in reached.items():
            self._committed[partition] = position
            stream = self._streams.get(partition, deque())
            while stream and order_of(stream[0][0]) <= order_of(id):
                stream.popleft()

    def ask(self, partition: int, machines: Iterable[str]) -> None:
        self._asked |= {(partition, machine) for machine in machines}


class FarJournal:
    """A machine's journal over HTTP. Every call may raise one of `UNREACHABLE`."""

    def __init__(self, url: str, secret: str, reader: str) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_S)
        self._path = f"{parts.path.rstrip('/')}/journal"
        self._headers = {"Authorization": f"Bearer {token(secret)}", "Content-Type": MEDIA}
        self._reader = reader
        self.now = 0
        """The machine's time, ms, before it looked for its last answer."""

    def take(self, after: Mapping[int, int], limit: int, now: int) -> Taken:
        body = msgspec.msgpack.encode(Asked(dict(after), limit, self._reader))
        try:
            self._connection.request("POST", self._path, body, self._headers)
            answer = self._connection.getresponse()
            said = answer.read()
            if answer.status != http.client.OK:
                raise http.client.HTTPException(f"{answer.status} {answer.reason}")
            taken = msgspec.msgpack.decode(said, type=Taken)
            self.now = taken.now
            return taken
        except UNREACHABLE:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()


class _Machine:
    """One that is fetched from, and when that is due."""

    def __init__(self, url: str, journal: FarJournal, shipper: Shipper) -> None:
        self.url = url
        self.journal = journal
        self.shipper = shipper
        self.due = 0.0


class HttpLog:
    """One reader's transport. Every call may raise one of `redis_log.Failed`, or SQL's errors."""

    def __init__(self, database: URL, secret: str, reader: str) -> None:
        """`reader` names this process among those that fetch."""
        self._database = database
        self._books = engine.open_reader(database)
        self._secret = secret
        self._reader = reader
        self._memory = Memory()
        self._machines: dict[str, _Machine] = {}
        self._partitions: list[int] = []
        self._next_machines = 0.0
        self.last_ids = self._memory.last_ids
        self.commit = self._memory.commit
        self.ask = self._memory.ask

    def check(self) -> None:
        """There is no server that could be of the wrong kind."""

    def reset(self) -> None:
        """Fetches everything above the committed positions anew."""
        self._begin([])
        self._memory = Memory()
        self.last_ids, self.commit, self.ask = self._memory.last_ids, self._memory.commit, self._memory.ask

    def close(self) -> None:
        self.reset()
        self._books.dispose()

    def read(self, cursors: Mapping[int, bytes], limit: int) -> dict[int, list[tuple[bytes, Packet]]]:
        tick = time.monotonic()
        if sorted(cursors) != self._partitions:
            self._begin(sorted(cursors))
        if tick >= self._next_machines:
            self._next_machines = tick + MACHINES_S
            self._find()
        for name, machine in self._machines.items():
            if tick >= machine.due:
                self._pull(name, machine, tick)
        return self._memory.read(cursors, limit)

    def say_closed(self, incarnations: Iterable[int]) -> None:
        """Shippers here ask the database."""

    def publish(self, number: int) -> None:
        """Mirrors look by themselves."""

    def _begin(self, partitions: list[int]) -> None:
        """Fetches for other partitions from now on, from all machines anew."""
        for machine in self._machines.values():
            machine.journal.close()
        self._machines, self._partitions = {}, partitions
        self._memory.keep(partitions)
        self._next_machines = 0.0

    def _find(self) -> None:
        """Who is there now; one that has moved is fetched from where it is."""
        with self._books.connect() as connection:
            urls = {one.name: one.url for one in members.machines(connection) if one.url and one.state != "retired"}
            self._memory.closed = frozenset(members.closed(connection))
        for name in [name for name, machine in self._machines.items() if urls.get(name) != machine.url]:
            self._machines.pop(name).journal.close()
        for name, url in urls.items():
            if name not in self._machines:
                journal = FarJournal(url, self._secret, self._reader)
                positions = stored_positions(self._database)
                shipper = Shipper(journal, name, self._memory, positions, self._partitions)
                self._machines[name] = _Machine(url, journal, shipper)

    def _pull(self, name: str, machine: _Machine, tick: float) -> None:
        try:
            machine.shipper.step(machine.journal.now, tick)  # a little early, so a promise that is kept
            machine.due = tick if machine.shipper.more else tick + PULL_S
        except (*UNREACHABLE, *Failed, Away) as error:
            _log.warning("machine %s at %s: %s", name, machine.url, error)
            machine.due = time.monotonic() + RETRY_S  # it may have been waited for
