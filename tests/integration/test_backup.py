"""A drill: an instance is backed up while orders come in, dies, and lives on from its backup."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from instance import Instance, running, tuike
from tuike import backing
from tuike.data import Data, DataError
from waiting import until


@contextmanager
def orders_coming(instance: Instance) -> Iterator[list[str]]:
    """Clicks that lead to orders, one after the other; the ids of those that were acknowledged."""
    acknowledged: list[str] = []
    stop = threading.Event()

    def sell() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            _, target, _ = instance.click("/r?aff=ann&pid=tea")
            click = target.partition("click_id=")[2]
            status, _ = instance.postback(oid=f"o{number}", pid="tea", amount="100.00", click_id=click)
            if status == 202:
                acknowledged.append(f"o{number}")

    seller = threading.Thread(target=sell)
    seller.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        seller.join()


def test_an_instance_lives_on_from_a_backup_taken_while_orders_came_in(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--workers", "1") as instance:
        instance.merchant()
        instance.product()
        instance.promoter("bob")
        instance.promoter("ann", "bob")
        with orders_coming(instance) as acknowledged:
            until(lambda: len(acknowledged) > 20, "orders")
            before = list(acknowledged)
            said = tuike("backup", tmp_path / "backup", "--data", instance.data).stdout
            assert " files, " in said
            until(lambda: len(acknowledged) > len(before) + 5, "orders after the backup")
        instance.kill()
    shutil.rmtree(instance.data)
    tuike("restore", tmp_path / "backup", "--data", instance.data)
    tuike("verify", "--data", instance.data)
    with running(instance.data, "--workers", "1") as restored:
        restored.secrets = instance.secrets
        status, late = restored.postback(oid="after", pid="tea", amount="100.00", aff="ann")
        assert status == 202
        until(lambda: restored.get(f"events/{late['event_id']}")["status"] == "applied", "an order after the restore")
        listed = {item["order_id"]: item for item in restored.get("conversions?limit=500")["items"]}
        assert {*before, "after"} <= listed.keys()
        assert all(listed[order]["credits"][0]["promoter"] == "ann" for order in before)
        restored.stop()
    tuike("verify", "--data", instance.data)
    tuike("replay", "--data", instance.data)
    decided = tuike("verify", "--attribution", "--data", instance.data).stdout
    assert " 0 would be credited otherwise" in decided, decided


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    data = Data.open(tmp_path / "data", create=True)
    tuike("demo", "--data", data.root)
    backing.backup(data, tmp_path / "backup")
    return tmp_path / "backup"


def test_a_backup_is_for_its_owner_alone_and_says_what_it_holds(saved: Path) -> None:
    about = json.loads((saved / backing.LIST).read_text())
    assert set(about["files"]) == {
        path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file() and path.name != backing.LIST
    }
    assert "books.sqlite" in about["files"] and "statement.key" in about["files"]
    assert saved.stat().st_mode & 0o077 == 0
    for name in ("secret", "statement.key"):
        assert (saved / name).stat().st_mode & 0o077 == 0


def test_segments_are_as_old_after_a_restore_as_they_were(tmp_path: Path) -> None:
    """Else hits would be kept as long once more from then on."""
    data = Data.open(tmp_path / "data", create=True)
    tuike("demo", "--data", data.root)
    segments = sorted(path.relative_to(data.root) for path in data.journal.rglob("*.seg"))
    assert segments
    for number, name in enumerate(segments, start=1):
        os.utime(data.root / name, ns=(number * 10**9, number * 10**9))
    backing.backup(data, tmp_path / "backup")
    backing.restore(tmp_path / "backup", tmp_path / "new")
    ages = [(tmp_path / "new" / name).stat().st_mtime_ns for name in segments]
    assert ages == [number * 10**9 for number in range(1, len(segments) + 1)]


def test_a_backup_that_is_not_whole_is_not_restored(saved: Path, tmp_path: Path) -> None:
    segment = next(saved.rglob("*.seg"))
    whole = segment.read_bytes()
    with segment.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    with pytest.raises(DataError, match="not what was backed up"):
        backing.restore(saved, tmp_path / "new")
    segment.write_bytes(whole)
    (saved / "secret").rename(tmp_path / "secret")
    with pytest.raises(DataError, match="missing"):
        backing.restore(saved, tmp_path / "new")
    (saved / backing.LIST).write_text('{"layout": 1, "files": {"../evil": {}}}')
    with pytest.raises(DataError, match="no file of a backup"):
        backing.restore(saved, tmp_path / "new")
    (saved / backing.LIST).unlink()
    with pytest.raises(DataError, match="no backup of tuike"):
        backing.restore(saved, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_nothing_is_written_over_and_a_restore_that_was_killed_is_begun_anew(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not empty"):
        backing.backup(Data.open(tmp_path / "data"), saved)
    with pytest.raises(DataError, match="not empty"):
        backing.restore(saved, tmp_path / "data")
    new = tmp_path / "new"
    (new / "journal").mkdir(parents=True)
    (new / "books.sqlite").write_text("half")
    (new / backing.MARKER).write_text("x")
    with pytest.raises(DataError, match="no tuike data directory"):
        Data.open(new)
    backing.restore(saved, new)
    assert Data.open(new).secret == Data.open(tmp_path / "data").secret
    assert not (new / backing.MARKER).exists()
