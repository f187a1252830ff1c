"""The edge as contract.md has it, where only whole requests through a real door show it; the rest of its rows are in
core_rs/src/respond/tests/. Each test asks the front and aiohttp alone."""

import asyncio
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from edge_support import MERCHANT_KEY, events, get, make_data, post, serving, talk

from tuike._core import render_metrics

GOOD = "aff=a&pid=p"
FORM = b"Content-Type: application/x-www-form-urlencoded"
JSON = b"Content-Type: application/json"
TARGET = {"t": "product", "merchant": "m", "allowed_hosts": [], "cookie_days": 30, "status": "active"}
MORE = [
    TARGET | {"id": "spa", "url": "https://shop.example/#/x?c={click_id}"},
    TARGET | {"id": "macros", "url": "https://shop.example/?a={aff}&s={sub1}&u={nope}&d={date:Y-m-d}&h={ch}"},
    TARGET
    | {"id": "off", "url": "https://shop.example/", "fallback_url": "https://shop.example/新", "status": "paused"},
    TARGET | {"id": "mixed", "url": "https://shop.example/", "allowed_hosts": ["Shop.Example"]},
    {"t": "link", "code": "A-1.b_c", "promoter": "a", "product": "macros", "expires": None, "status": "active"},
]
NAMES = {
    "aff": ("affiliate_id", "aff_id", "affid", "via", "uid"),
    "pid": ("offer_id",),
    "oid": ("order_id", "txid"),
    "click_id": ("clickid", "transaction_id", "tid", "cid"),
    "amount": ("sale_amount",),
    "currency": ("cur",),
    "cust": ("customer_id",),
    "did": ("device_id",),
    "sub1": ("aff_sub", "aff_sub1"),
    **{f"sub{n}": (f"aff_sub{n}",) for n in range(2, 6)},
    "ch": ("channel",),
    "coupon": ("coupon_code",),
    "time": ("order_time",),
}
FIELDS = {"ch": "channel", "click_id": "click", "time": "at"}
"""What a parameter is called in an event, where that is not its own name."""


@dataclass
class Answer:
    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def field(self, name: str) -> str | None:
        return next((value for own, value in self.fields if own.lower() == name.lower()), None)

    @property
    def code(self) -> str:
        """The reason of a refusal."""
        return str(json.loads(self.body)["code"])


@dataclass
class Edge:
    port: int
    data: Path

    async def ask(self, *requests: bytes) -> list[Answer]:
        return [read(answer) for answer in await talk(self.port, [b"".join(requests)], len(requests))]

    async def get(self, target: str, *fields: bytes) -> Answer:
        return (await self.ask(get(target.encode(), *fields)))[0]

    async def head(self, target: str, *fields: bytes) -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(get(target.encode(), *fields, b"Connection: close").replace(b"GET", b"HEAD", 1))
        answer = read(await reader.read())
        writer.close()
        answer.fields.remove(("Connection", "close"))
        return answer

    def events(self) -> list[dict[str, Any]]:
        return events(self.data)

    def counted(self, kind: str, outcome: str) -> int:
        found = re.search(rf'kind="{kind}",outcome="{outcome}"}} (\d+)', render_metrics(str(self.data / "metrics")))
        return int(found[1]) if found else 0

    async def postback(self, pairs: Sequence[tuple[str, str]], **how: Any) -> Answer:
        """A signed order; see `signature` and `request`."""
        return (await self.ask(request(pairs, **how)))[0]


