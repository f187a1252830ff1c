"""What an import makes of files and rows."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuike import _core, importing, instants, rows
from tuike.importing import MAKERS, RowError
from tuike.rows import FileError

COLUMNS = ("id", "name", "parent")
NOW = 1_760_000_000_000


def read(file: Path) -> tuple[list[tuple[int, rows.Row]], list[tuple[int, str]]]:
    refused: list[tuple[int, str]] = []
    found = list(rows.read(file, COLUMNS, ("id", "name"), lambda line, reason: refused.append((line, reason))))
    return found, refused


def write(tmp_path: Path, content: bytes) -> Path:
    file = tmp_path / "rows"
    file.write_bytes(content)
    return file


# --- files -----------------------------------------------------------------------------------------

TWO = [(2, {"id": "a", "name": "Ann"}), (3, {"id": "b", "name": "Bo", "parent": "a"})]
CSV = b"id,name,parent\na,Ann,\nb,Bo,a\n"
NDJSON = b'\n{"id":"a","name":"Ann","parent":null}\n{"id":"b","name":"Bo","parent":"a","more":"x"}\n'


@pytest.mark.parametrize("content", [CSV, NDJSON, CSV.replace(b"\n", b"\r\n"), CSV.rstrip(), NDJSON.rstrip()])
@pytest.mark.parametrize("wrap", [bytes, gzip.compress, b"\xef\xbb\xbf".__add__], ids=["plain", "gzip", "BOM"])
def test_the_format_is_seen_from_the_content(tmp_path: Path, content: bytes, wrap: Any) -> None:
    file = write(tmp_path, wrap(content))
    rows.check(file)
    assert read(file) == (TWO, [])


def test_a_row_is_known_by_its_first_line(tmp_path: Path) -> None:
    file = write(tmp_path, b'id,name\na,"Ann,\r\nthe ""first"""\n\nb,\n c , Cy \n')
    assert read(file) == (
        [(2, {"id": "a", "name": 'Ann,\r\nthe "first"'}), (6, {"id": "c", "name": "Cy"})],
        [(5, "missing name")],
    )


def test_columns_may_be_in_any_order_and_others_are_passed_over(tmp_path: Path) -> None:
    assert read(write(tmp_path, b" name ,note,id\nAnn,x,a\n")) == ([(2, {"id": "a", "name": "Ann"})], [])


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (b"id,name\na,Smith, John\nb,Bo,\n", (2, "3 values, the header has 2")),
        (b'id,name\na,"Ann"x\nb,Bo\n', (2, "no CSV, up to line 2: ',' expected after '\"'")),
        (b"id,name\na,\xd5\xc5\nb,Bo\n", (2, "not UTF-8")),
        (b'{"id":"a","name":1.50e3}\n{"id":"b","name":"Bo"}\n{"id":["b"],"name":"x"}', (3, "not a flat JSON object")),
        (b'{"id":"b","name":"Bo"}\n[1]', (2, "not a flat JSON object")),
        (b'{"id":"b","name":"Bo"}\n{"id":true}', (2, "not a flat JSON object")),
        (b'{"id":"b","name":"Bo"}\n{"id":"\\ud800","name":"x"}', (2, "not UTF-8")),
    ],
)
def test_what_is_no_row_is_refused_with_its_line_and_the_rest_is_read(
    tmp_path: Path, content: bytes, refused: tuple[int, str]
) -> None:
    found, bad = read(write(tmp_path, content))
    assert bad == [refused]
    assert {"id": "b", "name": "Bo"} in [row for _, row in found]


def test_a_quote_that_is_never_closed_is_refused(tmp_path: Path) -> None:
    found, bad = read(write(tmp_path, b'id,name\nb,Bo\na,"Ann\nc,Cy\n'))
    assert [line for line, _ in found] == [2]
    assert bad == [(3, "no CSV, up to line 4: unexpected end of data")]


def test_json_that_is_none_is_refused(tmp_path: Path) -> None:
    _, bad = read(write(tmp_path, b'{"id":\n' + b'{"id":' * 100_000 + b"\n{"))
    assert [line for line, _ in bad] == [1, 2, 3]
    assert all(reason.startswith("no JSON: ") for _, reason in bad)


@pytest.mark.parametrize("content", [b"", b"\n", b"id;name\n", b"id\n", b"[1]", "id,name\n".encode("utf-16")])
def test_a_file_without_the_required_columns_is_refused_whole(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FileError, match=r"no column '(id|name)'; it needs id, name"):
        read(write(tmp_path, content))


