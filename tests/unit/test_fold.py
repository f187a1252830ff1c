"""The fold of hits: everything a producer acknowledged comes out once, summed as a plain loop would."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuike._core import Follower, Writer, encode_event, estimate_sketch, merge_sketches

SUBS = ("sub1", "sub2", "sub3", "sub4", "sub5")
Row = tuple[int, str, str, str, str, int, str]


def write(root: Path, producer: str, incarnation: int, events: list[dict[str, Any]]) -> Writer:
    writer = Writer(str(root), producer, incarnation, durability="process")
    if events:
        writer.append([encode_event(event) for event in events])
    return writer


def click(**fields: Any) -> dict[str, Any]:
    return {"kind": "click", "merchant": "m", "pid": "p", "aff": "a", "counted": True, **fields}


def test_a_batch_shows_hits_as_sums_and_the_rest_as_it_came(tmp_path: Path) -> None:
    order = {"kind": "order", "id": "0f" * 16, "merchant": "m", "amount": 0, "body": b'{"a": 1}', "at": 7}
    write(tmp_path, "edge-0", 2**63 + 1, [click(at=900_000, visitor="ab" * 16, sub2="s"), order, click(at=1_799_999)])
    batch = Follower(str(tmp_path)).read({}, 10, 99)
    incarnation = 2**63 + 1
    assert (batch.count, batch.more, batch.damage, batch.upto) == (3, False, [], {incarnation: 3})
    assert batch.hit_counts() == {incarnation: {"counted": 2}}
    assert batch.events() == [(incarnation, 2, "edge-0", order)]
    rows = batch.rollups()
    assert [row[:11] for row in rows] == [
        (900, "m", "p", "a", "", 0, "", 0, 2, 0, 0),
        (900, "m", "p", "a", "", 2, "s", 0, 1, 0, 0),
    ]
    assert [estimate_sketch(row[11]) for row in rows] == [1, 1]


def test_what_is_packed_is_read_only_and_stays_as_long_as_somebody_looks_at_it(tmp_path: Path) -> None:
    write(tmp_path, "edge-0", 1, [click(visitor=f"{n:032x}", at=900_000 + n) for n in range(5_000)])
    packed = Follower(str(tmp_path)).take({}, 5_000, 99).packed
    kept = [bytes(data) for _, _, data in packed]
    gc.collect()
    for n in range(3):  # of the same sizes, where the others would have been
        assert [bytes(data) for _, _, data in Follower(str(tmp_path)).take({}, 5_000, 99 + n).packed] == kept
    assert [bytes(data) for _, _, data in packed] == kept
    assert all(data.readonly and data.contiguous and data.format == "B" for _, _, data in packed)
    with pytest.raises(TypeError):
        packed[0][2][0] = 0


def test_the_watermark_needs_every_live_producers_promise(tmp_path: Path) -> None:
    follower = Follower(str(tmp_path))
    assert follower.read({}, 10, 1000).watermark == 1000
    edges = [write(tmp_path, f"edge-{n}", n + 1, []) for n in range(2)]
    edges[0].tick(2000)
    assert follower.read({}, 10, 2100).watermark == 1000
    edges[1].tick(2050)
    assert follower.read({}, 10, 2100).watermark == 2000
    edges[0].close(2060)
    assert follower.read({}, 10, 2100).watermark == 2050


def test_events_of_a_newer_tuike_raise_and_malformed_ones_are_counted(tmp_path: Path) -> None:
    writer = write(tmp_path, "edge-0", 1, [click()])
    writer.append([b"\x01\xff", b"\x00"])
    follower = Follower(str(tmp_path))
    assert follower.read({}, 10, 1).hit_counts() == {1: {"counted": 1, "malformed": 2}}
    writer.append([b"\x02"])
    for _ in range(2):
        with pytest.raises(ValueError, match="event 4: written by a newer tuike"):
            follower.read({}, 10, 1)


CODES = st.sampled_from(("", "x", "y"))
OUTCOMES = st.sampled_from(
    ({"counted": True}, {"reason": "bot", "bot": True}, {"reason": "prefetch"}, {"reason": "unknown_promoter"}, {})
)
HITS = st.builds(
    lambda fields, outcome: {name: value for name, value in (fields | outcome).items() if value},
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(("view", "click")),
            "at": st.integers(0, 3).map(lambda n: n * 450_000),
            "visitor": st.sampled_from(("", "aa" * 16, "bb" * 16, "cc" * 16)),
            **dict.fromkeys(("merchant", "pid", "aff", "channel", *SUBS), CODES),
        }
    ),
    OUTCOMES,
)


def summed(hits: list[dict[str, Any]]) -> tuple[dict[Row, Counter[str]], dict[Row, set[str]], Counter[str]]:
    """The slow and obvious fold: counts and visitors by row, hits by outcome."""
    counts: dict[Row, Counter[str]] = defaultdict(Counter)
    visitors: dict[Row, set[str]] = defaultdict(set)
    outcomes: Counter[str] = Counter()
    for hit in hits:
        outcome = "counted" if hit.get("counted") else hit.get("reason", "malformed")
        outcomes[outcome] += 1
        column = {"counted": hit["kind"], "bot": "bot", "prefetch": "prefetch"}.get(outcome)
        if not column:
            continue
        labels = [(0, ""), *((n, hit[sub]) for n, sub in enumerate(SUBS, 1) if sub in hit)]
        for number, label in labels:
            codes = [hit.get(code, "") for code in ("merchant", "pid", "aff", "channel")]
            row = (hit.get("at", 0) // 900_000 * 900, *codes, number, label)
            counts[row][column] += 1
            if outcome == "counted" and "visitor" in hit:
                visitors[row].add(hit["visitor"])
    return counts, visitors, outcomes


@settings(max_examples=60)
@given(st.lists(HITS, max_size=40), st.integers(1, 40))
def test_batches_add_up_to_what_a_plain_loop_sums(hits: list[dict[str, Any]], limit: int) -> None:
    counts: dict[Row, Counter[str]] = defaultdict(Counter)
    sketches: dict[Row, list[bytes]] = defaultdict(list)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as directory:
        write(Path(directory), "edge-0", 1, hits)
        follower, more = Follower(directory), True
        after: dict[int, int] = {}
        while more:
            batch = follower.read(after, limit, 1)
            after |= batch.upto
            more = batch.more
            outcomes.update(batch.hit_counts().get(1, {}))
            for row in batch.rollups():
                counts[row[:7]] += Counter(dict(zip(("view", "click", "bot", "prefetch"), row[7:11], strict=True)))
                sketches[row[:7]].append(row[11])
    expected, visitors, expected_outcomes = summed(hits)
    assert (counts, outcomes) == (expected, expected_outcomes)
    for dimensions, parts in sketches.items():
        assert estimate_sketch(merge_sketches(parts)) == len(visitors[dimensions])


def test_sketches_of_many_visitors_merge_within_their_error_and_others_are_refused() -> None:
    assert merge_sketches([]) == merge_sketches([b"", b""]) == b""
    assert estimate_sketch(b"") == 0
    with pytest.raises(ValueError, match="insufficient data"):
        estimate_sketch(b"\x01")
    with pytest.raises(ValueError, match="insufficient data"):
        merge_sketches([b"", b"\x01"])


def test_what_a_killed_producer_acknowledged_is_read_once_over_all_its_incarnations(tmp_path: Path) -> None:
    follower, seen = Follower(str(tmp_path)), Counter[int]()
    after: dict[int, int] = {}

    def read() -> bool:
        batch = follower.read(after, 700, 1)
        after.update(batch.upto)
        seen.update(event["line"] for _, _, _, event in batch.events())
        return batch.more

    acknowledged = 0
    for incarnation in range(1, 6):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), str(incarnation)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        assert child.stdout
        for _ in range(20):
            acknowledged = max(acknowledged, int(child.stdout.readline()))
            read()
        os.kill(child.pid, signal.SIGKILL)
        rest, _ = child.communicate()
        acknowledged = max([acknowledged, *map(int, rest.split("\n")[:-1])])
        while read():
            pass
        lines = [line for line in seen if line // 1_000_000 == incarnation]
        assert max(lines) >= acknowledged
        assert sorted(lines) == list(range(incarnation * 1_000_000, max(lines) + 1))
    assert set(seen.values()) == {1}
    assert follower.read(after, 10, 1234).watermark == 1234


CHILD = """
import sys
from tuike._core import Writer, encode_event
root, incarnation = sys.argv[1], int(sys.argv[2])
writer, line = Writer(root, "edge-0", incarnation, durability="process"), incarnation * 1_000_000
while True:
    writer.append([encode_event({"kind": "order", "line": line + n}) for n in range(100)])
    line += 100
    print(line - 1, flush=True)
"""
