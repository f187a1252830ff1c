"""Redis Streams between shippers and folds: one server (`redis://`) or a cluster (`redis+cluster://`).

tuike:{NN}:hits, tuike:{64}:orders   packets, in streams
tuike:{NN}:committed                 how far the partition's reader has come
tuike:{NN}:gaps:MACHINE              that reader asks this machine for all above `committed` again
tuike:{64}:closed                    incarnations that are wholly applied
tuike:registry                       a channel: the registry has changed, up to this number

Redis may lose any of it: the journals have it still. Ids of entries are no more than places to go on reading from;
after a failover they may run backwards. The client tries nothing again by itself.
"""

import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec
import redis
from msgspec.structs import replace
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import HiredisRespSerializer, PythonRespSerializer
from redis.exceptions import OutOfMemoryError, RedisClusterException, RedisError
from redis.retry import Retry

from tuike.data import DataError
from tuike.transport.entries import ORDERS, Packet, Reached, Records, Sending

CHANNEL = "tuike:registry"
"""On which mirrors hear that the registry has changed."""
CLOSED = f"tuike:{{{ORDERS}}}:closed"
SCHEMES = ("redis", "rediss", "redis+cluster", "rediss+cluster")
PORT = 6379
START = b"0-0"
OLDEST_SERVER = (7, 0)
SOCKET_S = 5.0
READ_BYTES = 1 << 17
LONG = 6_000
"""Bytes. Longer records are sent from where they are; the client joins what is shorter."""
PARTS = 1_024
"""Linux takes no more of them in one call."""
GAP_S = 60
"""Seconds for which a gap is asked for."""

HEAD = b"h"
"""A packet without its records: those of each entry are in a field of their own behind it."""
WHOLE = b"p"
"""A packet with its records, as older edges write it."""

_packets = msgspec.msgpack.Decoder(Packet)
_reached = msgspec.msgpack.Decoder(Reached)
_encode = msgspec.msgpack.Encoder().encode

Failed = (RedisError, RedisClusterException, OSError)
"""What a call raises where Redis cannot be reached, has no memory left or fails over: it can be tried again."""


@dataclass(frozen=True, slots=True)
class Known:
    """What Redis says of a partition to a shipper."""

    newest_there: bool
    """Whether the entry that was asked for is still there."""
    committed: Reached | None
    asked: bool
    """Whether its reader lacks something."""


def hosts(url: str) -> list[str]:
    """The URL of each host in it, as if it stood alone: of a cluster's any one will do. Asks nobody; raises DataError
    for a URL that is none."""
    parts = urlsplit(url)
    kind, cluster, _ = parts.scheme.partition("+cluster")
    user, at, names = parts.netloc.rpartition("@")
    found = [parts._replace(scheme=kind, netloc=f"{user}{at}{name}") for name in names.split(",")]
    too_many = len(found) > 1 and not cluster
    if parts.scheme not in SCHEMES or too_many or not all(host.hostname and _has_port(host) for host in found):
        raise DataError(f"{shown(url)} is none of redis://HOST[:PORT], redis+cluster://HOST[:PORT][,HOST...]")
    return [host.geturl() for host in found]


def connect(url: str) -> Any:
    """A client. Raises DataError for a URL that is none. A single server is asked nothing yet; a cluster is asked for
    its map, which raises one of `Failed` where none of its hosts can be reached."""
    options: dict[str, Any] = {
        "protocol": 3,
        "legacy_responses": False,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": SOCKET_S,
        "socket_connect_timeout": SOCKET_S,
        "socket_read_size": READ_BYTES,
    }
    found = hosts(url)
    options["connection_class"] = _SecureConnection if found[0].startswith("rediss") else _Connection
    if urlsplit(url).scheme.endswith("+cluster"):
        make: Any = ClusterNode
        nodes = [make(host.hostname, host.port or PORT) for host in map(urlsplit, found)]
        return RedisCluster.from_url(found[0], startup_nodes=nodes, **options)
    return redis.Redis.from_url(found[0], **options)


def shown(url: str) -> str:
    """A URL for people: without its password."""
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", ":***@") if parts.password else url


def _has_port(host: SplitResult) -> bool:
    """Whether what stands there for a port is one, or nothing does."""
    try:
        return host.port != 0
    except ValueError:
        return False


