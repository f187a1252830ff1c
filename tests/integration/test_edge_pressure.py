"""Clients that hold what they do not use: silent, slow and many. The others are served."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from edge_support import get, make_data, names, serving, talk

from tuike.edge.app import Limits
from waiting import PATIENCE, eventually

PATIENT = Limits(head=PATIENCE, idle=PATIENCE, stalled=PATIENCE, linger=1.0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path)


@pytest.mark.parametrize("front", [True, False], ids=["front", "front off"])
@pytest.mark.parametrize("head", [b"", b"P", b"POST /e HTTP/1.1\r\nHost: x\r\nX: ", b"\r\n"])
async def test_whoever_sends_no_whole_head_is_cut_off_at_either_door(data: Path, front: bool, head: bytes) -> None:
    async with serving(data, front=front, limits=replace(PATIENT, head=1.0, idle=2.0)) as (service, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        await eventually(lambda: service.connections == 1, "the connection")
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                assert await reader.read() == b""
        await eventually(lambda: service.connections == 0, "the connection to be gone")
        writer.close()


async def test_a_slow_body_is_not_taken_for_a_slow_head(data: Path) -> None:
    async with serving(data, limits=replace(PATIENT, head=1.0)) as (_, port):
        body = b'{"aff":"a","pid":"p"}'
        head = b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert names(await talk(port, [head, *(bytes([byte]) for byte in body)], 1, pause=0.15)) == ["204"]


@pytest.mark.parametrize("head", [b"", b"GET /c/1 HT", b"P"], ids=["silent", "half a head", "aiohttp's"])
async def test_at_the_limit_the_silent_make_room(data: Path, head: bytes) -> None:
    async with serving(data, limits=replace(PATIENT, connections=50)) as (service, port), holding(port, 200, head):
        await eventually(lambda: service.connections == 50, "the limit to be reached")
        for _ in range(3):
            assert names(await talk(port, [get(b"/c/7")], 1)) == ["7"]
        assert service.connections <= 50


@contextlib.asynccontextmanager
async def holding(port: int, count: int, head: bytes) -> AsyncIterator[None]:
    """Connections on which nothing follows these bytes."""
    with ExitStack() as open_ones:
        for _ in range(count):
            client = open_ones.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(head)
        yield
