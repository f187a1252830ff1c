"""The front and aiohttp alone are one edge: the same bytes bring the same answers and the same events.

Two services with the same seed, clock and registry get the same requests, one with the front, one without. Whole
well-framed requests are pipelined; what is malformed goes alone, head by head. Only what must differ is evened out:

* the `Connection` field: the front hands a connection over for one answer, aiohttp alone keeps it;
* so after an answer with `Connection: close` the front's client asks the rest on another connection, as any does;
* aiohttp's own page for what is no request: its status is compared, its words are not;
* heads over the limit: the front says 431 or 414, aiohttp 431 or, for one line over it, 400.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import corpora
import pytest
import uvloop
from edge_support import get, make_data, serving, signed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuike._core import JournalReader, decode_event
from tuike.clock import wall
from tuike.edge import routes
from tuike.edge.app import Limits, Service
from waiting import PATIENCE

REQUESTS = 20_000
"""How many generated requests a run compares, at least."""
PER_EXAMPLE = 50
QUIET = 0.2
"""Seconds without an answer after which the next piece of a malformed request is sent."""
BODY_TIMEOUT = 2.5 * QUIET
"""Seconds, in place of the edge's own: aiohttp waits so long for the rest of a chunked body that it knows is broken."""
LAST = get(b"/healthz", b"Connection: close")

ANSWER = re.compile(rb"(?=HTTP/1\.[01] \d{3} )")


# --- two edges


class Door:
    """One of the two services, seen through its port and its journal."""

    def __init__(self, service: Service, port: int, data: Path) -> None:
        self.service = service
        self.port = port
        (incarnation,) = (data / "journal" / "edge-0").iterdir()
        self._journal = JournalReader(str(incarnation))

    async def ask(self, requests: Sequence[bytes]) -> list[bytes]:
        """The answer to each of some well-framed requests; empty where the connection ended without one."""
        answers: list[bytes] = []
        while len(answers) < len(requests):
            rest = requests[len(answers) :]
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(b"".join(rest) + LAST)
            async with asyncio.timeout(PATIENCE):
                got = split(await reader.read())
            writer.close()
            answers += got[: len(rest)] or [b""]
        return answers

    async def ask_piecewise(self, request: bytes) -> list[bytes]:
        """All answers to bytes that may be no request: each head is sent when what was before it is answered."""
        pieces = [piece for piece in re.split(rb"(?<=\r\n\r\n)", request + LAST) if piece]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        got = b""
        for piece in pieces:
            writer.write(piece)
            more = await read_some(reader, QUIET)
            if more == b"":
                break
            got += more or b""
        # a connection that waits for what a CONNECT brings does not end
        while more := await read_some(reader, 4 * BODY_TIMEOUT):
            got += more
        writer.close()
        return split(got)

    def new_events(self) -> list[dict[str, Any]]:
        """What has come to the journal since the last call."""
        return [decode_event(payload) for _, payload in self._journal]


async def read_some(reader: asyncio.StreamReader, seconds: float) -> bytes | None:
    """What comes next, empty at the connection's end; None when nothing comes for so long."""
    try:
        return await asyncio.wait_for(reader.read(65_536), seconds)
    except ConnectionError:
        return b""
    except TimeoutError:
        return None


def split(stream: bytes) -> list[bytes]:
    return [answer for answer in ANSWER.split(stream) if answer and not answer.startswith(b"HTTP/1.1 100 ")]