class _Packer:
    """hiredis packs commands quickly, and copies each twice; one with long records is sent in parts."""

    def __init__(self) -> None:
        quick: Any = HiredisRespSerializer
        apart: Any = PythonRespSerializer
        self._quick, self._apart = quick(), apart(LONG, _argument)

    def pack(self, *arguments: Any) -> list[Records]:
        long = any(isinstance(one, memoryview) and len(one) > LONG for one in arguments)
        packed: list[Records] = (self._apart if long else self._quick).pack(*arguments)
        return packed


class _Connection(redis.Connection):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options, command_packer=_Packer())  # type: ignore[no-untyped-call]

    def send_packed_command(self, command: Iterable[Records], check_health: bool = True) -> None:
        """Parts go together: the socket holds nothing back, so that one by one they would be segments of their own."""
        client: Any = super()
        client.send_packed_command((), check_health)  # connects
        to: Any = self._sock
        try:
            _send_together(to, list(command))
        except BaseException as error:
            client.disconnect()  # some of it may have gone
            if isinstance(error, OSError):
                raise redis.ConnectionError(f"while writing: {error}") from error
            raise


class _SecureConnection(redis.SSLConnection):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options, command_packer=_Packer())


class RedisLog:
    """One connection to the streams. Every call may raise one of `Failed`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open: Any = None
        self._closed: tuple[bytes, frozenset[int]] | None = None

    @property
    def _client(self) -> Any:
        if self._open is None:
            self._open = connect(self._url)
        return self._open

    def reset(self) -> None:
        """Forgets connections and the cluster's map, so that the next call finds them anew."""
        client, self._open = self._open, None
        if client is None:
            return
        if isinstance(client, RedisCluster):
            client.disconnect_connection_pools()  # type: ignore[no-untyped-call]
        client.close()

    def close(self) -> None:
        self.reset()

    def check(self) -> None:
        """Raises DataError where the server must not be used: too old, or it would throw entries away."""
        client = self._client
        for server in _nodes(client) if isinstance(client, RedisCluster) else [client]:
            told = server.info()
            version = str(told["redis_version"])
            if tuple(map(int, version.split(".")[:2])) < OLDEST_SERVER:
                raise DataError(f"{shown(self._url)}: Redis {version} is too old; it has to be 7.0 or newer")
            policy = told.get("maxmemory_policy", "noeviction")
            if policy != "noeviction":
                raise DataError(
                    f"{shown(self._url)}: maxmemory-policy is {policy}, and entries would be thrown away unread; "
                    "set it to noeviction"
                )

    # --- what a shipper does -----------------------------------------------------------------------

    def send(self, packets: Sequence[Sending]) -> list[bytes]:
        """Adds packets, each to its partition's stream, in one go; their ids."""
        pipe = self._client.pipeline(transaction=False)
        for sending in packets:
            records = ((b"%d" % number, data) for number, data in enumerate(sending.records))
            fields = chain((HEAD, _encode(sending.packet)), *records)
            pipe.execute_command("XADD", _stream(sending.packet.partition), "*", *fields)
        return [bytes(id) for id in _sound(pipe.execute())]

    def look(self, machine: str, newest: Mapping[int, bytes | None]) -> tuple[dict[int, Known], frozenset[int] | None]:
        """What there is of these partitions and, of each, of the entry with this id; and the incarnations that are
        wholly applied (None: nobody says). A gap that was asked for is not told again."""
        pipe = self._client.pipeline(transaction=False)
        for partition, id in newest.items():
            pipe.execute_command("XRANGE", _stream(partition), id or START, id or START, "COUNT", 1)
            # after the entry: its reader says `committed` before it takes the entry away
            pipe.execute_command("GET", _committed(partition))
            pipe.execute_command("GETDEL", _gaps(partition, machine))
        pipe.execute_command("GET", CLOSED)
        *answers, closed = _sound(pipe.execute())
        told = iter(answers)
        known = {}
        for partition, id in newest.items():
            there, committed, asked = next(told), next(told), next(told)
            reached = None if committed is None else _reached.decode(committed)
            known[partition] = Known(id is None or bool(there), reached, asked is not None)
        if closed is not None and (self._closed is None or self._closed[0] != closed):
            self._closed = closed, frozenset(msgspec.msgpack.decode(closed, type=list[int]))
        return known, None if closed is None or self._closed is None else self._closed[1]

    # --- what a reader does ------------------------------------------------------------------------

    def read(self, cursors: Mapping[int, bytes], limit: int) -> dict[int, list[tuple[bytes, Packet]]]:
        """At most `limit` packets of each partition behind its cursor, those that have any; with their ids."""
        pipe = self._client.pipeline(transaction=False)
        for partition, cursor in cursors.items():
            pipe.execute_command("XRANGE", _stream(partition), b"(" + cursor, "+", "COUNT", limit)
        told = zip(cursors, _sound(pipe.execute()), strict=True)
        return {partition: [_packet(entry) for entry in entries] for partition, entries in told if entries}

    def last_ids(self, partitions: Iterable[int]) -> dict[int, bytes]:
        """The ids of the newest entries; START where a stream is empty."""
        partitions = list(partitions)
        pipe = self._client.pipeline(transaction=False)
        for partition in partitions:
            pipe.execute_command("XREVRANGE", _stream(partition), "+", "-", "COUNT", 1)
        told = zip(partitions, _sound(pipe.execute()), strict=True)
        return {partition: bytes(entries[0][0]) if entries else START for partition, entries in told}

    def commit(self, reached: Mapping[int, tuple[Reached, bytes]]) -> None:
        """Says how far partitions have come, and takes away what lies up to these ids. No memory left: it is only
        taken away."""
        pipe = self._client.pipeline(transaction=False)
        for partition, (position, id) in reached.items():
            pipe.execute_command("SET", _committed(partition), _encode(position))
            pipe.execute_command("XTRIM", _stream(partition), "MINID", "=", after(id))
        for answer in pipe.execute(raise_on_error=False):
            if isinstance(answer, Exception) and not isinstance(answer, OutOfMemoryError):
                raise answer

    def ask(self, partition: int, machines: Iterable[str]) -> None:
        """Asks machines to send again what lies above `committed`."""
        pipe = self._client.pipeline(transaction=False)
        for machine in machines:
            pipe.execute_command("SET", _gaps(partition, machine), b"1", "EX", GAP_S)
        _sound(pipe.execute())

    def say_closed(self, incarnations: Iterable[int]) -> None:
        self._client.execute_command("SET", CLOSED, _encode(sorted(incarnations)))

    def publish(self, number: int) -> None:
        """Wakes the mirrors: the registry has changed, up to the books' number."""
        self._client.publish(CHANNEL, str(number))


