"""The front and aiohttp behind it, as raw bytes on a socket see them: what a study of the fast lane found must hold."""

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from edge_support import events, get, make_data, names, post, read_all, serving, talk

from tuike.edge.app import Limits, Service
from waiting import PATIENCE, eventually

BIG = 3_000_000
LATE = 20.0
"""Seconds that a loaded machine may take for what a limit of a few seconds brings about; each limit that is not set to
them is longer."""


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(float(request.query.get("t", "0.1")))
    return web.Response(text="slow " + request.query.get("i", ""))


async def echo(request: web.Request) -> web.Response:
    return web.Response(text=f"{request.method} {len(await request.read())}")


async def ignore(request: web.Request) -> web.Response:
    return web.Response(text="ignored body")


async def declined(request: web.Request) -> web.Response:
    return web.Response(text="declined")


async def big(request: web.Request) -> web.Response:
    return web.Response(body=b"x" * BIG)


async def talkative(request: web.Request) -> web.WebSocketResponse:
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    async for message in answer:
        await answer.send_str("echo:" + message.data)
    return answer


OWN_ROUTES = [
    web.get("/slow", slow),
    web.post("/echo", echo),
    web.post("/ignore", ignore),
    web.get("/declined", declined),
    web.get("/big", big),
    web.get("/ws", talkative),
]
POST10 = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET /declined HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SMUGGLE = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path)


PATIENT = Limits(head=PATIENCE, idle=PATIENCE, stalled=PATIENCE, linger=1.0)


@pytest.fixture
async def edge(data: Path) -> AsyncIterator[tuple[Service, int]]:
    async with serving(data, limits=PATIENT, own_routes=OWN_ROUTES) as both:
        yield both


def one_by_one(request: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in request]


def descriptors() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]


# --- whole exchanges: what is sent (in these segments), what comes back, whether the connection ends after it