@pytest.mark.parametrize("spoil", [lambda b: b[:-9], lambda b: b[:-8] + bytes(8), lambda b: b[:12] + b"\xff" * 8])
def test_a_damaged_gzip_is_refused_before_anything_is_read(tmp_path: Path, spoil: Any) -> None:
    with pytest.raises(FileError, match="damaged gzip"):
        rows.check(write(tmp_path, spoil(gzip.compress(CSV * 100))))


# --- rows ------------------------------------------------------------------------------------------


class Codes:
    """A registry of one merchant."""

    def __init__(self, _: object) -> None: ...

    def merchant(self, product: str) -> str | None:
        return "shop" if product == "tea" else None

    def binds(self, product: str) -> bool:
        return False

    def promoter(self, promoter: str) -> bool:
        return promoter == "ann"

    def currency(self, merchant: str) -> str:
        return "CNY"

    def day_key(self, now: int) -> bytes:
        return bytes(32)


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "Codes", Codes)


def make(kind: str, /, **row: str) -> dict[str, Any]:
    maker = MAKERS[kind](None, "00" * 32)  # type: ignore[arg-type]
    return maker.event(row)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2025-10-09T08:53:20Z", NOW),
        ("2025-10-09T08:53:20.000Z", NOW),
        ("2025-10-09T16:53:20.5+08:00", NOW + 500),
        ("2025-10-09 08:53:20+00:00", NOW),
        ("1760000000", NOW),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000),
    ],
)
def test_a_time_is_rfc_3339_or_unix_seconds(text: str, milliseconds: int) -> None:
    assert instants.parse(text) == milliseconds


@pytest.mark.parametrize("text", ["2025-10-09T08:53:20", "2025-10-09", "yesterday", "1760000000000", "-5", "1e9"])
def test_any_other_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        instants.parse(text)


def test_a_visitor_is_any_string_of_64_bytes_and_one_of_ours_stays_itself() -> None:
    ours = "0123456789abcdef" * 2
    assert importing.visitor_id(ours) == ours
    made = [importing.visitor_id(text) for text in (ours.upper(), "42", "访客", "x" * 64)]
    assert len(set(made)) == 4
    assert all(len(id) == 32 for id in made)
    with pytest.raises(RowError, match="visitor is longer than 64 bytes"):
        importing.visitor_id("客" * 22)


CLICK = {"time": "1700000000", "aff": "ann", "pid": "tea"}
ORDER = {"time": "1700000000", "pid": "tea", "order_id": "o1", "amount": "12.30"}


def test_a_click_carries_what_its_row_says() -> None:
    event = make(
        "clicks", **CLICK, visitor="v", cust="c", did="d", channel="web", sub5="x", ip="10.1.2.3", ua="Mozilla"
    )
    assert (event["at"], event["merchant"], event["counted"], event["sub5"]) == (1_700_000_000_000, "shop", True, "x")
    assert (event["prefix"], event["visitor"]) == ("10.1.2.0/24", importing.visitor_id("v"))
    assert "10.1.2.3" not in repr(event)


def test_a_bots_click_does_not_count() -> None:
    event = make("clicks", **CLICK, ua="Googlebot/2.1")
    assert (event["counted"], event["reason"]) == (False, "bot")


@pytest.mark.parametrize(
    ("kind", "row", "reason"),
    [
        ("clicks", CLICK | {"pid": "no"}, "there is no product 'no'"),
        ("clicks", CLICK | {"aff": "no"}, "there is no promoter 'no'"),
        ("clicks", CLICK | {"aff": "a b"}, "aff 'a b' is no code"),
        ("clicks", CLICK | {"time": "99999999999"}, "in the future"),
        ("clicks", CLICK | {"time": "1"}, "before 2000"),
        ("clicks", CLICK | {"ip": "1.2.3"}, "ip '1.2.3' is no address"),
        ("clicks", CLICK | {"sub1": "x" * 513}, "sub1 is longer than 512 bytes"),
        ("conversions", ORDER | {"amount": "1.234"}, "amount '1.234' CNY: bad_amount"),
        ("conversions", ORDER | {"amount": "-1"}, "amount '-1' CNY: bad_amount"),
        ("conversions", ORDER | {"currency": "XXQ"}, "bad_currency"),
        ("conversions", ORDER | {"status": "paid"}, "status 'paid' is none of"),
        ("conversions", ORDER | {"click_id": "17"}, "click_id '17' is none of ours"),
        ("conversions", ORDER | {"pid": "no"}, "there is no product 'no'"),
        ("promoters", {"id": "x", "name": "x", "kind": "boss"}, "kind 'boss' is neither"),
        ("promoters", {"id": "x", "name": "x" * 257}, "name"),
        ("links", {"code": "x", "promoter": "ann", "product": "tea", "url": "https://a.example\\@b.example/"}, "url"),
        ("links", {"code": "x", "promoter": "ann", "product": "tea", "url": "javascript:alert(1)"}, "url"),
    ],
)
def test_a_bad_row_is_refused_with_a_reason(kind: str, row: dict[str, str], reason: str) -> None:
    with pytest.raises(RowError) as refused:
        make(kind, **row)
    assert reason in str(refused.value)


