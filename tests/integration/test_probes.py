"""Http11Probe's single requests: case by case, the edge is no worse than a bare aiohttp application."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import corpora
from aiohttp import web
from edge_support import make_data, serving

TIMEOUT = 1.5
"""Seconds without an end of the connection that count as waiting."""
AT_ONCE = 16
PASS, WARN, FAIL = 2, 1, 0


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def verdict(port: int, payload: bytes, case: dict[str, Any]) -> tuple[int, bytes]:
    """How good the first answer is, and what it was."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(payload)
    got, waiting = b"", False
    try:
        async with asyncio.timeout(TIMEOUT):
            while chunk := await reader.read(65_536):
                got += chunk
    except TimeoutError:
        waiting = True
    except ConnectionError:
        pass
    writer.close()
    status = re.match(rb"HTTP/1\.[01] (\d{3})", got)
    if status is None:
        return (PASS if case["timeout_is_pass" if waiting else "close_is_pass"] else FAIL), got
    if among(status[1], case["pass_status"]):
        return PASS, got
    return (WARN if among(status[1], case["warn_status"]) else FAIL), got


def among(status: bytes, ranges: list[str]) -> bool:
    ends = ((text.partition("-")[0], text.partition("-")[2] or text) for text in ranges)
    return any(int(low) <= int(status) <= int(high) for low, high in ends)


@contextlib.asynccontextmanager
async def bare() -> AsyncIterator[int]:
    """An aiohttp application that gives back what it gets; its port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    yield listener.getsockname()[1]
    await runner.cleanup()


async def test_the_edge_is_no_worse_than_bare_aiohttp_case_by_case(tmp_path: Path, shared_data: Path) -> None:
    own = [web.route("*", "/{path:$|echo|cookie|path}", echo)]
    gate = asyncio.Semaphore(AT_ONCE)
    cases = [
        (case, payload)
        for case, as_sent in corpora.probe_cases(shared_data)
        # at the front's own door, too
        for payload in dict.fromkeys((as_sent, re.sub(rb"\A(GET|HEAD) /(?= HTTP)", rb"\1 /healthz", as_sent)))
    ]

    async def compare(port: int, floor: int, case: dict[str, Any], payload: bytes) -> str:
        async with gate:
            (edge, said), (least, bare_said) = [await verdict(to, payload, case) for to in (port, floor)]
        return "" if edge >= least else f"{case['id']}: {said[:80]!r}, bare {bare_said[:80]!r}"

    async with bare() as floor, serving(make_data(tmp_path), own_routes=own) as (_, port):
        found = await asyncio.gather(*(compare(port, floor, case, payload) for case, payload in cases))
    assert [text for text in found if text] == []


async def test_llhttps_requests_are_refused_wherever_bare_aiohttp_refuses_and_understood_where_it_does(
    tmp_path: Path, shared_data: Path
) -> None:
    """As they are, and asking for a link, so that the front's own parser is asked first."""
    own = [web.route("*", "/{path:(?!c/1$).*}", echo)]
    gate = asyncio.Semaphore(AT_ONCE)
    cases = [
        (name, payload)
        for name, as_sent, _ in corpora.llhttp(shared_data)
        for payload in dict.fromkeys((as_sent, corpora.at_a_link(as_sent)))
    ]
    no_case: dict[str, Any] = {"timeout_is_pass": False, "close_is_pass": False, "pass_status": [], "warn_status": []}

    async def compare(port: int, floor: int, name: str, payload: bytes) -> str:
        async with gate:
            edge, least = [(await verdict(to, payload, no_case))[1] for to in (port, floor)]
        same = understood(edge) == understood(least)
        return "" if same else f"{name}: {payload[:90]!r}: {edge[:60]!r}, bare {least[:60]!r}"

    async with bare() as floor, serving(make_data(tmp_path), own_routes=own) as (_, port):
        found = await asyncio.gather(*(compare(port, floor, name, payload) for name, payload in cases))
    assert [text for text in found if text] == []


def understood(answer: bytes) -> bool:
    """Whether it answers a request, be it that there is no such thing, and not what is none."""
    status = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    return status is not None and status[1] not in (b"400", b"413", b"414", b"431", b"501", b"505")
