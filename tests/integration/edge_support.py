"""A real edge to test against: a data directory with a registry, a service on a free port, raw clients."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import re
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tuike._core import Edge, SnapshotBuilder, Writer, decode_event, encode_event, seal
from tuike.books import entries as books
from tuike.clock import wall
from tuike.data import Data
from tuike.edge.app import Limits, Service
from tuike.edge.routes import Clock
from waiting import PATIENCE, until

SECRET = "5a" * 32
SEGMENT_HEADER = 64
MERCHANT_KEY = "merchant-key"
HOST = b"Host: t.example\r\n"
PROBLEM = re.compile(rb'"code":"(\w+)"')


def registry_entries(now: int) -> list[dict[str, Any]]:
    """A merchant `m`, a product `p`, a promoter `a`, links `0` to `299` to https://shop.example/CODE."""
    nonce = bytes(12)
    entries: list[dict[str, Any]] = [
        {
            "t": "merchant",
            "id": "m",
            "currency": "CNY",
            "secret": seal(SECRET, "merchant", MERCHANT_KEY.encode(), nonce),
            "status": "active",
        },
        {
            "t": "product",
            "id": "p",
            "merchant": "m",
            "url": "https://shop.example/p",
            "fallback_url": "",
            "allowed_hosts": ["shop.example"],
            "cookie_days": 30,
            "pixel_conversions": "hold",
            "status": "active",
        },
        {"t": "promoter", "id": "a", "status": "active"},
    ]
    for day in range(-1, 3):
        number = now // 86_400_000 + day
        entries.append({"t": "key", "day": number, "key": seal(SECRET, "day", number.to_bytes(32, "big"), nonce)})
    for code in range(300):
        link = {"code": str(code), "promoter": "a", "product": "p", "url": f"https://shop.example/{code}"}
        entries.append({"t": "link", **link, "expires": None, "status": "active"})
    return [*entries, {"t": "ready"}]


class Log:
    """An incarnation of the registry log, as the bookkeeper writes it."""

    def __init__(self, data: Path, told: Sequence[dict[str, Any]], incarnation: int | None = None) -> None:
        number = incarnation or secrets.randbits(63)
        self.path = data / "registry" / "registry" / f"{number:016x}"
        self.writer = Writer(str(data / "registry"), "registry", number, durability="process")
        self.add(1, *told)

    def add(self, version: int, *told: dict[str, Any]) -> None:
        self.writer.append(
            [encode_event({"kind": "registry", "registry": version, "body": json.dumps(e).encode()}) for e in told]
        )

    def write_snapshot(self, entries: Iterable[dict[str, Any]]) -> None:
        """Writes the promoters and links among the entries, and says so."""
        links = [dict.fromkeys(books.LINK, "") | e for e in entries if e["t"] == "link"]
        promoters = [e for e in entries if e["t"] == "promoter"]
        builder = SnapshotBuilder(str(self.path / "snapshot"), bytes(16), len(promoters), len(links))
        builder.add_promoters([json.dumps([e[name] for name in books.PROMOTER]) for e in promoters])
        builder.add_links([json.dumps([e[name] for name in books.LINK]) for e in links])
        builder.finish()
        self.add(1, books.SNAPSHOT)


def make_data(path: Path, now: int | None = None, more: Sequence[dict[str, Any]] = ()) -> Path:
    """A data directory with the secret and a whole registry; `more` entries are changes."""
    (path / "secret").write_text(SECRET)
    entries = registry_entries(now or wall())
    many = [entry for entry in entries if entry["t"] in ("promoter", "link")]
    log = Log(path, [entry for entry in entries if entry not in [*many, books.READY]], 1)
    log.write_snapshot(many)
    log.add(1, books.READY, *more)
    log.writer.close(0)
    return path


