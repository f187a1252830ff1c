"""The whole service with a failing disk, a damaged journal, and parts that stand still."""

import json
import os
import re
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from instance import Instance, signed, tuike
from load import CATCH_UP, acknowledged, begin, finish, prove, shop
from waiting import PATIENCE, until

TRIES = 5
BEHIND = 3000
"""Hits that a processor is behind."""
SETTLED = 1.5
"""Seconds after which a quiet instance has long booked an order."""
SILENT = 30.0
"""Seconds after which a worker that stands still holds nobody up."""


# --- a failed sync ---------------------------------------------------------------------------------


@pytest.fixture
def failing(failing_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Instance, Path]]:
    """An instance on a disk that fails on demand, and the directory of the control files (see faults.c)."""
    faults = tmp_path / "faults"
    faults.mkdir()
    with monkeypatch.context() as environment:
        environment.setenv("LD_PRELOAD", str(failing_disk))
        environment.setenv("TUIKE_FAULTS", str(faults))
        running = shop(tmp_path / "data")
        instance = running.__enter__()
    yield instance, faults
    running.__exit__(None, None, None)


def failures(faults: Path) -> set[str]:
    """The producers that have seen a failed sync."""
    return set(re.findall(r"^failed .*/journal/([^/]+)/", (faults / "log").read_text(), re.M))


def fail_once(faults: Path, part: str) -> None:
    """Fails the next sync of a file whose path holds `part`. The control file appears whole: an empty one, as it is
    for a moment while it is written, would fail and be used up by anybody's sync."""
    draft = faults / "draft"
    draft.write_text(part)
    draft.rename(faults / "fdatasync.once")


def test_one_failed_sync_of_a_worker_loses_and_doubles_nothing(failing: tuple[Instance, Path], tmp_path: Path) -> None:
    instance, faults = failing
    clients = begin(instance)
    for producer in ("edge-0", "edge-1", "books"):
        fail_once(faults, f"/{producer}/")
        until(lambda producer=producer: producer in failures(faults), f"a failed sync of {producer}")
        before = acknowledged(clients)
        until(lambda before=before: acknowledged(clients) > before + 200, "the load to run on")
    assert instance.ready()
    finish(clients)
    prove(instance, clients, tmp_path)
    incarnations = Counter(path.parent.name for path in (instance.data / "journal").glob("edge-*/*"))
    assert incarnations == {"edge-0": 2, "edge-1": 2}


def test_syncs_that_fail_for_a_while_are_a_reason_not_to_be_ready(
    failing: tuple[Instance, Path], tmp_path: Path
) -> None:
    instance, faults = failing
    clients = begin(instance)
    until(lambda: acknowledged(clients) > 200, "the load to run")
    (faults / "fdatasync").touch()
    until(lambda: {"edge-0", "edge-1"} <= failures(faults), "failed syncs of both workers")
    until(lambda: 'problem="disk_failed"' in instance.metrics(), "the failure in the metrics")
    assert not instance.ready()
    until(lambda: min(client.unrecorded for client in clients) > 0, "hits that are not recorded")
    (faults / "fdatasync").unlink()
    until(instance.ready, "the instance to be ready")
    before = acknowledged(clients)
    until(lambda: acknowledged(clients) > before + 200, "the load to run on")
    finish(clients)
    prove(instance, clients, tmp_path)


# --- a damaged segment -----------------------------------------------------------------------------


def damage(data: Path, text: bytes) -> str:
    """Flips a bit of the one record that holds a text; its incarnation as `producer/number`."""
    for segment in sorted(data.glob("journal/edge-*/*/*.seg")):
        content = bytearray(segment.read_bytes())
        place = content.find(text)
        if place >= 0:
            content[place] ^= 1
            segment.write_bytes(content)
            return f"{segment.parent.parent.name}/{segment.parent.name}"
    raise AssertionError(f"no segment holds {text!r}")


def test_a_damaged_record_is_passed_over_named_and_counted_as_a_fault(tmp_path: Path) -> None:
    with shop(tmp_path / "data") as instance:
        [processor] = instance.children("process")
        os.kill(processor, signal.SIGSTOP)  # so that nothing is folded before it is damaged
        orders = _hits_and_orders(instance)
        instance.kill()
        places = [damage(instance.data, text) for text in (b"hit-30", b"order-3")]
        instance.start()
        booked = [event for n, event in enumerate(orders) if n != 3]
        until(lambda: all(instance.get(f"events/{event}")["status"] == "applied" for event in booked), "the orders")
        until(lambda: instance.get("reports/summary")["clicks"] == 59, "all clicks but one")
        assert instance.get("reports/summary")["conversions"] == 5
        assert instance.ready()
        verdict = tuike("verify", "--data", instance.data, check=False)
        assert verdict.returncode == 1
        assert any(f"journal {place} byte " in verdict.stdout for place in places), verdict.stdout
        report = tuike("journal", "check", "--data", instance.data, check=False)
        assert report.returncode == 1
        found = re.findall(r"^(\S+): .* (\d+) damaged$", report.stdout, re.M)
        assert {place: int(number) for place, number in found if number != "0"} == Counter(places)


def _hits_and_orders(instance: Instance) -> list[str]:
    """Sixty clicks and, in their midst, six orders, whose ids it gives: at a journal's very end there is no damage."""
    orders = []
    for n in range(60):
        assert instance.click(f"/c/L?sub1=hit-{n:02}")[0] == 302
        if 30 <= n < 36:
            orders.append(instance.postback(oid=f"order-{n - 30}", pid="tea", amount="100.00", aff="bo")[1]["event_id"])
    return orders


