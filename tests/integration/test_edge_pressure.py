"""Clients that hold what they do not use: silent, slow, many, large. The others are served, and memory is bounded."""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from edge_support import events, get, make_data, names, serving, talk

from ports import HOST, free_port
from tuike.edge import worker
from tuike.edge.app import Limits
from tuike.edge.supervisor import Supervisor, open_listeners, worker_parts
from waiting import PATIENCE, eventually

PATIENT = Limits(head=PATIENCE, idle=PATIENCE, stalled=PATIENCE, linger=1.0)
SILENT = 20_000
"""As many connections that say nothing, where this process may have so many descriptors."""
SPARE = 400
DISTINCT = 1_000_000
PER_REQUEST = 60
"""Query names of one request, all new: below the 64 that a request may have."""
PIPELINED = 200
LARGE = 8_000_000
"""Bytes of what is oversized; all of it at once is more than `MAY_GROW`."""
MAY_GROW = 32 << 20
"""Bytes that a worker's own memory may have grown by, after any number of requests."""


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
    """Connections on which nothing follows these bytes; no address has ports for all of them."""
    with ExitStack() as open_ones:
        for number in range(count):
            source = f"127.0.0.{2 + number // 5_000}", 0
            client = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), source_address=source))
            client.sendall(head)
        yield


@contextlib.contextmanager
def descriptors(wanted: int) -> Iterator[int]:
    """Lets this process have so many, and who it starts; how many it may."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = before[1]
    with contextlib.suppress(ValueError, OSError):  # root alone may
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, most)))
        most = max(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        yield most
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], most), most))


async def test_twenty_thousand_silent_connections_cost_little_and_keep_nobody_out(tmp_path: Path) -> None:
    with descriptors(SILENT + SPARE) as most:
        count = min(SILENT, most - SPARE)
        async with a_worker(make_data(tmp_path)) as (pid, port):
            await talk(port, [get(b"/c/1")], 1)
            before = own_memory(pid)
            async with holding(port, count, b""):
                for _ in range(3):
                    assert names(await talk(port, [get(b"/c/7")], 1)) == ["7"]
                held = own_memory(pid) - before
            assert held < count * 1_024, f"{held >> 20} MiB for {count} of {SILENT}"


async def test_a_million_query_names_leave_nothing_behind(tmp_path: Path) -> None:
    async with a_worker(make_data(tmp_path)) as (pid, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        before, sent = 0, 0
        while sent < DISTINCT:
            requests = []
            for _ in range(PIPELINED):
                query = "&".join([f"n{name}=v" for name in range(sent, sent + PER_REQUEST)])
                requests.append(get(f"/p.gif?aff=a&pid=p&{query}".encode()))
                sent += PER_REQUEST
            writer.write(b"".join(requests))
            async with asyncio.timeout(PATIENCE):
                for _ in requests:
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert head.startswith(b"HTTP/1.1 200")
                    await reader.readexactly(43)
            before = before or own_memory(pid)
        writer.close()
        assert own_memory(pid) - before < MAY_GROW


OVERSIZED = {
    "target": (b"GET /c/1?", b"a"),
    "field": (b"GET /c/1 HTTP/1.1\r\nHost: x\r\nX: ", b"y"),
    "fields": (b"GET /c/1 HTTP/1.1\r\nHost: x\r\n", b"X-1: y\r\n"),
    "cookie": (b"GET /c/1 HTTP/1.1\r\nHost: x\r\nCookie: ", b"tk_vid=x; "),
    "method": (b"G", b"G"),
    "form": (b"POST /postback HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n", b"a=b&"),
    "beacon": (b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n", b"["),
    "chunks": (b"POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "extension": (b"POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "pipelined": (b"", get(b"/t.js")),
}
"""How it begins, and what comes again and again."""


async def test_whatever_is_oversized_takes_no_memory_and_no_hit(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    async with a_worker(data) as (pid, port):
        await talk(port, [get(b"/c/7")], 1)
        before = own_memory(pid)
        async with asyncio.TaskGroup() as group:
            for head, more in OVERSIZED.values():
                group.create_task(pour(port, head + more * (LARGE // len(more))))
            for _ in range(3):
                assert names(await talk(port, [get(b"/c/7")], 1)) == ["7"]
                assert own_memory(pid) - before < MAY_GROW
        assert own_memory(pid) - before < MAY_GROW
    assert [event["link"] for event in events(data)] == ["7"] * 4


async def pour(port: int, bytes_: bytes) -> None:
    """Sends as much of it as is taken in two seconds, and reads nothing before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(2.0):
            for start in range(0, len(bytes_), 1 << 18):
                writer.write(bytes_[start : start + (1 << 18)])
                await writer.drain()
            await reader.read(1 << 16)
    writer.transport.abort()


@contextlib.asynccontextmanager
async def a_worker(data: Path) -> AsyncIterator[tuple[int, int]]:
    """A worker in a process of its own: its id, and its port."""
    port = free_port()
    (listener,) = open_listeners(HOST, port, 1)
    supervisor = Supervisor([worker_parts([listener], worker.Config(str(data), drain_grace=0.1))], [listener])
    await supervisor.start()
    try:
        (pid,) = children()
        yield pid, port
    finally:
        await supervisor.stop()


def children() -> list[int]:
    """Workers that this process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"tuike.edge.worker" in (status.parent / "cmdline").read_bytes():
                found.append(int(status.parent.name))
    return found


def own_memory(pid: int) -> int:
    """Bytes that are the process's own (`RssAnon`)."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("RssAnon:")[2].split()[0]) << 10
