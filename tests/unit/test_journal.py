"""The journal through its door: events, writer, readers."""

import select
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuike import _core
from waiting import PATIENCE

IDS = st.binary(min_size=16, max_size=16).map(bytes.hex)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
NUMBERS = st.integers(1, 2**64 - 1)
EVENTS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["view", "click", "order", "claim", "registry", "decision", "booked", "close"])},
    optional={
        "id": IDS,
        "visitor": IDS,
        "click": IDS,
        "at": NUMBERS,
        "received": NUMBERS,
        "amount": st.integers(0, 2**64 - 1),
        "aff": TEXTS,
        "reason": TEXTS,
        "extra": TEXTS,
        "counted": st.just(True),
        "private": st.just(True),
        "body": st.binary(min_size=1, max_size=300),
    },
)


def event(n: int) -> bytes:
    return _core.encode_event({"kind": "view", "at": n + 1, "aff": "a" * (n % 50)})


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "journal")


@given(EVENTS)
def test_every_event_reads_back(event: dict[str, Any]) -> None:
    assert _core.decode_event(_core.encode_event(event)) == event


@given(EVENTS)
def test_absent_fields_are_not_written(event: dict[str, Any]) -> None:
    padded = (
        event | {name: None for name in ("pid", "did", "address") if name not in event} | {"sub1": "", "bot": False}
    )
    assert _core.encode_event(padded) == _core.encode_event(dict(sorted(padded.items())))
    assert _core.decode_event(_core.encode_event(padded)) == event


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "kind"),
        ({"kind": "party"}, "kind"),
        ({"kind": 1}, "kind"),
        ({"kind": "view", "colour": "red"}, "colour"),
        ({"kind": "view", "at": -1}, "at"),
        ({"kind": "view", "at": 1.5}, "at"),
        ({"kind": "view", "at": 2**64}, "at"),
        ({"kind": "view", "at": "1"}, "at"),
        ({"kind": "view", "aff": 7}, "aff"),
        ({"kind": "view", "aff": "\ud800"}, "aff"),
        ({"kind": "view", "id": "12"}, "id"),
        ({"kind": "view", "id": "g" * 32}, "id"),
        ({"kind": "view", "bot": 1}, "bot"),
        ({"kind": "view", "body": "text"}, "body"),
        ({"kind": "view", "aff": ["a"]}, "aff"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named}: "):
        _core.encode_event(fields)


def test_an_event_of_another_version_or_none_at_all_is_refused() -> None:
    sound = event(0)
    with pytest.raises(ValueError, match="event version 2 is newer"):
        _core.decode_event(b"\x02" + sound[1:])
    for cut in range(len(sound)):
        with pytest.raises(ValueError, match="malformed event at byte"):
            _core.decode_event(sound[:cut])


@pytest.mark.parametrize("durability", ["process", "interval", "always"])
def test_what_is_appended_is_read(root: str, durability: Any) -> None:
    writer = _core.Writer(root, "edge-0", 2**64 - 1, durability=durability)
    assert writer.append([event(0), event(1)]) == 2
    assert writer.append([event(2)]) == 3
    assert writer.append([]) == 3
    writer.sync()
    assert writer.wait_synced(3, PATIENCE)
    assert writer.synced == 3
    assert writer.problem is None
    [(producer, incarnation, path)] = _core.incarnations(root)
    assert (producer, incarnation) == ("edge-0", writer.incarnation) == ("edge-0", 2**64 - 1)
    reader = _core.JournalReader(path)
    assert list(reader) == [(1, event(0)), (2, event(1)), (3, event(2))]
    writer.append([event(3)])
    writer.close(9)
    assert list(reader) == [(4, event(3))]
    assert list(_core.JournalReader(path, 2)) == [(3, event(2)), (4, event(3))]
    report = _core.check_journal(path)
    sizes = sum(len(event(n)) + 20 for n in range(4))
    assert report == {
        "records": 4, "bytes": sizes, "last": 4, "damage": [], "torn": 0, "live": False, "closed": True,
    }  # fmt: skip


def test_the_descriptor_tells_when_a_sync_has_ended(root: str) -> None:
    writer = _core.Writer(root, "p", 1)
    writer.append([event(0)])
    writer.sync()
    assert select.select([writer.fd], [], [], PATIENCE)[0] == [writer.fd]
    assert writer.synced == 1
    writer.drain()
    assert select.select([writer.fd], [], [], 0)[0] == []
    writer.sync()
    assert select.select([writer.fd], [], [], 0)[0] == [writer.fd], "nothing was left to do"


def test_live_marks_show_the_registry_version_of_those_alive(root: str) -> None:
    assert _core.live_marks(root) == {}
    first, second = _core.Writer(root, "edge-0", 1), _core.Writer(root, "edge-1", 2)
    first.append([event(0)])
    first.tick(10, 7)
    second.tick(10, 8)
    assert _core.live_marks(root) == {"edge-0": 7, "edge-1": 8}
    second.close(11)
    assert _core.live_marks(root) == {"edge-0": 7}


def test_damage_is_told_and_the_rest_is_read(root: str) -> None:
    writer = _core.Writer(root, "p", 1, durability="process")
    writer.append([event(n) for n in range(10)])
    writer.close(0)
    [(_, _, path)] = _core.incarnations(root)
    segment = Path(path, "000000.seg")
    offset = 64 + sum(len(event(n)) + 20 for n in range(4))
    image = bytearray(segment.read_bytes())
    image[offset + 17] ^= 1
    segment.write_bytes(image)
    reader = _core.JournalReader(path)
    assert [seq for seq, _ in reader] == [1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert reader.damage == _core.check_journal(path)["damage"] == [(0, offset, len(event(4)) + 20)]


def test_a_closed_writer_says_so(root: str) -> None:
    writer = _core.Writer(root, "p", 1)
    writer.close(0)
    for use in (lambda: writer.append([event(0)]), writer.sync, lambda: writer.tick(1), lambda: writer.close(1)):
        with pytest.raises(ValueError, match="the journal is closed"):
            use()


def test_what_cannot_be_opened_is_told_by_name(root: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="durability: sometimes"):
        _core.Writer(root, "p", 1, durability="sometimes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot name a producer"):
        _core.Writer(root, "../p", 1)
    with pytest.raises(ValueError, match="too small"):
        _core.Writer(root, "p", 1, segment_bytes=1 << 20)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        _core.Writer(str(tmp_path / "file"), "p", 1)
    with pytest.raises(FileNotFoundError):
        _core.JournalReader(str(tmp_path / "none"))


def test_an_event_that_is_none_or_too_long_is_refused_alone(root: str) -> None:
    writer = _core.Writer(root, "p", 1)
    for payload in (b"", bytes(2**20 + 1)):
        with pytest.raises(ValueError, match="an event of"):
            writer.append([event(0), payload])
    assert writer.append([bytes(2**20)]) == 1


def test_full_is_an_error_of_the_system() -> None:
    assert issubclass(_core.JournalFull, OSError)