@dataclass
class Pair:
    """The edge with the front, and the one without."""

    root: Path
    clock: int
    starts: int = 0
    compared: int = 0
    in_step: bool = False
    cookies: bytes = b"tk_vid=none"
    doors: tuple[Door, Door] = field(init=False)
    _open: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def start(self) -> None:
        """Starts both anew: their randomness is the same again."""
        self.in_step = True
        await self._open.aclose()
        self.starts += 1
        doors = []
        for front in (True, False):
            folder = self.root / f"{self.starts}-{front}"
            folder.mkdir()
            limits = Limits(linger=0.2)
            service = serving(
                make_data(folder, self.clock),
                front=front,
                limits=limits,
                clock=lambda: self.clock,
                durability="process",
            )
            doors.append(Door(*await self._open.enter_async_context(service), folder))
        self.doors = (doors[0], doors[1])

    async def stop(self) -> None:
        await self._open.aclose()

    async def compare(self, requests: Sequence[bytes]) -> None:
        """Well-framed requests. Each `COOKIES` becomes those that the edge last set, `SIGNED` an order's signature."""
        order = signed(self.clock, oid=str(self.compared), pid="p", amount="1.00")
        self.in_step = False
        requests = [request.replace(b"COOKIES", self.cookies).replace(b"SIGNED", order) for request in requests]
        fronts, alones = await asyncio.gather(*(door.ask(requests) for door in self.doors))
        for request, front, alone in zip(requests, fronts, alones, strict=True):
            assert even(front) == even(alone), request
        if set_ := re.findall(rb"Set-Cookie: ([^;\r]+)", b"".join(fronts)):
            self.cookies = b"; ".join(set_[-2:])
        self._compare_events(requests)
        self.compared += len(requests)
        self.in_step = True

    async def compare_bytes(self, request: bytes) -> list[dict[str, Any]]:
        """Anything; the events it made."""
        self.in_step = False
        answers = await asyncio.gather(*(door.ask_piecewise(request) for door in self.doors))
        fronts, alones = [[even(answer) for answer in own] for own in answers]
        self.compared += 1
        if fronts == alones:
            events = self._compare_events([request])
            self.in_step = True
            return events
        # the front has answered, then aiohttp, and closed; alone it goes on with what follows
        assert fronts and fronts == alones[: len(fronts)], (request, fronts, alones)
        front, alone = (door.new_events() for door in self.doors)
        assert front == alone[: len(front)], request
        await self.start()
        return front

    def _compare_events(self, requests: Sequence[bytes]) -> list[dict[str, Any]]:
        front, alone = (door.new_events() for door in self.doors)
        assert front == alone, requests
        return front


