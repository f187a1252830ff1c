"""The edge when its disk is full, and when the registry comes, changes or is damaged."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from edge_support import (
    SECRET,
    Log,
    events,
    get,
    make_data,
    names,
    open_edge,
    post,
    registry_entries,
    serving,
    signed,
    talk,
)

from ports import HOST, free_port
from tuike._core import Edge, edge_states, render_metrics
from tuike.clock import wall
from tuike.edge import worker
from tuike.edge.supervisor import Supervisor, open_listeners, worker_parts
from waiting import eventually

FORM = b"Content-Type: application/x-www-form-urlencoded"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path)


# --- a full disk


@pytest.mark.parametrize("front", [True, False], ids=["front", "front off"])
async def test_on_a_full_disk_hits_are_answered_as_unrecorded_and_orders_are_refused(
    data: Path, failing_disk: Path, front: bool
) -> None:
    faults = data / "faults"
    faults.mkdir()
    full = faults / "full"
    full.touch()
    port = free_port()
    (listener,) = open_listeners(HOST, port, 1)
    (part,) = worker_parts([listener], worker.Config(str(data), front=front, drain_grace=0.1))
    disk = {"LD_PRELOAD": str(failing_disk), "TUIKE_FAULTS": str(faults)}
    part = replace(part, environment={**part.environment, **disk})
    supervisor = Supervisor([[part]], [listener])
    await supervisor.start()
    order = post(b"/postback", signed(wall(), oid="1", pid="p", amount="1.00"), FORM)
    hits = [get(b"/c/1"), get(b"/healthz"), get(b"/p.gif?aff=a&pid=p")]
    try:
        answers = await talk(port, [b"".join(hits)], 3)
        assert names(answers)[0] == "1"
        assert [b"\r\nTuike-Recorded: 0\r\n" in answer for answer in answers] == [True, False, True]
        assert names(await talk(port, [order], 1)) == ["not_recorded"]
        assert problem(data) == "disk_full"
        assert 'outcome="unrecorded"} 1\n' in render_metrics(str(data / "metrics"))
        full.unlink()
        await eventually(lambda: problem(data) == "", "the disk to have room again")
        answers = await talk(port, [b"".join(hits)], 3)
        assert all(b"Tuike-Recorded" not in answer for answer in answers)
        assert names(await talk(port, [order], 1)) == ["202"]
    finally:
        await supervisor.stop()
    assert [event["kind"] for event in events(data)] == ["click", "view", "order"]


def problem(data: Path) -> str:
    (state,) = edge_states(str(data / "metrics"), wall())
    return str(state["problem"])


# --- the registry


def link(code: str) -> dict[str, object]:
    return {"t": "link", "code": code, "promoter": "a", "product": "p", "url": "", "expires": None, "status": "active"}


def status(edge: Edge, target: bytes) -> int:
    edge.tick(wall())
    return edge.respond("GET", target, [], "127.0.0.1", None, wall())[0]


def test_a_new_snapshot_is_followed_once_it_is_whole_and_the_last_one_stays_when_all_are_gone(data: Path) -> None:
    edge = open_edge(data)
    assert edge.ready
    (old,) = (data / "registry" / "registry").iterdir()
    *snapshot, end = registry_entries(wall())
    log = Log(data, [*snapshot, link("new")])
    assert (status(edge, b"/c/1"), status(edge, b"/c/new")) == (302, 404)
    log.add(2, end)
    assert status(edge, b"/c/new") == 302
    shutil.rmtree(old)
    log.add(3, link("newer"))
    assert (status(edge, b"/c/1"), status(edge, b"/c/newer")) == (302, 302)
    log.writer.close(0)
    shutil.rmtree(log.path)
    assert (status(edge, b"/c/1"), status(edge, b"/c/newer")) == (302, 302)
    edge.close(wall())


def test_an_edge_without_a_registry_is_not_ready(tmp_path: Path) -> None:
    edge = open_edge(tmp_path)
    edge.tick(wall())
    assert not edge.ready
    (state,) = edge_states(str(tmp_path / "metrics"), wall())
    assert state["problem"] == "no_registry"
    edge.close(wall())


def test_an_edge_with_another_secret_does_not_start(data: Path) -> None:
    other = SECRET[:-2] + "00"
    with pytest.raises(OSError, match="another secret"):
        Edge(str(data), "edge-0", 7, secret=other, seed=bytes(32))


async def test_a_worker_waits_for_the_registry_and_its_clients_with_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    port = free_port()
    (listener,) = open_listeners(HOST, port, 1)
    listener.listen()
    supervisor = Supervisor([worker_parts([listener], worker.Config(str(tmp_path), drain_grace=0.1))], [listener])
    starting = asyncio.create_task(supervisor.start())
    asking = asyncio.create_task(talk(port, [get(b"/c/1")], 1))
    await eventually(lambda: (tmp_path / "journal" / "edge-0").exists(), "the worker to have begun")
    assert not starting.done()
    make_data(tmp_path)
    await starting
    assert names(await asking) == ["1"]
    await supervisor.stop()


async def test_a_new_link_works_at_a_running_edge(data: Path) -> None:
    async with serving(data) as (_, port):
        log = Log(data, [*registry_entries(wall()), link("fresh")])

        async def works() -> bool:
            return names(await talk(port, [get(b"/c/fresh")], 1)) == ["p"]

        await eventually(works, "the link")
        log.writer.close(0)
