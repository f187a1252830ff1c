"""The aiohttp door: what it hands to the responder, what it refuses by itself, and the arrival of the front's
connections."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from edge_support import events, get, make_data, names, post, read_all, serving, signed, talk

from tuike._core import render_metrics
from tuike.clock import wall
from tuike.edge import routes
from tuike.edge.app import Service
from waiting import PATIENCE, eventually


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path)


@pytest.fixture(params=[True, False], ids=["front", "front off"])
async def edge(data: Path, request: pytest.FixtureRequest) -> AsyncIterator[tuple[Service, int]]:
    async with serving(data, front=request.param) as both:
        yield both


def order(number: int) -> bytes:
    return signed(wall(), oid=str(number), pid="p", amount="10.00")


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


FORM = b"Content-Type: application/x-www-form-urlencoded"


async def test_an_order_is_answered_when_it_is_on_the_disk(edge: tuple[Service, int], data: Path) -> None:
    service, port = edge
    asked = [
        get(b"/postback?" + order(1)),
        post(b"/postback", order(2), FORM),
    ]
    answers = await talk(port, [b"".join(asked)], 2)
    assert [status(answer) for answer in answers] == [202, 202]
    assert [(event["kind"], event["oid"]) for event in events(data)] == [("order", "1"), ("order", "2")]
    assert service.edge.synced() >= 2


async def test_many_orders_at_once_wait_together(edge: tuple[Service, int], data: Path) -> None:
    asked = [post(b"/postback", order(i), FORM) for i in range(40)]
    answers = await asyncio.gather(*(talk(edge[1], [one], 1) for one in asked))
    assert [status(answer) for (answer,) in answers] == [202] * 40
    assert sorted(int(event["oid"]) for event in events(data)) == list(range(40))


async def test_an_order_that_is_not_synced_in_time_is_not_acknowledged(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(data) as (service, port):
        monkeypatch.setattr(routes, "SYNC_TIMEOUT", 0.05)
        asyncio.get_running_loop().remove_reader(service.edge.sync_fd)
        (answer,) = await talk(port, [post(b"/postback", order(1), FORM)], None)
        assert names([answer]) == ["not_recorded"] and b"\r\nConnection: close\r\n" in answer
        asyncio.get_running_loop().add_reader(service.edge.sync_fd, lambda: None)


async def test_a_beacon_counts_even_if_its_page_is_gone(edge: tuple[Service, int], data: Path) -> None:
    for count in range(1, 20):
        with socket.create_connection(("127.0.0.1", edge[1])) as client:
            client.sendall(post(b"/e", b'{"t":"view","aff":"a","pid":"p"}'))
        await eventually(lambda count=count: len(events(data)) == count, "the beacon's event")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (get(b"/nowhere"), 404),
        (post(b"/p.gif", b""), 405),
        (get(b"/e"), 405),
        (b"HEAD /postback HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"DELETE /c/1 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"OPTIONS /e HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\n\r\n", 204),
        (get(b"http://t.example/c/1"), 302),
        (get(b"/%63/1"), 404),
        (get(b"/c/1", b"Content-Length: 0"), 302),
        (get(b"/healthz"), 200),
        (get(b"/t.js"), 200),
    ],
)
async def test_the_responder_decides_about_paths_and_methods(
    edge: tuple[Service, int], request_: bytes, expected: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge[1])
    writer.write(request_)
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
    assert status(head) == expected
    assert head.count(b"\r\nServer: tuike\r\n") == head.count(b"\r\nDate: ") == 1
    assert (b"\r\nAllow: " in head) == (expected == 405)
    writer.close()


@pytest.mark.parametrize(("path", "limit"), [(b"/e", 1 << 20), (b"/postback", 64 << 10)])
async def test_a_body_over_the_limit_is_refused(edge: tuple[Service, int], path: bytes, limit: int) -> None:
    assert names(await talk(edge[1], [post(path, b" " * limit)], 1)) != ["body_too_large"]
    assert names(await talk(edge[1], [post(path, b" " * (limit + 1))], None)) == ["body_too_large"]
    chunks = [b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"]
    chunks += [b"8000\r\n" + b" " * 0x8000 + b"\r\n"] * (limit // 0x8000 + 1)
    assert names(await talk(edge[1], [b"".join(chunks)], None)) == ["body_too_large"]


async def test_a_body_that_does_not_come_is_not_waited_for(
    edge: tuple[Service, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "BODY_TIMEOUT", 0.2)
    assert names(await talk(edge[1], [post(b"/e", b"[]" * 50)[:-60]], 1)) == ["body_too_slow"]


async def test_a_head_over_the_limit_is_refused(edge: tuple[Service, int]) -> None:
    fields = [b"A%d: " % i + b"a" * 999 for i in range(20)]
    assert names(await talk(edge[1], [get(b"/c/1", *fields)], None)) == ["head_too_large"]
    assert names(await talk(edge[1], [post(b"/e", b"[]", *fields)], None)) == ["head_too_large"]


async def test_malformed_requests_are_counted_and_fill_no_log(
    edge: tuple[Service, int], data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            await talk(edge[1], [b"GET /c/1 HTTP/1.1\nHost: x\n\n"], None)
    assert 'outcome="malformed_request"} 3\n' in render_metrics(str(data / "metrics"))
    assert caplog.records == []


async def test_what_arrives_with_very_many_requests_is_answered_in_order(data: Path) -> None:
    """More than aiohttp's parser takes at once: it pauses the connection on arrival."""
    count = 500
    async with serving(data) as (_, port):
        requests = b"".join(get(b"/postback?oid=%d" % i) for i in range(count))
        answers = await talk(port, [requests + get(b"/c/9")], count + 1)
    assert names(answers) == ["unknown_merchant"] * count + ["9"]


async def test_bytes_that_come_during_the_arrival_stay_in_order(data: Path) -> None:
    async with serving(data) as (_, port):
        for pause in range(20):
            body = b'[{"t":"view","aff":"a","pid":"p"}]'
            whole = post(b"/e", body) + get(b"/c/7")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for at in range(0, len(whole), 20):
                writer.write(whole[at : at + 20])
                for _ in range(pause % 4):
                    await asyncio.sleep(0)
            assert names(await read_all(reader, 2)) == ["204", "7"]
            writer.close()
    assert len(events(data)) == 40


async def test_a_peer_that_resets_during_its_arrival_is_forgotten(data: Path) -> None:
    async with serving(data) as (service, port):
        for _ in range(50):
            client = socket.create_connection(("127.0.0.1", port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(post(b"/e", b"[]"))
            client.close()
        assert names(await talk(port, [get(b"/nowhere")], 1)) == ["not_found"]
        await eventually(lambda: service.connections == 0, "the connections to end")