def events(data: Path, producer: str = "*") -> list[dict[str, Any]]:
    """The events written so far, each producer's in order. Reads the segments, since readers of a live journal see only
    what is synced."""
    found = []
    for path in sorted((data / "journal").glob(f"{producer}/*/*.seg")):
        with path.open("rb") as segment:
            segment.seek(SEGMENT_HEADER)
            while (length := struct.unpack("<4xI", segment.read(8).ljust(8, b"\0"))[0]) > 0:
                found.append(decode_event(segment.read(8 + length + 4)[8:-4]))
    return found


def open_edge(data: Path, producer: str = "edge-0", seed: bytes = bytes(32), **settings: Any) -> Edge:
    """The core of a worker; it has the registry where there is one."""
    edge = Edge(str(data), producer, secrets.randbits(63), secret=SECRET, seed=seed, **settings)
    if (data / "registry").exists():
        until(lambda: is_ready(edge), "the registry's snapshot to be open")
    return edge


def is_ready(edge: Edge) -> bool:
    """Whether it has the registry after another look."""
    edge.tick(0)
    return edge.ready


@contextlib.asynccontextmanager
async def serving(
    data: Path,
    *,
    front: bool = True,
    limits: Limits | None = None,
    own_routes: Iterable[web.AbstractRouteDef] = (),
    send_buffer: int | None = None,
    clock: Clock = wall,
    journal: Data | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Service, int]]:
    """A service on a free port of this host, and the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    if send_buffer is not None:  # accepted sockets inherit it
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    service = Service(
        open_edge(data, **settings),
        listener,
        front=front,
        limits=limits,
        clock=clock,
        own_routes=own_routes,
        journal=journal,
    )
    await service.start()
    try:
        yield service, listener.getsockname()[1]
    finally:
        await service.close()
        listener.close()


def get(target: bytes, *fields: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def post(target: bytes, body: bytes, *fields: bytes) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    head = b"POST " + target + b" HTTP/1.1\r\n" + HOST + length + b"".join(field + b"\r\n" for field in fields)
    return head + b"\r\n" + body


def signed(now: int, **parameters: str) -> bytes:
    """A postback's parameters with the merchant's signature, as a query or form; `now` in milliseconds."""
    parameters |= {"merchant": "m", "ts": str(now // 1000)}
    encoded = sorted(f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}" for name, value in parameters.items())
    text = "&".join(encoded)
    return f"{text}&sig={hmac.new(MERCHANT_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()}".encode()


async def read_all(reader: asyncio.StreamReader, until: int | None = None) -> list[bytes]:
    """Whole answers as they come: `until` so many, or to the end of the connection."""
    answers: list[bytes] = []
    async with asyncio.timeout(PATIENCE):
        while until is None or len(answers) < until:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionResetError) as error:
                if getattr(error, "partial", b""):
                    answers.append(error.partial)
                break
            length = re.search(rb"Content-Length: (\d+)", head)
            answers.append(head + await reader.readexactly(int(length[1]) if length else 0))
    return answers


async def talk(
    port: int, chunks: Sequence[bytes], until: int | None, *, pause: float = 0.01, end: bool = False
) -> list[bytes]:
    """Sends the chunks apart from each other; the answers, `until` so many or to the connection's end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(read_all(reader, until))
    try:
        for chunk in chunks:
            if reading.done():
                break
            writer.write(chunk)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(pause)
        if end:
            writer.write_eof()
        return await reading
    finally:
        reading.cancel()
        writer.close()


def names(answers: Sequence[bytes]) -> list[str]:
    """What each answer is, in a word: where it leads, a problem's code, the body of a test's own route, the status."""
    return [_name(answer) for answer in answers]


def _name(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    if found := re.search(rb"Location: https://shop\.example/(\w+)", head):
        return found[1].decode()
    if found := PROBLEM.search(body):
        return found[1].decode()
    if b"Content-Type: text/plain" in head and head.startswith(b"HTTP/1.1 200"):
        return body.decode()
    return head.split(b" ", 2)[1].decode()