def test_an_id_comes_from_file_and_line_alone_and_sorts_by_time() -> None:
    one, other = (MAKERS["clicks"](None, digest * 32) for digest in ("00", "01"))  # type: ignore[arg-type]
    assert one.event_id(2, NOW) == one.event_id(2, NOW)
    assert len({one.event_id(2, NOW), one.event_id(3, NOW), other.event_id(2, NOW)}) == 3
    assert one.event_id(9, NOW) < other.event_id(1, NOW + 1)


def promoter(line: int, id: str, parent: str = "") -> dict[str, Any]:
    return {"line": line, "body": json.dumps({"data": {"id": id} | ({"parent": parent} if parent else {})})}


def test_promoters_come_after_their_parents_and_loops_are_found() -> None:
    events = [
        promoter(2, "c", "b"),
        promoter(3, "b", "a"),
        promoter(4, "a"),
        promoter(5, "x", "y"),
        promoter(6, "y", "x"),
        promoter(7, "w", "x"),
        promoter(8, "self", "self"),
        promoter(9, "b", "x"),
        promoter(10, "z", "elsewhere"),
    ]
    ordered, loops = importing._parents_first(events)
    assert sorted(event["line"] for event in ordered) == list(range(2, 11))
    place = {event["line"]: n for n, event in enumerate(ordered)}
    assert place[4] < place[3] < place[2]
    assert place[3] < place[9], "of two with one id the first in the file is the first"
    assert loops == {5: "loop: x below y below x", 6: "loop: x below y below x", 8: "loop: self below self"}


# --- any file, any row -----------------------------------------------------------------------------

CELLS = st.one_of(
    st.sampled_from(["", "ann", "tea", "1700000000", "2025-10-09T08:53:20Z", "12.30", "CNY", "approved", "x" * 600]),
    st.text(max_size=12),
)
LINES = st.lists(st.sampled_from([b"id", b"name", b",", b'"', b"\n", b"\r\n", b"{", b"}", b":", b"\xff", b"\0", b"a"]))


@settings(max_examples=200, database=None, suppress_health_check=list(HealthCheck))
@given(content=st.one_of(st.binary(max_size=300), LINES.map(b"".join), LINES.map(lambda some: CSV + b"".join(some))))
def test_any_file_is_rows_and_lines_with_their_reasons_or_none_at_all(tmp_path: Path, content: bytes) -> None:
    file = write(tmp_path, content)
    try:
        rows.check(file)
        found, refused = read(file)
    except FileError:
        return
    lines = [line for line, _ in found] + [line for line, _ in refused]
    assert len(set(lines)) == len(lines) and all(0 < line <= content.count(b"\n") + 2 for line in lines)
    assert all(row["id"] and row["name"] for _, row in found) and all(reason for _, reason in refused)


@settings(max_examples=200, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(sorted(MAKERS)))
def test_any_row_is_an_event_that_can_be_written_or_refused_with_a_reason(data: st.DataObject, kind: str) -> None:
    names = importing.COLUMNS[kind]
    sound = {"clicks": CLICK, "conversions": ORDER}.get(kind, dict.fromkeys(importing.REQUIRED[kind], "a"))
    row = sound | data.draw(st.dictionaries(st.sampled_from(names), CELLS.filter(bool)))
    try:
        event = make(kind, **row)
    except RowError as error:
        assert str(error)
        return
    again = _core.decode_event(_core.encode_event(event | {"id": "ab" * 16, "source": "import", "line": 2}))
    assert {name: again.get(name) for name in ("at", "pid", "aff", "oid")} == {
        name: event.get(name) or None for name in ("at", "pid", "aff", "oid")
    }
