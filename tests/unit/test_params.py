"""The responder's query parser against the web platform's own cases."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuike._core import parse_query


def test_queries_are_read_as_browsers_write_them(shared_data: Path) -> None:
    cases = json.loads((shared_data / "http" / "wpt_urlencoded-parser-data.json").read_text())
    assert len(cases) == 35
    for case in cases:
        assert [list(pair) for pair in parse_query(case["input"].encode())] == case["output"], case["input"]


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        (b"", []),
        (b"&&", []),
        (b"=", [("", "")]),
        (b"a", [("a", "")]),
        (b"a=b=c", [("a", "b=c")]),
        (b"a=%4", [("a", "%4")]),
        (b"a=%zz+%2B", [("a", "%zz +")]),
        (b"a=\xff", [("a", "�")]),
    ],
)
def test_odd_queries_are_read_too(query: bytes, pairs: list[tuple[str, str]]) -> None:
    assert parse_query(query) == pairs


@given(st.binary(max_size=200))
def test_no_bytes_are_too_odd(query: bytes) -> None:
    assert len(parse_query(query)) <= query.count(b"&") + 1