def order_of(id: bytes) -> tuple[int, int]:
    """Ids in their order."""
    ms, _, seq = id.partition(b"-")
    return int(ms), int(seq)


def after(id: bytes) -> bytes:
    """The least id behind this one."""
    ms, seq = order_of(id)
    return b"%d-%d" % (ms, seq + 1)


def _stream(partition: int) -> str:
    return f"tuike:{{{partition:02}}}:{'orders' if partition == ORDERS else 'hits'}"


def _committed(partition: int) -> str:
    return f"tuike:{{{partition:02}}}:committed"


def _gaps(partition: int, machine: str) -> str:
    return f"tuike:{{{partition:02}}}:gaps:{machine}"


def _send_together(to: socket.socket, parts: list[Records]) -> None:
    first = 0
    while first < len(parts):
        sent = to.sendmsg(parts[first : first + PARTS])
        while first < len(parts) and sent >= len(parts[first]):
            sent -= len(parts[first])
            first += 1
        if sent:
            parts[first] = memoryview(parts[first])[sent:]


def _argument(given: Records | str) -> Records:
    """As it is sent. A view is a part of its own, for which a short one is not worth it."""
    match given:
        case str():
            return given.encode()
        case memoryview() if len(given) > LONG:
            return given
        case _:
            return bytes(given)


def _packet(entry: tuple[bytes, dict[bytes, bytes]]) -> tuple[bytes, Packet]:
    id, fields = entry
    if WHOLE in fields:
        return bytes(id), _packets.decode(fields[WHOLE])
    head = _packets.decode(fields[HEAD])
    entries = tuple(replace(one, data=fields[b"%d" % number]) for number, one in enumerate(head.entries))
    return bytes(id), replace(head, entries=entries)


def _sound(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _nodes(client: Any) -> list[Any]:
    return [client.get_redis_connection(node) for node in client.get_primaries()]
