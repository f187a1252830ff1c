"""The journal under real faults: processes killed, disks that are full or fail."""

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from journal_child import payload

from tuike import _core
from waiting import PATIENCE, until

HERE = Path(__file__).parent
DURABILITIES = ("process", "interval", "always")


class Child:
    """A process with a writer, and the faults of its disk."""

    def __init__(self, base: Path, durability: str, disk: Path | None = None, prefix: tuple[str, ...] = ()) -> None:
        self.root, self.faults = base / "journal", base / "faults"
        self.faults.mkdir(exist_ok=True)
        self._arguments = [*prefix, sys.executable, str(HERE / "journal_child.py"), str(self.root), durability]
        self._environ = os.environ | {"TUIKE_FAULTS": str(self.faults)}
        if disk:
            self._environ["LD_PRELOAD"] = str(disk)

    def start(self, incarnation: int = 1) -> "Child":
        pipe = subprocess.PIPE
        arguments = [*self._arguments, str(incarnation)]
        self.process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, env=self._environ, text=True)
        assert self.answer() == "ready"
        return self

    def answer(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def tell(self, *command: Any) -> None:
        assert self.process.stdin
        print(json.dumps(command), file=self.process.stdin, flush=True)

    def ask(self, *command: Any) -> Any:
        self.tell(*command)
        return self.answer()

    def spoil(self, fault: str) -> None:
        (self.faults / fault).touch()

    def mend(self, fault: str) -> None:
        (self.faults / fault).unlink()

    def kill(self) -> str:
        """Ends the process by SIGKILL; what it had said by then."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.kill()
        said = self.process.stdout.read()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        return said

    def recorded(self) -> list[bytes]:
        """What all incarnations hold, each ended, none damaged."""
        found = []
        for _, _, path in self.incarnations():
            report = _core.check_journal(path)
            assert not report["live"]
            assert report["damage"] == []
            found += [payload for _, payload in _core.JournalReader(path)]
        return found

    def incarnations(self) -> list[tuple[str, int, str]]:
        """In the order in which they began."""
        return sorted(_core.incarnations(str(self.root)), key=lambda found: Path(found[2], "lock").stat().st_mtime_ns)

    def calls(self) -> list[list[str]]:
        """Each `wrote`, `synced` and `failed` (to sync), and of which segment."""
        return [line.split() for line in (self.faults / "log").read_text().splitlines()]


@pytest.fixture
def child(tmp_path: Path, failing_disk: Path) -> Iterator[Callable[..., Child]]:
    """Starts a child with the failing disk, the given faults present from the start."""
    children: list[Child] = []

    def make(durability: str, *faults: str) -> Child:
        made = Child(tmp_path, durability, failing_disk)
        for fault in faults:
            made.spoil(fault)
        children.append(made.start())
        return made

    yield make
    for made in children:
        if made.process.returncode is None:
            made.kill()


def events(stop: int) -> list[bytes]:
    return [payload(n) for n in range(stop)]


@pytest.mark.parametrize("durability", DURABILITIES)
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, durability: str) -> None:
    """Nothing acknowledged is missing, nothing is there twice or out of order, and a torn tail is no damage."""
    chance = random.Random(durability)
    for incarnation in range(1, 7):
        base = tmp_path / str(incarnation)
        base.mkdir()
        child = Child(base, durability).start(incarnation)
        child.tell("flood")
        acknowledged = 0
        for _ in range(chance.randrange(1, 400)):
            acknowledged = child.answer()
        acknowledged = max([acknowledged, *map(int, child.kill().split("\n")[:-1])])
        found = child.recorded()
        assert found == events(len(found))
        assert acknowledged <= len(found) <= acknowledged + 7


def test_a_reader_at_work_sees_the_same_as_one_afterwards(tmp_path: Path) -> None:
    child = Child(tmp_path, "process").start()
    [(_, _, path)] = child.incarnations()
    reader = _core.JournalReader(path)
    child.tell("flood")
    seen: list[bytes] = []

    def reads_on() -> bool:
        seen.extend(payload for _, payload in reader)
        return len(seen) > 20_000

    until(reads_on, "twenty thousand events")
    child.kill()
    seen += [payload for _, payload in reader]
    assert seen == child.recorded() == events(len(seen))
    assert reader.damage == []


def test_a_batch_is_one_write_and_always_one_sync(child: Callable[..., Child]) -> None:
    writer = child("always")
    begun = len(writer.calls())
    assert writer.ask("append", 0, 500) == 500
    assert [what for what, _ in writer.calls()[begun:]] == ["wrote", "synced"]


def test_one_failed_sync_moves_to_another_incarnation_and_nobody_notices(child: Callable[..., Child]) -> None:
    writer = child("interval")
    writer.ask("append", 0, 10)
    writer.ask("sync")
    assert writer.ask("wait_synced", 10, PATIENCE)
    writer.spoil("fdatasync.once")
    assert writer.ask("append", 10, 15) == 15
    writer.ask("sync")
    assert writer.ask("wait_synced", 15, PATIENCE)
    assert writer.ask("append", 15, 20) == 20, "numbers go on"
    assert writer.ask("problem") is None
    assert writer.ask("close", 1) is None
    old, new = writer.incarnations()
    assert [(seq, payload) for seq, payload in _core.JournalReader(old[2])] == list(enumerate(events(10), 1))
    assert [seq for seq, _ in _core.JournalReader(new[2])] == list(range(1, 11))
    assert writer.recorded() == events(20)


def test_a_file_whose_sync_failed_is_never_synced_again(child: Callable[..., Child]) -> None:
    writer = child("interval")
    writer.spoil("fdatasync")
    writer.ask("append", 0, 10)
    writer.ask("sync")
    until(lambda: writer.ask("problem") == "disk_failed", "the failure to be seen")
    assert writer.ask("append", 10, 11) == {"error": "JournalFull", "reason": "disk_failed"}
    assert not writer.ask("wait_synced", 10, 0)
    writer.mend("fdatasync")
    assert writer.ask("wait_synced", 10, PATIENCE)
    assert writer.ask("append", 10, 12) == 12
    assert writer.ask("close", 1) is None
    assert [what for what, path in writer.calls() if "/0000000000000001/" in path] == ["wrote", "failed"]
    assert writer.recorded() == events(12)
    assert len(writer.incarnations()) == 2, "what could not be synced at once leaves nothing behind"


def test_always_answers_for_what_it_synced_and_nothing_else(child: Callable[..., Child]) -> None:
    writer = child("always")
    assert writer.ask("append", 0, 5) == 5
    writer.spoil("fdatasync.once")
    assert writer.ask("append", 5, 9) == writer.ask("synced") == 9
    writer.spoil("fdatasync")
    refused = {"error": "JournalFull", "reason": "disk_failed"}
    until(lambda: writer.ask("append", 100, 101) == refused, "the failure to be seen")
    assert writer.ask("synced") == 9
    writer.mend("fdatasync")
    until(lambda: writer.ask("problem") is None, "the disk to be well again")
    assert writer.ask("append", 9, 12) == 12
    assert writer.ask("close", 1) is None
    assert writer.recorded() == events(12)


def test_closing_says_when_not_all_could_be_synced(child: Callable[..., Child]) -> None:
    writer = child("interval")
    writer.ask("append", 0, 3)
    assert writer.ask("wait_synced", 3, PATIENCE)
    writer.spoil("fdatasync")
    writer.ask("append", 3, 5)
    answer = writer.ask("close", 1)
    assert answer["error"] == "OSError"


def test_what_waits_for_a_slow_disk_is_bounded(child: Callable[..., Child]) -> None:
    """The memory for unsynced events has a limit; at it appends are refused until the sync has ended."""
    writer = child("interval")
    writer.spoil("slow")
    stop, answer = 0, None
    while (answer := writer.ask("append", stop, stop + 20_000)) == stop + 20_000:
        stop += 20_000
    assert answer == {"error": "JournalFull", "reason": "disk_slow"}
    assert writer.ask("problem") == "disk_slow"
    assert sum(len(payload(n)) + 20 for n in range(stop)) > 64 << 20
    writer.mend("slow")
    assert writer.ask("wait_synced", stop, PATIENCE)
    until(lambda: writer.ask("problem") is None, "the disk to be well again")
    assert writer.ask("append", stop, stop + 10) == stop + 10
    assert writer.ask("close", 1) is None
    assert writer.recorded() == events(stop + 10)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_full_disk_refuses_whole_batches_and_passes_by_itself(child: Callable[..., Child], durability: str) -> None:
    writer = child(durability)
    writer.spoil("full")
    stop = 0
    for stop in itertools.count(0, 2000):
        answer = writer.ask("append", stop, stop + 2000)
        if answer != stop + 2000:
            break
    assert answer == {"error": "JournalFull", "reason": "disk_full"}
    assert writer.ask("problem") == "disk_full"
    assert writer.ask("append", 0, 1) == answer, "not even what would fit"
    writer.mend("full")
    until(lambda: writer.ask("problem") is None, "the disk to be well again")
    assert writer.ask("append", stop, stop + 2000) == stop + 2000
    assert writer.ask("close", 1) is None
    assert writer.recorded() == events(stop + 2000)


def test_a_start_on_a_full_disk_records_as_soon_as_there_is_room(child: Callable[..., Child]) -> None:
    writer = child("interval", "full")
    assert writer.ask("problem") == "disk_full"
    assert writer.ask("append", 0, 1) == {"error": "JournalFull", "reason": "disk_full"}
    assert writer.incarnations() == []
    writer.mend("full")
    until(lambda: writer.ask("problem") is None, "the disk to be well again")
    assert writer.ask("append", 0, 4) == 4
    assert writer.ask("close", 1) is None
    assert writer.recorded() == events(4)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_write_cut_short_is_continued_to_the_last_byte(child: Callable[..., Child], durability: str) -> None:
    writer = child(durability)
    writer.spoil("short_write")
    assert writer.ask("append", 0, 3000) == 3000
    writer.mend("short_write")
    assert writer.ask("append", 3000, 3010) == 3010
    writer.kill()
    assert writer.recorded() == events(3010)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_write_that_fails_half_way_leaves_no_trace(child: Callable[..., Child], durability: str) -> None:
    """The first half is written, then there is no room: the batch goes whole into another incarnation."""
    writer = child(durability)
    assert writer.ask("append", 0, 100) == 100
    writer.spoil("half_write.once")
    assert writer.ask("append", 100, 200) == 200
    assert writer.ask("append", 200, 300) == 300
    assert writer.ask("close", 1) is None
    assert writer.recorded() == events(300)
    assert len(writer.incarnations()) == 2


def test_a_block_that_cannot_be_read_is_damage_and_the_rest_is_read(child: Callable[..., Child]) -> None:
    writer = child("process")
    assert writer.ask("append", 0, 1000) == 1000
    [(_, _, path)] = writer.incarnations()
    writer.spoil("unreadable")
    found = writer.ask("read", path)
    lost = sorted(set(range(1, 1001)) - set(found))
    assert lost == list(range(lost[0], lost[-1] + 1))
    size = sum(len(payload(seq - 1)) + 20 for seq in lost)
    assert 4096 <= size < 4096 + 2 * 336
    writer.mend("unreadable")
    assert writer.ask("read", path) == list(range(1, 1001))


def test_a_file_system_that_is_really_full(tmp_path: Path) -> None:
    """On a tmpfs of 8 MiB, mounted where only the writer sees it."""
    space = tmp_path / "space"
    space.mkdir()
    mount = 'mount -t tmpfs -o size=8m none "$0" && exec "$@"'
    prefix = ("unshare", *(() if os.geteuid() == 0 else ("-Ur",)), "-m", "sh", "-c", mount, str(space))
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("NOT TESTED: mounting is not permitted here")
    writer = Child(space, "interval", prefix=prefix).start()
    outside = Path(f"/proc/{writer.process.pid}/root{space}")
    stop = 0
    for stop in itertools.count(0, 2000):
        answer = writer.ask("append", stop, stop + 2000)
        if answer != stop + 2000:
            break
    assert answer == {"error": "JournalFull", "reason": "disk_full"}
    subprocess.run(
        ["nsenter", "-t", str(writer.process.pid), "-m", "mount", "-o", "remount,size=64m", space], check=True
    )
    until(lambda: writer.ask("problem") is None, "the disk to be well again")
    assert writer.ask("append", stop, stop + 2000) == stop + 2000
    assert writer.ask("wait_synced", stop + 2000, PATIENCE)
    [(_, _, path)] = _core.incarnations(str(outside / "journal"))
    assert [payload for _, payload in _core.JournalReader(path)] == events(stop + 2000)
    writer.kill()