def read(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = [(name, value) for name, _, value in (line.partition(": ") for line in lines[1:])]
    return Answer(int(lines[0].split(" ")[1]), fields, body)


@pytest.fixture(params=[True, False], ids=["front", "front off"])
async def edge(request: Any, tmp_path: Path) -> AsyncIterator[Edge]:
    data = make_data(tmp_path, more=MORE)
    proxies = ["127.0.0.0/8", "10.0.0.0/8"]
    async with serving(data, front=request.param, durability="process", trusted_proxies=proxies) as (_, port):
        yield Edge(port, data)


# --- parameters -----------------------------------------------------------------------------------


async def test_each_alias_means_its_parameter(edge: Edge) -> None:
    seconds = int(time.time()) - 5
    values = {"aff": "a", "pid": "p", "amount": "1.50", "currency": "JPY", "click_id": "ab" * 16, "time": str(seconds)}
    read_as = values | {"amount": 150, "time": seconds * 1000}
    for name, aliases in NAMES.items():
        for said in (name, *aliases):
            pairs = [] if name == "oid" else [("oid", "1")]
            if name == "currency":
                pairs.append(("amount", "7"))
            answer = await edge.postback([*pairs, (said, values.get(name, "v"))])
            assert answer.status == 202, (said, answer.body)
            event = next(e for e in edge.events() if e["id"] == json.loads(answer.body)["event_id"])
            assert event[FIELDS.get(name, name)] == read_as.get(name, "v"), said


async def test_in_an_unsigned_request_the_canonical_name_wins_then_the_aliases_in_their_order(edge: Edge) -> None:
    for query, said in [
        ("uid=u&via=v&aff=a", "a"),
        ("uid=u&via=v&affid=d", "d"),
        ("uid=1&uid=2", "1"),
        ("aff=&uid=u", "u"),
        ("+aff+=a", "a"),
    ]:
        assert (await edge.get(f"/p.gif?pid=p&{query}")).status == 200
        assert edge.events()[-1]["aff"] == said, query


async def test_what_is_too_long_or_malformed_is_refused_with_a_reason_and_counted_by_it(edge: Edge) -> None:
    assert (await edge.get(f"/p.gif?{GOOD}&sub1={'v' * 512}")).status == 200
    for target, status, code in [
        (f"/p.gif?{GOOD}&sub1={'v' * 513}", 400, "value_too_long"),
        (f"/p.gif?{GOOD}&gclid={'%E4%BA%94' * 171}", 400, "value_too_long"),
        (f"/p.gif?{GOOD}&sub1=%", 400, "malformed_escape"),
        (f"/p.gif?{GOOD}&%zz=1", 400, "malformed_escape"),
        ("/c/%zz", 400, "malformed_escape"),
        ("/c/1%4", 400, "malformed_escape"),
        (f"/p.gif?{GOOD}&x={'v' * 17_000}", 414, "target_too_long"),
    ]:
        answer = await edge.get(target)
        assert (answer.status, answer.code) == (status, code), target[:60]
    answer = await edge.get(f"/p.gif?{GOOD}", b"X: " + b"v" * 17_000)
    assert (answer.status, answer.code) == (431, "head_too_large")
    assert [edge.counted("view", code) for code in ("value_too_long", "malformed_escape")] == [2, 2]
    assert (edge.counted("click", "malformed_escape"), edge.counted("other", "head_too_large")) == (2, 2)
    assert len(edge.events()) == 1


async def test_unknown_parameters_pass_through_and_known_ones_do_not(edge: Edge) -> None:
    answer = await edge.get("/c/1?gclid=a%2Fb&utm_source=x+y&type=shoes&sub1=s&cust=c&t=1")
    click = edge.events()[-1]
    assert answer.field("Location") == (
        f"https://shop.example/1?click_id={click['id']}&gclid=a%2Fb&utm_source=x%20y&type=shoes"
    )
    assert click["extra"] == "gclid=a%2Fb&utm_source=x%20y&type=shoes"


# --- clicks ---------------------------------------------------------------------------------------


async def test_a_code_may_be_written_with_escapes(edge: Edge) -> None:
    for path in ("/c/A-1.b_c", "/c/%41-1%2Eb%5fc"):
        assert (await edge.get(path)).status == 302
        assert edge.events()[-1]["link"] == "A-1.b_c"
    assert [(await edge.get(path)).status for path in ("/c/A-1.b_c/", "/c/", "/c/a-1.b_c")] == [404] * 3


async def test_macros_are_filled_and_unknown_ones_are_empty(edge: Edge) -> None:
    answer = await edge.get("/c/A-1.b_c?sub1=a%26%E4%BA%94&ch=we+chat")
    click = edge.events()[-1]["id"]
    assert answer.field("Location") == f"https://shop.example/?a=a&s=a%26%E4%BA%94&u=&d=&h=we%20chat&click_id={click}"


async def test_the_click_id_goes_before_the_fragment_or_where_its_macro_is(edge: Edge) -> None:
    answer = await edge.get("/r?aff=a&pid=spa")
    assert answer.field("Location") == f"https://shop.example/#/x?c={edge.events()[-1]['id']}"


async def test_a_fallback_is_a_sound_location(edge: Edge) -> None:
    answer = await edge.get("/r?aff=a&pid=off")
    assert (answer.status, answer.field("Location")) == (302, "https://shop.example/%E6%96%B0")


async def test_hosts_are_compared_without_case(edge: Edge) -> None:
    answer = await edge.get("/r?aff=a&pid=mixed&url=https://sHop.example/x")
    assert answer.status == 302


async def test_no_url_that_browsers_read_as_another_host_is_redirected_to(shared_data: Path, tmp_path: Path) -> None:
    texts = json.loads((shared_data / "http" / "urltestdata.json").read_text())
    cases = [case for case in texts if isinstance(case, dict)]
    hosts = sorted({case["hostname"] for case in cases if re.fullmatch(r"[A-Za-z0-9.-]+", case.get("hostname", ""))})
    open_ = TARGET | {"id": "open", "url": "https://shop.example/", "allowed_hosts": hosts}
    led = 0
    async with serving(make_data(tmp_path, more=[open_]), durability="process") as (_, port):
        for case in cases:
            url = quote(case["input"], safe="", errors="replace")
            answer = read((await talk(port, [get(f"/r?aff=a&pid=open&url={url}".encode())], 1, pause=0))[0])
            assert answer.status in (302, 400), case
            if answer.status == 302 and case["input"].strip():
                led += 1
                authority = re.match(r"https?://([A-Za-z0-9.-]+)(:\d*)?([/?#]|$)", answer.field("Location") or "", re.I)
                assert authority and authority[1].lower() == case.get("hostname"), (case, answer.field("Location"))
    assert led > 20


# --- who asks -------------------------------------------------------------------------------------


async def test_all_lines_of_forwarded_addresses_count_and_only_from_a_proxy(edge: Edge) -> None:
    for lines, network in [
        ((b"X-Forwarded-For: 203.0.113.7",), "203.0.113.0/24"),
        ((b"X-Forwarded-For: 198.51.100.1, 203.0.113.7, 10.1.1.1",), "203.0.113.0/24"),
        ((b"X-Forwarded-For: 198.51.100.1", b"X-Forwarded-For: 203.0.113.7"), "203.0.113.0/24"),
        ((b"X-Forwarded-For: 203.0.113.7", b"X-Forwarded-For: 10.1.1.1"), "203.0.113.0/24"),
        ((b"X-Forwarded-For: nonsense",), "127.0.0.0/24"),
        ((b"X-Forwarded-For: 2001:db8:1:2::3",), "2001:db8:1::/48"),
    ]:
        assert (await edge.get(f"/p.gif?{GOOD}", *lines)).status == 200
        event = edge.events()[-1]
        assert event["prefix"] == network, lines
        assert not re.search(r"203\.0\.113\.7|198\.51|2001:db8:1:2", str(event)), "no raw address is written"


async def test_a_private_hit_is_anonymous(edge: Edge) -> None:
    for request_ in (
        get(b"/c/1?cust=c1&did=d1", b"Sec-GPC: 1"),
        get(b"/c/1?cust=c1&did=d1", b"DNT: 1"),
        get(b"/c/1?cust=c1&did=d1&consent=0"),
        get(b"/p.gif?aff=a&pid=p&cust=c1&did=d1", b"Cookie: tk_optout=1"),
        get(b"/conversion?oid=1&pid=p&cust=c1&did=d1", b"Sec-GPC: 1"),
        post(b"/e", b'{"type":"view","aff":"a","pid":"p","cust":"c1","did":"d1","consent":0}'),
    ):
        (answer,) = await edge.ask(request_)
        event = edge.events()[-1]
        assert answer.field("Set-Cookie") is None
        assert event["private"] and event["counted"]
        assert {"visitor", "fingerprint", "cust", "did"}.isdisjoint(event), request_
    assert (await edge.get("/c/1?cust=c1", b"DNT: 0")).field("Set-Cookie") is not None
    assert edge.events()[-1]["cust"] == "c1"


async def test_head_is_answered_alike_and_nothing_is_counted(edge: Edge) -> None:
    for target in (
        f"/p.gif?{GOOD}", "/p.gif", "/c/1", "/c/none", "/c/%zz", f"/r?{GOOD}", "/r", "/conversion?oid=1&pid=p",
        "/conversion", "/t.js", "/optout", "/optin", "/healthz", f"/p.gif?{GOOD}&sub1={'v' * 513}",
    ):  # fmt: skip
        got, head = await edge.get(target), await edge.head(target, b"Cookie: tk_vid=forged")
        assert (head.status, head.body) == (got.status, b""), target
        assert [name for name, _ in head.fields] == [name for name, _ in got.fields], target
    assert edge.counted("other", "forged_cookie") == 0
    assert edge.counted("click", "unknown_link") == 1, "the GET's"
    assert sorted(event["kind"] for event in edge.events()) == ["claim", "click", "click", "view"], "the GETs'"
    assert (await edge.head("/postback")).status == 405


# --- orders ---------------------------------------------------------------------------------------


def percent(text: str) -> str:
    return quote(text, safe="-._~")


def signature(pairs: Sequence[tuple[str, str]]) -> str:
    encoded = sorted(((percent(name), percent(value)) for name, value in pairs), key=lambda pair: pair[0].encode())
    text = "&".join(f"{name}={value}" for name, value in encoded)
    return hmac.new(MERCHANT_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def request(
    pairs: Sequence[tuple[str, str]],
    *,
    by: str = "query",
    query: Sequence[tuple[str, str]] = (),
    unsigned: Sequence[tuple[str, str]] = (),
    sign: Any = signature,
    age: int = 0,
    encode: Any = urlencode,
) -> bytes:
    """An order's request: `pairs` and their signature as query, form or JSON; also `query`, which is signed too, and
    `unsigned` pairs in the query."""
    said = [("merchant", "m"), ("ts", str(int(time.time()) - age)), *pairs]
    body = [*said, ("sig", sign([*said, *query]))]
    if by == "query":
        return get(f"/postback?{encode([*body, *unsigned])}".encode())
    target = f"/postback?{encode([*query, *unsigned])}".encode()
    if by == "form":
        return post(target, encode(body).encode(), FORM)
    return post(target, json.dumps(dict(body), ensure_ascii=by == "json").encode(), JSON)


async def test_an_order_is_accepted_however_it_is_sent_and_encoded(edge: Edge) -> None:
    order = [("oid", "A 1"), ("pid", "p"), ("amount", "9.90"), ("coupon", ""), ("zz", "五/é~*+ x")]
    for how in (
        {},
        {"by": "form"},
        {"by": "json"},
        {"by": "json in UTF-8"},
        {"by": "form", "query": [("sub1", "a b")]},
        {"by": "json", "query": [("sub1", "a+b")]},
        {"encode": lambda pairs: urlencode(pairs, quote_via=quote)},
        {"sign": lambda pairs: signature(pairs).upper()},
        {"age": 299},
        {"age": -295},
    ):
        answer = await edge.postback(order, **how)
        assert answer.status == 202, how
        event = edge.events()[-1]
        assert (event["id"], event["oid"], event["amount"]) == (json.loads(answer.body)["event_id"], "A 1", 990)


async def test_an_order_that_is_unsigned_wrong_or_stale_is_401(edge: Edge) -> None:
    order = [("oid", "1"), ("pid", "p")]
    for how, code in (
        ({"sign": lambda _: ""}, "bad_signature"),
        ({"sign": lambda _: "0" * 64}, "bad_signature"),
        ({"sign": lambda pairs: signature(pairs)[:-1]}, "bad_signature"),
        ({"unsigned": [("sub1", "more")]}, "bad_signature"),
        ({"by": "form", "unsigned": [("sub1", "more")]}, "bad_signature"),
        ({"age": 302}, "stale_signature"),
        ({"age": -302}, "stale_signature"),
    ):
        answer = await edge.postback(order, **how)
        assert (answer.status, answer.code) == (401, code), how
    (unsigned,) = await edge.ask(get(b"/postback?merchant=m&oid=1&oid=2"))
    assert unsigned.status == 401
    assert edge.events() == []


@pytest.mark.parametrize("repeats", [("1", "2"), ("2", "1"), ("1", "1")])
async def test_a_name_given_twice_is_422_whatever_its_order(edge: Edge, repeats: tuple[str, str]) -> None:
    one, two = repeats
    for pairs, how in (
        ([("oid", one), ("oid", two)], {}),
        ([("zz", one), ("zz", two), ("oid", "1")], {}),
        ([("oid", one), ("order_id", two)], {}),
        ([("oid", one)], {"by": "form", "query": [("oid", two)]}),
        ([("oid", one)], {"by": "json", "query": [("oid", two)]}),
        ([("oid", one)], {"by": "form", "query": [("txid", two)]}),
        ([("oid", one)], {"by": "form", "unsigned": [("oid", two)]}),
        ([("oid", "1")], {"unsigned": [("sig", "0")]}),
    ):
        answer = await edge.postback(pairs, **how)
        assert (answer.status, answer.code) == (422, "duplicate_parameter"), (pairs, how)
    assert {event["kind"] for event in edge.events()} == {"refused"}