@pytest.mark.parametrize("text", [b"hit-30", b"order-3"])
def test_a_record_that_is_damaged_after_it_was_applied_is_found_by_verify(
    folded: Path, text: bytes, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(folded, data, ignore=shutil.ignore_patterns("run"))
    tuike("verify", "--data", data)
    place = damage(data, text)
    verdict = tuike("verify", "--data", data, check=False)
    assert verdict.returncode == 1
    assert f"FAULT  journal: journal {place} byte " in verdict.stdout


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a stopped instance whose hits and orders are all applied."""
    with shop(tmp_path_factory.mktemp("folded") / "data") as instance:
        _hits_and_orders(instance)
        assert instance.stop() == 0
        return instance.data


# --- parts that stand still ------------------------------------------------------------------------


def test_a_processor_that_stands_still_under_load_catches_up(tmp_path: Path) -> None:
    with shop(tmp_path / "data") as instance:
        clients = begin(instance)
        until(lambda: acknowledged(clients) > 200, "the load to run")
        until(lambda: lag(instance) is not None, "the processor to say how far it is")
        [processor] = instance.children("process")
        os.kill(processor, signal.SIGSTOP)
        before = acknowledged(clients)
        until(lambda: acknowledged(clients) > before + BEHIND, "the load to run on")
        finish(clients)
        status, answer = instance.call("POST", "promoters", {"id": "cy", "name": "Cy", "kind": "member"})
        assert (status, set(answer)) == (202, {"event_id"})
        assert instance.get(f"events/{answer['event_id']}")["status"] == "waiting"
        behind = lag(instance)
        assert behind is not None and behind > 1
        assert instance.ready(), "hits are recorded all the same"
        more = begin(instance)
        os.kill(processor, signal.SIGCONT)
        until(lambda: acknowledged(more) > BEHIND, "the load to run on")
        finish(more)
        until(lambda: _is_applied(instance, answer["event_id"]), "the promoter")
        until(lambda: (lag(instance) or 0) < 1, "the processor to have caught up", CATCH_UP)
        prove(instance, clients + more, tmp_path)


def lag(instance: Instance) -> float | None:
    """Seconds, as the metrics have it; None while the processor has not been heard of."""
    found = re.search(r"^affiliate_journal_lag_seconds (\S+)$", instance.metrics(), re.M)
    return float(found[1]) if found else None


def test_on_a_quiet_instance_an_order_is_in_the_balance_within_a_second(tmp_path: Path) -> None:
    with shop(tmp_path / "data") as instance:
        times = []
        for n in range(1, TRIES + 1):
            assert instance.postback(oid=f"o{n}", pid="tea", amount="100.00", aff="bo")[0] == 202
            began = time.monotonic()
            until(lambda n=n: instance.balance("bo")["pending"] == f"{5 * n}.00", "the commission")
            times.append(time.monotonic() - began)
        assert min(times) < 1, times  # the others show what else the machine has to do


@pytest.mark.parametrize("end", [signal.SIGCONT, signal.SIGKILL], ids=["goes on", "is killed"])
def test_a_worker_that_stands_still_holds_orders_until_it_goes_on_or_ends(end: signal.Signals, tmp_path: Path) -> None:
    """What it has received may be older. (Once silent it holds nobody up: a test of the core's, in fold/tests.)"""
    with shop(tmp_path / "data") as instance:
        talks = [socket.create_connection(("127.0.0.1", instance.edge_port), timeout=PATIENCE) for _ in range(16)]
        for talk in talks:
            talk.sendall(b"GET /healthz HTTP/1.1\r\nHost: edge.example\r\n\r\n")
            assert talk.recv(4096).startswith(b"HTTP/1.1 200 ")
        victim = instance.children("edge")[0]
        held = held_by(victim, instance, talks)
        assert 0 < len(held) < len(talks)
        stopped = time.monotonic()
        os.kill(victim, signal.SIGSTOP)
        for n, talk in enumerate(talks):
            query = signed(
                instance.secrets["shop"],
                merchant="shop",
                ts=str(int(time.time())),
                oid=f"o{n}",
                pid="tea",
                amount="100.00",
                aff="bo",
            )
            talk.sendall(f"GET /postback?{query} HTTP/1.1\r\nHost: edge.example\r\n\r\n".encode())
        answers = [talk.recv(4096) for talk in talks if talk not in held]
        events = [json.loads(answer.rpartition(b"\r\n")[2])["event_id"] for answer in answers]
        time.sleep(SETTLED)  # that nothing comes of it has no sign to wait for
        assert [instance.get(f"events/{event}")["status"] for event in events] == ["waiting"] * len(events)
        assert instance.balance("bo")["pending"] == "0.00"
        os.kill(victim, end)
        before_it_is_silent = SILENT - (time.monotonic() - stopped)
        until(lambda: all(_is_applied(instance, event) for event in events), "the orders booked", before_it_is_silent)
        for talk in talks:
            talk.close()
        booked = len(talks) if end == signal.SIGCONT else len(events)
        until(lambda: instance.balance("bo")["pending"] == f"{5 * booked}.00", "all that was received")


def held_by(process: int, instance: Instance, talks: list[socket.socket]) -> list[socket.socket]:
    """Those of the connections whose other end a process has (proc(5))."""
    sockets = {str(descriptor.readlink()) for descriptor in Path(f"/proc/{process}/fd").iterdir()}
    peers = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, ours, theirs, *_, inode = line.split()[:10]
        if int(ours.rpartition(":")[2], 16) == instance.edge_port:
            peers[int(theirs.rpartition(":")[2], 16)] = f"socket:[{inode}]"
    return [talk for talk in talks if peers[talk.getsockname()[1]] in sockets]


def _is_applied(instance: Instance, event: str) -> bool:
    return bool(instance.get(f"events/{event}")["status"] == "applied")
