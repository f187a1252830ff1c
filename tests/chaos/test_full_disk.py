"""The whole service on a disk that is really full: nothing acknowledged is lost, and all recovers by itself."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from instance import Instance, tuike
from load import acknowledged, begin, finish, prove, shop
from waiting import PATIENCE, until

SIZE = "80m"
PADDING = 500


class Disk:
    """A file system of its own at a path, and a file that takes up the room."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    pass

    def leave(self, size: int) -> None:
        """Room for a journal of a few lines, and for no commit of the books."""
        self.fill()
        os.truncate(self._ballast, self._ballast.stat().st_size - size)

    def make_room(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "data"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", path], capture_output=True).returncode:
        pytest.skip("NOT TESTED: mounting is not permitted here")
    yield Disk(path)
    subprocess.run(["umount", "-l", path], check=True)


def ask(url: str, body: bytes | None = None) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"} if body else {})
    try:
        answer = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.read().decode(errors="replace"), dict(answer.headers)


def test_a_full_disk_refuses_what_it_cannot_keep_and_recovers_by_itself(disk: Disk, tmp_path: Path) -> None:
    with shop(disk.path, "--segment-mib", "2") as instance:
        clients = begin(instance, PADDING)
        until(lambda: instance.get("reports/summary")["clicks"] > 0, "the load to run")
        disk.fill()
        until(lambda: _unready(instance).count("disk_full") == 2, "the disk to be full for both workers")
        until(lambda: min(client.unrecorded for client in clients) > 0, "a hit that is not recorded")
        until(lambda: sum(client.refused for client in clients) > 0, "an order that is refused")
        finish(clients)
        until(lambda: _is_full(instance), "no room for the smallest hit at either worker")
        _answers_on_a_full_disk(instance)
        _admin_on_a_full_disk(instance, tmp_path)
        disk.leave(1 << 13)
        _import_on_a_full_disk(instance, tmp_path, "eve")
        # both start on the full disk, the processor again and again
        for part in ("process", "edge"):
            for process in instance.children(part):
                os.kill(process, signal.SIGKILL)
        until(lambda: len(instance.children("edge")) == 2, "new edge workers")
        until(lambda: _recorded_when_full(instance, disk) == "0", "an edge that serves on the full disk")
        disk.make_room()
        more = begin(instance)
        until(lambda: acknowledged(more) > 100, "hits to be recorded again")
        until(instance.ready, "the instance to be ready")
        finish(more)
        prove(instance, clients + more, tmp_path)


def _unready(instance: Instance) -> str:
    """The reason of a /readyz that is 503."""
    status, answer, _ = ask(f"{instance.admin}/readyz")
    return json.loads(answer)["detail"] if status == 503 else ""


def _recorded_when_full(instance: Instance, disk: Disk) -> str:
    """What an edge says of a hit. What dies leaves room (logs that were flushed): it is taken up again first."""
    disk.fill()
    try:
        return ask(f"{instance.edge}/p.gif?aff=ann&pid=tea")[2].get("Tuike-Recorded", "")
    except OSError:
        return ""


def _is_full(instance: Instance) -> bool:
    """Where the load's hits had no room any more, smaller ones may have some; twenty hits meet both workers."""
    pixel = f"{instance.edge}/p.gif?aff=ann&pid=tea"
    return all(ask(pixel)[2].get("Tuike-Recorded") == "0" for _ in range(20))


def _answers_on_a_full_disk(instance: Instance) -> None:
    status, _, headers = ask(f"{instance.edge}/p.gif?aff=ann&pid=tea")
    assert (status, headers["Tuike-Recorded"]) == (200, "0")
    status, location, cookies = instance.click("/c/L")
    assert status == 302
    assert location.startswith("https://shop.example/tea?click_id=")
    assert "tk_aff" in cookies, "the signed cookie still credits the order"
    assert instance.postback(oid="full", pid="tea", amount="1.00")[0] == 503
    beacon = json.dumps({"type": "view", "aff": "ann", "pid": "tea"}).encode()
    for url, body in ((f"{instance.edge}/conversion?oid=full&pid=tea", None), (f"{instance.edge}/e", beacon)):
        status, problem, headers = ask(url, body)
        assert (status, json.loads(problem)["code"], headers["Retry-After"]) == (503, "not_recorded", "1")
    metrics = ask(f"{instance.admin}/metrics")[1]
    for kind in ("view", "click", "order", "claim"):
        assert f'affiliate_hits_total{{kind="{kind}",outcome="unrecorded"}}' in metrics
    assert 'affiliate_edge_problem{producer="edge-0",problem="disk_full"} 1' in metrics


def _admin_on_a_full_disk(instance: Instance, tmp_path: Path) -> None:
    """Each write is refused or is still under way, and reading goes on."""
    status, answer = instance.call("POST", "promoters", {"id": "cy", "name": "Cy", "kind": "member"})
    assert (status, set(answer)) == (202, {"event_id"}) or (status, answer["code"]) == (503, "not_recorded")
    assert instance.get("promoters/ann")["id"] == "ann"
    assert instance.get("reports/summary")["clicks"] > 0
    _import_on_a_full_disk(instance, tmp_path, "dee")


def _import_on_a_full_disk(instance: Instance, tmp_path: Path, promoter: str) -> None:
    """It ends, whether its journal finds no room, or finds some and the processor none. What dies leaves room: then
    both may find it."""
    rows = tmp_path / f"{promoter}.csv"
    rows.write_text(f"id,name\n{promoter},{promoter}\n")
    done = tuike("import", "promoters", rows, "--data", instance.data, check=False)
    if done.returncode == 0:
        assert instance.get(f"promoters/{promoter}")["id"] == promoter
    else:
        assert done.returncode == 1, done.stderr
        assert done.stderr.removeprefix("applying\n").count("\n") == 1, done.stderr
        assert done.stderr.endswith("the disk is full; make room, then run the import again\n")
