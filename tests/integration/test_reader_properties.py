"""Whatever comes as a postback or a beacon: an answer below 500, and all of it in the journal or nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from edge_support import MERCHANT_KEY, events, make_data, open_edge, signed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from instance import signed as sign
from tuike._core import Edge
from tuike.clock import wall

FORM, JSON = b"application/x-www-form-urlencoded", b"application/json"
NOW = wall()

NAMES = """
oid txid order_id pid offer_id amount sale_amount currency cur cust did click_id tid coupon status time refund_id aff
sub1 x merchant ts sig
"""
names = st.sampled_from(NAMES.split())
values = st.one_of(
    st.sampled_from(
        ["", "1", "p", "m", "a", "1.00", "-1", "1e9", "9" * 16, "CNY", "JPY", "refunded", "approved", "x" * 513]
    ),
    st.text(max_size=20),
    st.integers(-(10**20), 10**20).map(str),
)
pairs = st.dictionaries(names.filter(lambda name: name not in ("merchant", "ts", "sig")), values, max_size=8)


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[tuple[Edge, Path]]:
    data = make_data(tmp_path, NOW)
    edge = open_edge(data)
    yield edge, data
    edge.close(NOW)


def ask(edge: Edge, method: str, target: bytes, body: bytes | None, kind: bytes) -> tuple[int, bytes]:
    status, _, _, answer, _ = edge.respond(method, target, [(b"Content-Type", kind)], "192.0.2.1", body, NOW)
    return status, answer


def judge(edge: tuple[Edge, Path], method: str, target: bytes, body: bytes | None, kind: bytes) -> int:
    """The status; a 202 is one order in the journal, a 204 all of a beacon, a 422 kept as refused at most, and anything
    else nothing."""
    door, data = edge
    before = len(events(data))
    status, answer = ask(door, method, target, body, kind)
    made = events(data)[before:]
    assert status < 500, (status, target, body)
    if status == 202:
        (order,) = made
        assert (order["id"], order["kind"]) == (json.loads(answer)["event_id"], "order")
    elif status != 204:
        assert [event["kind"] for event in made] in ([], ["refused"] if status == 422 else []), (status, target, body)
        assert json.loads(answer)["status"] == status
    return status


def property_(**given_: st.SearchStrategy[object]):  # type: ignore[no-untyped-def]
    """A property of few events each: what is journalled is read anew for each example."""

    def decorate(function):  # type: ignore[no-untyped-def]
        checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
        return settings(max_examples=100, database=None, suppress_health_check=checks)(given(**given_)(function))

    return decorate


@property_(fields=pairs, way=st.sampled_from(["query", "form", "json", "both"]))
def test_a_signed_postback_of_anything_is_an_order_or_a_reason(
    edge: tuple[Edge, Path], fields: dict[str, str], way: str
) -> None:
    query = signed(NOW, **fields)
    whole = sign(MERCHANT_KEY, merchant="m", ts=str(NOW // 1000), **fields)
    sig = whole.rpartition("&sig=")[2]
    if way == "json":
        members = fields | {"merchant": "m", "ts": str(NOW // 1000), "sig": sig}
        status = judge(edge, "POST", b"/postback", json.dumps(members).encode(), JSON)
    elif way == "both":
        some, _, rest = query.partition(b"&")
        status = judge(edge, "POST", b"/postback?" + some, rest, FORM)
    else:
        target = b"/postback?" + query if way == "query" else b"/postback"
        status = judge(edge, "POST", target, None if way == "query" else query, FORM)
    # what is signed is never refused for its signature
    assert status in (202, 400, 413, 422)


@property_(target=st.text(max_size=60).map(lambda text: quote(text, safe="&=?%+;")), body=st.binary(max_size=300))
def test_an_unsigned_postback_is_never_an_order(edge: tuple[Edge, Path], target: str, body: bytes) -> None:
    for kind in (FORM, JSON, b"", b"text/plain"):
        assert judge(edge, "POST", f"/postback?{target}".encode(), body, kind) in (400, 401, 413, 422)


members = st.dictionaries(
    st.one_of(names, st.just("type"), st.text(max_size=5)),
    st.one_of(
        values,
        st.sampled_from(["view", "conversion"]),
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.lists(st.integers(), max_size=2),
    ),
    max_size=6,
)
views = st.fixed_dictionaries({"aff": st.just("a"), "pid": st.just("p")})


@property_(
    beacon=st.one_of(members, st.lists(st.one_of(members, views), max_size=5), st.recursive(st.none(), st.lists))
)
def test_a_beacon_is_taken_whole_or_not_at_all(edge: tuple[Edge, Path], beacon: object) -> None:
    _, data = edge
    before = len(events(data))
    status = judge(edge, "POST", b"/e", json.dumps(beacon).encode(), JSON)
    made = len(events(data)) - before
    assert made == ((len(beacon) if isinstance(beacon, list) else 1) if status == 204 else 0)


@property_(body=st.binary(max_size=200))
def test_a_beacon_of_any_bytes_is_answered(edge: tuple[Edge, Path], body: bytes) -> None:
    assert judge(edge, "POST", b"/e", body, JSON) in (204, 400, 413)