EXCHANGES = {
    "pipelined clicks in one segment": ([b"".join(get(b"/c/%d" % i) for i in range(5))], list("01234"), False),
    "a click byte by byte": (one_by_one(get(b"/c/77")), ["77"], False),
    "a foreign request byte by byte": (one_by_one(get(b"/nowhere")), ["not_found"], False),
    "a cut between two heads' middles": ([get(b"/c/1")[:25], get(b"/c/1")[25:] + get(b"/c/2")], ["1", "2"], False),
    # what aiohttp got stays aiohttp's ...
    "slow, then clicks behind it": ([get(b"/slow?i=A") + get(b"/c/2") + get(b"/c/3")], ["slow A", "2", "3"], False),
    "a click while a slow request runs": ([get(b"/slow?i=A"), get(b"/c/9")], ["slow A", "9"], False),
    "body cut in two, then a click": ([POST10 + b"01234", b"56789", get(b"/c/5")], ["POST 10", "5"], False),
    "body and click in one segment": ([POST10 + b"0123456789" + get(b"/c/5")], ["POST 10", "5"], False),
    "ignored body, then a click": (
        [post(b"/ignore", b"abcdef")[:-3], b"def", get(b"/c/5")],
        ["ignored body", "5"],
        False,
    ),
    "end of a body and half a head": (
        [POST10 + b"0123456789GET /c/8 HT", b"TP/1.1\r\nHost: x\r\n\r\n"],
        ["POST 10", "8"],
        False,
    ),
    "chunked body, then a click": ([CHUNKED + b"3\r\nabc\r\n", b"0\r\n\r\n", get(b"/c/5")], ["POST 3", "5"], False),
    "declined upgrade, then a click": ([UPGRADE + get(b"/c/4")], ["declined", "4"], False),
    # ... unless the front has answered there before
    "click, slow, clicks": ([get(b"/c/1") + get(b"/slow?i=A") + get(b"/c/2") + get(b"/c/3")], ["1", "slow A"], True),
    "handed over in the middle of a pipeline": (
        [b"".join(get(b"/c/%d" % i) for i in range(200)) + post(b"/echo", b"abc") + get(b"/c/9")],
        [*map(str, range(200)), "POST 3"],
        True,
    ),
    "handed over with half a head": (
        [get(b"/c/1") + b"POST /ec", b"ho HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"],
        ["1", "POST 3"],
        True,
    ),
    "handed over with its body following": ([get(b"/c/1") + POST10, b"01234", b"56789"], ["1", "POST 10"], True),
    # refused
    "two ways to tell the length": ([SMUGGLE + get(b"/c/6")], ["400"], True),
    "two lengths": (
        [b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"],
        ["400"],
        True,
    ),
    "bare LF": ([b"GET /c/1 HTTP/1.1\nHost: x\n\n"], ["400"], True),
    "folded field": ([b"GET /c/1 HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"], ["400"], True),
    "space before the colon": ([b"GET /c/1 HTTP/1.1\r\nHost : x\r\n\r\n"], ["400"], True),
    "click, then garbage": ([get(b"/c/1") + b"\x16\x03\x01garbage\r\n\r\n"], ["1", "400"], True),
    "TLS hello": ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"], ["400"], True),
    "a head too large": ([get(b"/c/1")[:-2] + b"A: " + b"a" * 9000, b"a" * 9000], ["head_too_large"], True),
    "a target too long": ([b"GET /c/1?" + b"a" * 9000, b"a" * 9000], ["target_too_long"], True),
    "a large head in whole lines": (
        [get(b"/c/1", *(b"A%d: " % i + b"a" * 999 for i in range(20)))],
        ["head_too_large"],
        True,
    ),
    # the connection's end
    "Connection: close": ([get(b"/c/1", b"Connection: close")], ["1"], True),
    "Connection: close, then more": ([get(b"/c/1", b"Connection: close") + get(b"/c/2")], ["1"], True),
    "HTTP/1.0": ([b"GET /c/1 HTTP/1.0\r\nHost: x\r\n\r\n"], ["1"], True),
}


@pytest.mark.parametrize("name", EXCHANGES)
async def test_each_request_is_answered_once_and_in_order(edge: tuple[Service, int], name: str) -> None:
    chunks, expected, ends = EXCHANGES[name]
    pause = 0.001 if len(chunks) > 5 else 0.02
    assert names(await talk(edge[1], chunks, None if ends else len(expected), pause=pause)) == expected


async def test_a_body_is_never_taken_for_a_request(edge: tuple[Service, int], data: Path) -> None:
    body = (get(b"/c/66") + b"x" * 60)[:60]
    assert names(await talk(edge[1], [post(b"/echo", body)[:-60], body], 1)) == ["POST 60"]
    assert events(data) == []


@pytest.mark.parametrize("cut", range(1, len(get(b"/c/7")) + len(POST10), 7))
async def test_a_request_may_be_cut_anywhere(edge: tuple[Service, int], cut: int) -> None:
    whole = get(b"/c/7") + POST10 + b"0123456789"
    assert names(await talk(edge[1], [whole[:cut], whole[cut:]], None)) == ["7", "POST 10"]


async def test_clicks_are_the_fronts_and_other_requests_are_not(edge: tuple[Service, int]) -> None:
    service, port = edge
    assert names(await talk(port, one_by_one(get(b"/c/7")), 1, pause=0.001)) == ["7"]
    assert service.aiohttp_requests == 0
    await talk(port, [get(b"/nowhere")], 1)
    assert service.aiohttp_requests == 1


async def test_the_last_answer_says_that_it_is_the_last(edge: tuple[Service, int]) -> None:
    for chunks in ([get(b"/c/1", b"Connection: close")], [get(b"/c/1") + get(b"/nowhere")]):
        answers = await talk(edge[1], chunks, None)
        assert b"\r\nConnection: close\r\n" in answers[-1]
        assert all(b"Connection: close" not in answer for answer in answers[:-1])


async def test_a_connection_that_was_closed_after_an_answer_comes_back_to_the_front(edge: tuple[Service, int]) -> None:
    service, port = edge
    async with aiohttp.ClientSession() as session:
        for round_ in range(3):
            for path in ("/c/1", "/c/2", "/nowhere"):
                async with session.get(f"http://127.0.0.1:{port}{path}", allow_redirects=False) as answer:
                    assert answer.status in (302, 404)
            assert service.aiohttp_requests == round_ + 1


async def test_a_half_closed_client_gets_its_answers(edge: tuple[Service, int]) -> None:
    assert names(await talk(edge[1], [get(b"/c/1") + get(b"/c/2")], None, end=True)) == ["1", "2"]


async def test_websocket_and_large_bodies_pass(edge: tuple[Service, int]) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{edge[1]}") as session:
        async with session.ws_connect("/ws") as ws:
            await ws.send_str("hi")
            assert (await ws.receive()).data == "echo:hi"
        async with session.get("/big") as answer:
            assert len(await answer.read()) == BIG


# --- time


async def closed_after(port: int, chunks: list[bytes], pause: float = 0.0) -> tuple[list[str], float]:
    began = time.monotonic()
    answers = await talk(port, chunks, None, pause=pause)
    return names(answers), time.monotonic() - began


async def test_a_slow_head_is_cut_off_even_if_it_trickles(data: Path) -> None:
    async with serving(data, limits=replace(PATIENT, head=1.0)) as (_, port):
        (one, after_one), (none, trickling) = await asyncio.gather(
            closed_after(port, [get(b"/c/1") + b"GET /c/2 HT"]),
            closed_after(port, one_by_one(b"GET /c/1?" + b"a" * 1000), pause=0.1),
        )
    assert one == ["1"] and 0.9 < after_one < LATE
    assert none == [] and 0.9 < trickling < LATE


async def test_an_idle_connection_is_closed_and_each_answer_begins_its_time_anew(data: Path) -> None:
    async with serving(data, limits=replace(PATIENT, idle=3.0)) as (_, port):
        (_, never), (once, after_one), (five, after_five) = await asyncio.gather(
            closed_after(port, []),
            closed_after(port, [get(b"/c/1")]),
            closed_after(port, [get(b"/c/%d" % i) for i in range(5)], pause=0.8),
        )
    assert 2.9 < never < LATE
    assert once == ["1"] and 2.9 < after_one < LATE
    assert five == list("01234") and after_five > 4 * 0.8 + 2.9


# --- peers that do not read


def deaf_client(port: int) -> socket.socket:
    """A client with next to no room for answers."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


async def send_until_stuck(client: socket.socket, bytes_: bytes, most: int) -> int:
    """Repeats the bytes until no more are taken for half a second; how many were."""
    loop, sent = asyncio.get_running_loop(), 0
    stuck = loop.time()
    while loop.time() - stuck < 0.5 and sent < most:
        try:
            sent += client.send(bytes_[sent % len(bytes_) :])
            stuck = loop.time()
        except BlockingIOError:
            await asyncio.sleep(0.01)
        except ConnectionError:
            break
    return sent


async def test_a_peer_that_never_reads_is_not_read_either_and_is_cut_off(data: Path) -> None:
    requests = b"".join(get(b"/c/%d" % i) for i in range(200))
    async with serving(data, limits=replace(PATIENT, stalled=1.0)) as (service, port):
        with deaf_client(port) as client:
            assert await send_until_stuck(client, requests, 30_000_000) < 30_000_000
            taken = len(events(data))
            assert taken < 20_000
            await eventually(lambda: service.connections == 0, "the peer to be cut off")


async def test_partial_sends_lose_and_repeat_nothing(data: Path) -> None:
    count = 2000
    async with serving(data, send_buffer=4096) as (_, port):
        with deaf_client(port) as client:
            sending = asyncio.get_running_loop().sock_sendall(
                client, b"".join(get(b"/c/%d" % (i % 300)) for i in range(count))
            )
            task = asyncio.create_task(sending)
            await eventually(lambda: len(events(data)) > 50, "the first requests")
            reader, writer = await asyncio.open_connection(sock=client)
            answers = await read_all(reader, count)
            await task
            writer.close()
    assert names(answers) == [str(i % 300) for i in range(count)]
    assert len(events(data)) == count


async def test_a_connection_is_handed_over_only_when_its_answers_are_sent(data: Path) -> None:
    count = 2000
    async with serving(data, send_buffer=4096, own_routes=OWN_ROUTES) as (service, port):
        with deaf_client(port) as client:
            requests = b"".join(get(b"/c/%d" % (i % 300)) for i in range(count))
            task = asyncio.create_task(
                asyncio.get_running_loop().sock_sendall(client, requests + post(b"/echo", b"x" * 100_000))
            )
            await eventually(lambda: len(events(data)) > 50, "the first requests")
            assert service.aiohttp_requests == 0
            reader, writer = await asyncio.open_connection(sock=client)
            answers = await read_all(reader)
            await task
            writer.close()
    assert names(answers) == [*(str(i % 300) for i in range(count)), "POST 100000"]


# --- many connections


async def test_at_the_limit_connections_wait_their_turn(data: Path) -> None:
    async with serving(data, limits=Limits(connections=10)) as (service, port):
        open_ = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        await eventually(lambda: service.connections == 10, "the limit to be reached")
        for _, writer in open_:
            writer.write(get(b"/c/1"))
        answered = 0
        for reader, writer in open_:
            assert names(await read_all(reader, 1)) == ["1"]
            answered += 1
            assert service.connections <= 10
            writer.close()
        assert answered == 30


async def test_without_descriptors_connections_wait_their_turn(data: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving(data) as (_, port):
        clients = [socket.socket() for _ in range(40)]
        try:
            used = max(descriptors())
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + 10, hard))
            for client in clients:
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    client.connect(("127.0.0.1", port))
            loop = asyncio.get_running_loop()
            for client in clients:
                await loop.sock_sendall(client, get(b"/c/1", b"Connection: close"))
            for client in clients:
                async with asyncio.timeout(PATIENCE):
                    assert (await loop.sock_recv(client, 4096)).startswith(b"HTTP/1.1 302")
                client.close()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for client in clients:
                client.close()


# --- faults


async def test_a_peer_that_resets_costs_only_its_own_answers(edge: tuple[Service, int]) -> None:
    service, port = edge
    for _ in range(50):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sendall(b"".join(get(b"/c/%d" % i) for i in range(50)))
        client.close()
    assert names(await talk(port, [get(b"/c/1")], 1)) == ["1"]
    await eventually(lambda: service.connections <= 1, "the connections to end")


async def test_no_descriptor_is_left_over(edge: tuple[Service, int]) -> None:
    service, port = edge
    counts = []
    for _ in range(2):
        for chunks, expected, ends in EXCHANGES.values():
            await talk(port, [b"".join(chunks)], None if ends else len(expected))
        await eventually(lambda: service.connections == 0, "the connections to end")
        counts.append(len(descriptors()))
    assert counts[1] <= counts[0]


# --- the end


async def test_a_drain_finishes_what_runs_and_closes_what_is_idle(data: Path) -> None:
    async with serving(data, own_routes=OWN_ROUTES) as (service, port):
        busy = asyncio.create_task(talk(port, [get(b"/c/1") + get(b"/slow?i=Z&t=0.5")], None))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"/c/1"))
        await read_all(reader, 1)
        await eventually(lambda: service.aiohttp_requests == 1, "the slow request")
        await service.drain(grace=0.1)
        assert names(await busy) == ["1", "slow Z"]
        assert await reader.read() == b""
        assert service.connections == 0
        writer.close()


async def test_a_draining_front_answers_with_connection_close(data: Path) -> None:
    async with serving(data) as (service, port):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        await eventually(lambda: service.connections == 3, "the connections")
        draining = asyncio.create_task(service.drain(grace=LATE))
        await eventually(lambda: not service.edge.accepting, "the drain to begin")
        for reader, writer in idle:
            writer.write(get(b"/c/5") + get(b"/c/6"))
            (answer,) = await read_all(reader)
            assert names([answer]) == ["5"] and b"\r\nConnection: close\r\n" in answer
            writer.close()
        await draining


async def test_what_waits_in_the_queue_is_answered_before_the_end(data: Path) -> None:
    async with serving(data) as (service, port):
        # all of this happens between two turns of the loop: nothing is accepted yet
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        for client in clients:
            client.sendall(get(b"/c/5"))
            client.setblocking(False)
        await service.drain(grace=1.0)
        for client in clients:
            assert client.recv(4096).startswith(b"HTTP/1.1 302")
            client.close()
    assert len(events(data)) == 100
