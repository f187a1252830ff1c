"""The snapshot of promoters and links that a registry log begins with: followed, changed, damaged, half written."""

import asyncio
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edge_support import SECRET, Log, events, get, is_ready, make_data, names, open_edge, registry_entries, talk

from tuike._core import Edge, edge_states
from tuike.books import entries
from tuike.clock import wall
from tuike.edge import worker
from tuike.edge.supervisor import Supervisor, open_listeners, worker_parts
from waiting import eventually, until

FEW = [entry for entry in registry_entries(wall()) if entry["t"] in ("merchant", "product", "key")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path)


@pytest.fixture
def edge(data: Path) -> Iterator[Edge]:
    edge = open_edge(data)
    yield edge
    edge.close(wall())


def promoter(id: str, status: str = "active") -> dict[str, Any]:
    return {"t": "promoter", "id": id, "status": status}


def link(code: str, **more: Any) -> dict[str, Any]:
    return {"t": "link", "code": code, "promoter": "a", "product": "p", "expires": None, "status": "active"} | more


def answers(edge: Edge, *codes: str) -> list[int]:
    now = wall()
    return [edge.respond("GET", f"/c/{code}".encode(), [], "127.0.0.1", None, now)[0] for code in codes]


def problem(data: Path) -> str:
    """What the one edge says of itself; nothing while it has said nothing yet."""
    states = edge_states(str(data / "metrics"), wall())
    return str(states[0]["problem"]) if states else ""


def test_a_new_snapshot_is_followed_and_what_it_lacks_is_gone(data: Path, edge: Edge) -> None:
    assert answers(edge, "1", "new") == [302, 404]
    log = Log(data, FEW)
    log.write_snapshot([promoter("a"), link("new")])
    log.add(2, entries.READY)
    (old,) = (path for path in (data / "registry" / "registry").iterdir() if path != log.path)
    shutil.rmtree(old)
    until(lambda: is_ready(edge) and answers(edge, "new") == [302], "the new link")
    assert answers(edge, "1") == [404]


def test_changes_lie_over_the_snapshot(tmp_path: Path) -> None:
    product = {"t": "product", "id": "p", "merchant": "m", "url": "https://shop.example/p", "allowed_hosts": []}
    product |= {"fallback_url": "https://shop.example/gone", "cookie_days": 30, "status": "active"}
    (tmp_path / "secret").write_text(SECRET)
    log = Log(tmp_path, [*FEW, product])
    log.write_snapshot([promoter("a"), promoter("b", "blocked"), link("L"), link("old"), link("M", promoter="b")])
    log.add(2, entries.READY, link("old", status="paused"), promoter("c"), link("N", promoter="c", url=product["url"]))
    edge = open_edge(tmp_path)
    now = wall()

    def way(code: str) -> str:
        fields = edge.respond("GET", f"/c/{code}".encode(), [], "127.0.0.1", None, now)[2]
        return dict(fields)["Location"].partition("?")[0]

    assert [way(code) for code in ("L", "M", "N", "old")] == [
        *["https://shop.example/p"] * 3,
        "https://shop.example/gone",
    ]
    log.add(3, promoter("b"), link("L", expires=now))
    edge.tick(now)
    assert [way(code) for code in ("M", "N", "L")] == [*["https://shop.example/p"] * 2, "https://shop.example/gone"]
    log.writer.close(0)
    edge.close(now)
    found = [(event["link"], event.get("reason", "")) for event in events(tmp_path)]
    before = [("L", ""), ("M", "blocked_promoter"), ("N", ""), ("old", "paused")]
    assert found == [*before, ("M", ""), ("N", ""), ("L", "expired")]


# --- damage


def cut(sound: bytes) -> bytes:
    return sound[: len(sound) // 2]


def flip(sound: bytes) -> bytes:
    return sound[:200] + bytes([sound[200] ^ 1]) + sound[201:]


def newer(sound: bytes) -> bytes:
    return sound[:8] + (2).to_bytes(4, "little") + sound[12:]


@pytest.mark.parametrize(
    ("damage", "said"), [(cut, "length is wrong"), (flip, "checksum is wrong"), (newer, "use the newer tuike")]
)
def test_a_damaged_snapshot_is_refused_by_name_and_the_edge_is_not_ready(data: Path, damage: Any, said: str) -> None:
    path = data / "registry" / "registry" / f"{1:016x}" / "snapshot"
    path.write_bytes(damage(path.read_bytes()))
    edge = Edge(str(data), "edge-0", secrets.randbits(63), secret=SECRET, seed=bytes(32))
    with pytest.raises(OSError, match=f"{path}: .*{said}"):
        until(lambda: is_ready(edge), "the refusal")
    assert (edge.ready, problem(data)) == (False, "bad_registry")
    edge.close(wall())


def test_an_edge_that_has_a_registry_goes_on_with_it_beside_a_damaged_one(data: Path, edge: Edge) -> None:
    log = Log(data, FEW)
    log.write_snapshot([promoter("a")])
    (log.path / "snapshot").write_bytes(b"")
    log.add(2, entries.READY)
    with pytest.raises(OSError, match="too short"):
        until(lambda: not is_ready(edge), "the refusal")
    assert (answers(edge, "1"), problem(data)) == ([302], "")


async def test_a_worker_waits_where_the_snapshot_is_damaged_until_there_is_another(data: Path) -> None:
    path = data / "registry" / "registry" / f"{1:016x}" / "snapshot"
    path.write_bytes(cut(path.read_bytes()))
    (listener,) = open_listeners("127.0.0.1", 0, 1)
    supervisor = Supervisor([worker_parts([listener], worker.Config(str(data), drain_grace=0.1))], [listener])
    starting = asyncio.create_task(supervisor.start())
    await eventually(lambda: problem(data) == "bad_registry", "the refusal")
    assert not starting.done()
    log = Log(data, FEW)
    log.write_snapshot([promoter("a"), link("new")])
    log.add(2, entries.READY)
    await starting
    assert names(await talk(listener.getsockname()[1], [get(b"/c/new")], 1)) == ["p"]
    await supervisor.stop()
    log.writer.close(0)


# --- kills

WRITES = """
import sys
from edge_support import *
from pathlib import Path
log = Log(Path(sys.argv[1]), registry_entries(wall())[:2])
builder = SnapshotBuilder(str(log.path / "snapshot"), bytes(16), 10**9, 0)
number = 0
while True:
    builder.add_promoters([f'["{number + i}","active"]' for i in range(10_000)])
    number += 10_000
"""


def test_kill_9_while_a_snapshot_is_written_leaves_the_last_one_in_use(data: Path, edge: Edge) -> None:
    path = ":".join(entry for entry in sys.path if entry)
    child = subprocess.Popen([sys.executable, "-c", WRITES, data], env={"PYTHONPATH": path})

    def written() -> bool:
        assert child.poll() is None, "it ended by itself"
        drafts = list((data / "registry" / "registry").glob("*/snapshot.new"))
        return bool(drafts) and drafts[0].stat().st_size > 1 << 20

    try:
        until(written, "a part of the snapshot")
    finally:
        child.kill()
        child.wait()
    assert is_ready(edge)
    assert answers(edge, "1") == [302]
    another = open_edge(data, "edge-1")
    assert answers(another, "1") == [302]
    another.close(wall())
