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

from tuike._core import Edge, Writer, decode_event, encode_event, seal
from tuike.edge.app import Limits, Service, wall_clock
from tuike.edge.routes import Clock
from waiting import PATIENCE

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


def make_data(path: Path, now: int | None = None, more: Sequence[dict[str, Any]] = ()) -> Path:
    """A data directory with the secret and a whole registry log; `more` entries follow."""
    (path / "secret").write_text(SECRET)
    writer = Writer(str(path / "registry"), "registry", 1)
    entries = [*registry_entries(now or wall_clock()), *more]
    writer.append([encode_event({"kind": "registry", "registry": 1, "body": json.dumps(e).encode()}) for e in entries])
    writer.close(0)
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
    return Edge(str(data), producer, secrets.randbits(63), secret=SECRET, seed=seed, **settings)


@contextlib.asynccontextmanager
async def serving(
    data: Path,
    *,
    front: bool = True,
    limits: Limits | None = None,
    own_routes: Iterable[web.AbstractRouteDef] = (),
    send_buffer: int | None = None,
    clock: Clock = wall_clock,
    **settings: Any,
) -> AsyncIterator[tuple[Service, int]]:
    """A service on a free port of this host, and the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    if send_buffer is not None:  # accepted sockets inherit it
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    service = Service(
        open_edge(data, **settings), listener, front=front, limits=limits, clock=clock, own_routes=own_routes
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
