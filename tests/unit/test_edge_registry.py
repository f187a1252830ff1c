"""The registry log, as the processor writes it: a beginning with a snapshot, then changes."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process_kit import Producer, drain, rows, settle, shop, write
from sqlalchemy import select

from tuike import _core
from tuike.books import registry_log
from tuike.clock import wall
from tuike.data import Data
from tuike.process import Processor
from tuike.stores import schema
from waiting import PATIENCE, until


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data.open(tmp_path / "data", create=True)


@pytest.fixture
def edge(data: Data) -> Iterator[Producer]:
    producer = Producer(data)
    yield producer
    producer.close()


def test_edges_get_a_snapshot_and_then_changes(data: Data, edge: Producer) -> None:
    edge.append(*shop(data))
    settle(data)
    processor = Processor(data)
    edge.append(write("link.create", code="L", promoter="alice", product="tea"))
    drain(processor)
    (incarnation,) = (data.registry / "registry").iterdir()
    events = [_core.decode_event(payload) for _, payload in _core.JournalReader(str(incarnation), 0)]
    processor.close()
    entries = [json.loads(event["body"]) for event in events]
    assert [entry["t"] for entry in entries] == ["key"] * 3 + ["merchant", "product", "snapshot", "ready", "link"]
    assert b"alice" in (incarnation / "snapshot").read_bytes()
    assert events[-1]["registry"] == 4
    assert len(_core.unseal(data.secret, "day", entries[0]["key"])) == 32


def test_a_new_day_brings_a_new_snapshot_and_destroys_old_keys(data: Data) -> None:
    today = [wall()]
    processor = Processor(data, now=lambda: today[0])
    first = {row["day"] for row in rows(data, select(schema.daily_keys))}
    (before,) = (data.registry / "registry").iterdir()
    today[0] += 2 * 86_400_000
    until(lambda: (processor.step(), not before.exists())[-1], "a new incarnation")
    (after,) = (data.registry / "registry").iterdir()
    processor.close()
    assert before != after
    assert {row["day"] for row in rows(data, select(schema.daily_keys))} == {day + 2 for day in first} | {
        max(first) - 1
    }


def test_yesterdays_addresses_say_nothing_once_their_key_is_gone(data: Data) -> None:
    """Not the key, sealed or not, is left in any file; without it nobody makes the pseudonym again."""
    today = [wall()]
    processor = Processor(data, now=lambda: today[0])
    day = today[0] // 86_400_000
    (sealed,) = [row["key"] for row in rows(data, select(schema.daily_keys)) if row["day"] == day]
    key = _core.unseal(data.secret, "day", sealed)
    assert _core.pseudonym(key, "192.0.2.77") == _core.pseudonym(key, "192.0.2.77")
    needles = (sealed.encode(), key, key.hex().encode())

    def kept() -> list[Path]:
        files = [path for path in data.root.rglob("*") if path.is_file()]
        return [path for path in files if any(needle in path.read_bytes() for needle in needles)]

    assert {path.parent.parent.name for path in kept()} >= {"registry"}
    (before,) = (data.registry / "registry").iterdir()
    today[0] += 2 * 86_400_000
    until(lambda: (processor.step(), not before.exists())[-1], "a new incarnation")
    today[0] += 1_000
    until(lambda: (processor.step(), not kept())[-1], "the key to be gone")
    processor.close()
    assert not kept()
    for row in rows(data, select(schema.daily_keys)):
        left = _core.unseal(data.secret, "day", row["key"])
        assert _core.pseudonym(left, "192.0.2.77")[0] != _core.pseudonym(key, "192.0.2.77")[0]


def told(incarnation: Path) -> list[tuple[str, int]]:
    """What an incarnation of the registry log says, in turn, and under which numbers."""
    events = [_core.decode_event(payload) for _, payload in _core.JournalReader(str(incarnation), 0)]
    return [(json.loads(event["body"])["t"], event.get("registry", 0)) for event in events]


def test_what_changes_while_a_snapshot_is_written_is_told_behind_it(
    data: Data, edge: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge.append(*shop(data))
    settle(data)
    processor = Processor(data)
    (before,) = (data.registry / "registry").iterdir()
    go_on = threading.Event()
    write_snapshot = registry_log._write_snapshot

    def waits(*arguments: Any) -> int:
        assert go_on.wait(PATIENCE)
        return write_snapshot(*arguments)

    monkeypatch.setattr(registry_log, "_write_snapshot", waits)
    monkeypatch.setattr(registry_log, "CHANGES_LEAST", 0)
    edge.append(write("link.create", code="L", promoter="alice", product="tea"))
    drain(processor)
    edge.append(write("promoter.create", id="bob", name="Bob"))
    drain(processor)
    edge.append(write("token.create", hash="h", role="admin"))
    drain(processor)
    assert told(before)[-4:] == [("ready", 3), ("link", 4), ("promoter", 5), ("number", 6)]
    go_on.set()
    until(lambda: (processor.step(), not before.exists())[-1], "a new incarnation")
    (after,) = (data.registry / "registry").iterdir()
    assert told(after)[-3:] == [("snapshot", 6), ("promoter", 5), ("ready", 6)]
    assert all(code in (after / "snapshot").read_bytes() for code in (b"alice", b"bob", b"L"))
    processor.close()


def test_a_log_that_goes_on_without_a_beginning_is_begun_anew(data: Data) -> None:
    processor = Processor(data)
    (before,) = (data.registry / "registry").iterdir()
    log = processor._edges._log._log
    assert log is not None
    log.incarnation += 1  # as after a failure of the disk: the writer has moved on
    until(lambda: (processor.step(), not before.exists())[-1], "a new incarnation")
    (after,) = (data.registry / "registry").iterdir()
    assert [kind for kind, _ in told(after)[-2:]] == ["snapshot", "ready"]
    processor.close()


def test_a_processor_that_stops_while_a_snapshot_is_written_leaves_the_last_one(
    data: Data, edge: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge.append(*shop(data))
    settle(data)
    now = [wall()]
    processor = Processor(data, now=lambda: now[0])
    write_snapshot = registry_log._write_snapshot

    def waits(books: Any, path: Path, hash_key: bytes, stopped: threading.Event) -> int:
        assert stopped.wait(PATIENCE)
        return write_snapshot(books, path, hash_key, stopped)

    with monkeypatch.context() as patch:
        patch.setattr(registry_log, "_write_snapshot", waits)
        now[0] += 86_400_000
        processor.step()
        processor.close()
    first, second = (data.registry / "registry").iterdir()
    whole, begun = (first, second) if (first / "snapshot").exists() else (second, first)
    assert (told(whole)[-1], told(begun)[-1]) == (("ready", 3), ("product", 3))
    assert not (begun / "snapshot").exists()
    settle(data)
    assert not whole.exists()