def even(answer: bytes) -> bytes:
    """An answer without what may differ."""
    head, end, body = answer.partition(b"\r\n\r\n")
    status = head[9:12]
    if b"\r\nServer: tuike" not in head:  # aiohttp's own page
        return b"too large" if b"Got more than" in body else status
    if status in (b"414", b"431"):
        return b"too large"
    fields = [line for line in head.split(b"\r\n") if not line.startswith(b"Connection: ")]
    return b"\r\n".join(fields) + end + body


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """A loop that rests between two examples."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.fixture
def pair(runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(routes, "BODY_TIMEOUT", BODY_TIMEOUT)
    pair = Pair(tmp_path, wall())
    runner.run(pair.start())
    yield pair
    runner.run(pair.stop())


# --- generated requests

NAMES = """
aff affiliate_id via uid pid offer_id oid txid click_id clickid tid amount currency cur cust did sub1 aff_sub sub5 ch
channel coupon ref t time refund_id url consent gclid utm_source merchant ts sig status %61ff a%66f
"""
VALUES = """
a p m 0 1 12.34 -1 1e3 CNY cny XXX a%20b a+b % %zz %C3%A9 %ff approved refunded %0d%0aSet-Cookie:x=1 {click_id}
https://shop.example/x https%3A%2F%2Fevil.example%2F //evil.example https://shop.example@evil.example/
00000000000000000000000000000000 2026-01-01T00:00:00Z
"""
PATHS = """
/p.gif /track /c/1 /c/299 /c/none /c/ /c/1/2 /r /conversion /postback /t.js /e /optout /optin /healthz / /nowhere
//p.gif /p.gif/ /P.GIF /p%2Egif /c/%31 /./c/1
"""
HITS = """
/p.gif?aff=a&pid=p /c/1 /c/2 /r?aff=a&pid=p /conversion?oid=1&pid=p&amount=1.00 /postback?SIGNED
"""
FIELDS = """
Cookie: COOKIES
Cookie: COOKIES
Cookie: tk_optout=1
Cookie: tk_vid=x; tk_aff=y
Cookie: a=b; tk_vid=00000000000000000000000000000000.0000000000000000
Cookie:
Cookie: x=1
DNT: 1
Sec-GPC: 1
sec-gpc:1
Sec-Purpose: prefetch;prerender
Sec-Fetch-Dest: image
User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0
User-Agent: Googlebot/2.1
User-Agent:
X-Forwarded-For: 10.9.8.7
X-Forwarded-Proto: https
Accept-Language: de, en;q=0.5
Accept: */*
Referer: https://blog.example/x?y=z
Referer: über
Origin: https://shop.example
Origin: null
Connection: keep-alive
Connection: Keep-Alive
Content-Type: application/json
Content-Type: application/x-www-form-urlencoded
X:\t padded \t
TE: trailers
If-None-Match: *
Range: bytes=0-1
"""
BODIES = """
{}
[]
null
[{}]
{"t":"view","aff":"a","pid":"p"}
[{"aff":"a","pid":"p"},{"t":"x"}]
{"t":"conversion","oid":"7","pid":"p","amount":"3.50"}
{"aff":1}
{"a":"\\ud800"}
{"oid":"1","oid":"2"}
merchant=m&oid=1&pid=p&amount=1.00&ts=1&sig=00
oid=1&oid=2
"""

names = st.sampled_from(NAMES.split())
values = st.one_of(
    st.sampled_from(["", "v" * 512, "v" * 513, *VALUES.split()]),
    st.text("abc%+&=;#?/é中", max_size=8).map(lambda text: quote(text, safe="%+&=;?/")),
)
queries = st.lists(st.tuples(names, values).map("=".join), max_size=5).map("&".join)
paths = st.sampled_from(PATHS.split())
targets = st.one_of(
    st.tuples(st.sampled_from(HITS.split()), queries).map(lambda both: both[0] + "&?"["?" not in both[0]] + both[1]),
    st.tuples(paths, queries).map("?".join),
    paths,
)
fields = st.lists(
    st.sampled_from(FIELDS.strip().splitlines()), max_size=4, unique_by=lambda line: line.partition(":")[0].lower()
)
bodies = st.one_of(
    st.sampled_from([b"", b"\xff", b"[" * 200, *BODIES.strip().encode().splitlines()]),
    queries.map(str.encode),
)


def build(method: str, target: str, lines: Sequence[str], body: bytes | None) -> bytes:
    head = [f"{method} {target} HTTP/1.1", "Host: t.example", *lines]
    if body is not None:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + (body or b"")


well_framed = st.one_of(
    st.builds(build, st.sampled_from(["GET", "GET", "GET", "HEAD"]), targets, fields, st.none()),
    st.builds(build, st.sampled_from(["POST", "GET", "OPTIONS", "DELETE", "HEAD"]), targets, fields, bodies),
)

spoils = st.sampled_from(
    [
        (b"\r\n", b"\n"),
        (b" HTTP/1.1", b" HTTP/1.0"),
        (b" HTTP/1.1", b" HTTP/2.0"),
        (b" HTTP/1.1", b""),
        (b" HTTP/1.1", b"  HTTP/1.1"),
        (b" HTTP/1.1", b" http/1.1"),
        (b" HTTP/1.1", b"#x HTTP/1.1"),
        (b"Host: t.example", b"Host: t.example\r\nHost: u.example"),
        (b"Host: t.example\r\n", b""),
        (b"Host: t.example", b"Host:"),
        (b"Host: t.example", b"Host : t.example"),
        (b"Host: t.example", b"Host: t.example\r\n folded"),
        (b"Host: t.example", b"Host: t.example\r\nTransfer-Encoding: chunked"),
        (b"Host: t.example", b"Host: t.example\r\nContent-Length: 3"),
        (b"Host: t.example", b"Host: t.example\r\nContent-Length: +1"),
        (b"Host: t.example", b"Host: t.example\r\nExpect: 100-continue"),
        (b"Host: t.example", b"Host: t.example\r\nUpgrade: h2c\r\nConnection: Upgrade"),
        (b"Host: t.example", b"Host: t.example\r\nConnection: close, x"),
        (b"Host: t.example", b"Host: t.example\r\nX: a\0b"),
        (b"Host: t.example", b"Host: t.example\r\n: x"),
        (b"Host: t.example", b"Host: t.example\r\nX y: z"),
        (b"Host: t.example", b"Host: t.example\r\nUser-Agent: a\r\nUser-Agent: b"),
        (b"Host: t.example", b"Host: t.example\r\nCookie: tk_vid=a\r\nCookie: tk_vid=b"),
        (b"Host: t.example", b"Host: t.example\r\nDNT: 0\r\nDNT: 1"),
        (b"Host: t.example", b"Host: t.example\r\n" + b"X: y\r\n" * 70 + b"Z: z"),
        (b"Host: t.example", b"Host: t.example\r\nX: " + b"y" * 17_000),
        (b"GET ", b"GET http://t.example"),
        (b"GET ", b"get "),
        (b"GET ", b"GET\t"),
        (b"GET /", b"GET \x80/"),
        (b"GET /", b"GET /\xc3\xa9"),
        (b"GET ", b"\r\nGET "),
        (b"GET ", b"\x16\x03\x01"),
    ]
)
malformed = st.tuples(well_framed, spoils).map(lambda both: both[0].replace(*both[1]))


def test_generated_requests_are_the_same_to_both_doors(runner: asyncio.Runner, pair: Pair) -> None:
    async def example(requests: list[bytes], odd: list[bytes], step: int) -> None:
        if not pair.in_step:  # after a difference, for hypothesis to look for a smaller one
            await pair.start()
        pair.clock += step * 997
        await pair.compare(requests)
        for request in odd:
            await pair.compare_bytes(request)

    @settings(max_examples=REQUESTS // PER_EXAMPLE, database=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(well_framed, min_size=PER_EXAMPLE, max_size=PER_EXAMPLE),
        st.lists(malformed, max_size=2),
        st.integers(0, 9),
    )
    def examples(requests: list[bytes], odd: list[bytes], step: int) -> None:
        runner.run(example(requests, odd, step))

    examples()
    assert pair.compared >= REQUESTS
    with_front, alone = (door.service.aiohttp_requests for door in pair.doors)
    assert 0 < with_front < alone


# --- the corpora


def test_llhttps_cases_are_the_same_to_both_doors_and_no_error_is_an_event(
    runner: asyncio.Runner, pair: Pair, shared_data: Path
) -> None:
    for name, request, case in corpora.llhttp(shared_data):
        runner.run(pair.compare_bytes(request))
        made = runner.run(pair.compare_bytes(corpora.at_a_link(request)))
        if case["verdict"] == "error" and case["messages_complete"] == 0 and case["meta"]["type"] == "request":
            assert made == [], name


def test_http11probes_requests_are_the_same_to_both_doors(
    runner: asyncio.Runner, pair: Pair, shared_data: Path
) -> None:
    for _, request in corpora.probes(shared_data):
        runner.run(pair.compare_bytes(request))
        runner.run(pair.compare_bytes(corpora.at_a_link(request)))


def test_queries_and_urls_of_the_web_platform_tests_are_the_same_to_both_doors(
    runner: asyncio.Runner, pair: Pair, shared_data: Path
) -> None:
    hits = [b"/p.gif?aff=a&pid=p&" + query for query in corpora.queries(shared_data)]
    urls = (quote(url, safe="", errors="replace") for url in corpora.urls(shared_data))
    hits += [f"/r?aff=a&pid=p&url={url}".encode() for url in urls]
    for hit in hits:
        if any(byte in hit for byte in b" \r\n\0"):
            runner.run(pair.compare_bytes(get(hit)))
        else:
            runner.run(pair.compare([get(hit)]))
