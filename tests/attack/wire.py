"""HTTP as bytes, for clients that must be quick, wrong or rude."""

import asyncio
import re
from contextlib import suppress
from typing import NamedTuple

LENGTH = re.compile(rb"\r\nContent-Length: (\d+)", re.I)
PATIENCE = 30.0
"""Seconds for an answer; only a service that is down takes so long."""


class Answer(NamedTuple):
    status: int
    head: bytes
    body: bytes

    def field(self, name: str) -> str:
        found = re.search(rf"\r\n{name}: ([^\r]*)".encode(), self.head, re.I)
        return found[1].decode() if found else ""


def get(target: str, address: str, *fields: str) -> bytes:
    """A browser's request that came by a proxy from `address`."""
    lines = [f"GET {target} HTTP/1.1", "Host: t.example", f"X-Forwarded-For: {address}", *fields, "", ""]
    return "\r\n".join(lines).encode()


async def read(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    length = LENGTH.search(head)
    body = await reader.readexactly(int(length[1])) if length else b""
    return Answer(int(head[9:12]), head, body)


class Line:
    """A connection that is kept, and opened again where the service has ended it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, count: int = 1) -> list[Answer]:
        """The answers to `count` requests sent at once; fewer where the connection ended before."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        answers: list[Answer] = []
        try:
            writer.write(request)
            async with asyncio.timeout(PATIENCE):
                while len(answers) < count:
                    answers.append(await read(reader))
                    if b"\r\nConnection: close" in answers[-1].head:
                        self.close()
                        break
        except (OSError, EOFError, TimeoutError):
            self.close()
        return answers

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def rudely(port: int, bytes_: bytes, seconds: float) -> int:
    """Sends whatever it is, takes an answer if one comes in time, and goes; its status, or 0."""
    status = 0
    with suppress(OSError, TimeoutError, ValueError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(bytes_)
            async with asyncio.timeout(seconds):
                status = int((await reader.read(65_536))[9:12] or 0)
        finally:
            writer.close()
    return status
