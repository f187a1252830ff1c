"""Workers as processes: sockets handed down, deaths survived, drains without a lost or reset request."""

import asyncio
import contextlib
import gc
import os
import re
import resource
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from edge_support import events, get, make_data, names, read_all, talk

from ports import HOST, free_port
from tuike import control
from tuike.edge import worker
from tuike.edge.supervisor import Part, PartFailed, Supervisor, open_listeners, worker_parts
from waiting import PATIENCE, eventually

MOST_IDLE = 20_000
ELSEWHERE = "127.0.0.2"
"""An address of this host whose ports nobody else needs."""
# Linux: ip(7); the socket module names it from Python 3.12 on
IP_BIND_ADDRESS_NO_PORT = 24


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path)


@contextlib.asynccontextmanager
async def supervised(data: Path, workers: int = 2, front: bool = True) -> AsyncIterator[tuple[Supervisor, int]]:
    port = free_port()
    listeners = open_listeners(HOST, port, workers)
    config = worker.Config(str(data), front=front, drain_grace=0.3)
    supervisor = Supervisor([worker_parts(listeners, config)], listeners)
    await supervisor.start()
    try:
        yield supervisor, port
    finally:
        await supervisor.stop()


def by_producer(data: Path) -> Counter[str]:
    return Counter({path.name: len(events(data, path.name)) for path in (data / "journal").iterdir()})


class Load:
    """Clients that ask without pause on kept connections, reconnect when told that an answer was the last, and stop
    when they are refused. Every request must be answered; anything else is in `faults`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered = 0
        self.faults: list[str] = []
        self.refused = 0
        self.stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, clients: int) -> None:
        self._tasks = [asyncio.create_task(self._client()) for _ in range(clients)]

    async def stop(self) -> None:
        self.stopping = True
        await asyncio.gather(*self._tasks)

    async def _client(self) -> None:
        while not self.stopping:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except ConnectionRefusedError:
                self.refused += 1
                return
            try:
                while await self._ask(reader, writer):
                    pass
            except (ConnectionError, asyncio.IncompleteReadError) as fault:
                self.faults.append(repr(fault))
            finally:
                writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection goes on."""
        if self.stopping:
            return False
        writer.write(get(b"/c/7"))
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 302")
        self.answered += 1
        return b"\r\nConnection: close\r\n" not in head


async def test_all_workers_serve_the_one_port(data: Path) -> None:
    async with supervised(data) as (_, port):
        for _ in range(40):
            assert names(await talk(port, [get(b"/c/1")], 1, pause=0)) == ["1"]
    counts = by_producer(data)
    assert counts.total() == 40 and all(counts[producer] > 0 for producer in ("edge-0", "edge-1"))


async def test_a_killed_worker_is_restarted_and_its_successor_serves_its_queue(data: Path) -> None:
    async with supervised(data, workers=1) as (supervisor, port):
        first = supervisor.process("edge-0")
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        for _, writer in waiting:
            writer.write(get(b"/c/1"))
        os.kill(first, signal.SIGKILL)
        for reader, writer in waiting:
            assert names(await read_all(reader, 1)) == ["1"]
            writer.close()
        assert supervisor.process("edge-0") not in (None, first)


@pytest.mark.parametrize("front", [True, False], ids=["front", "front off"])
async def test_a_stop_under_load_loses_and_resets_nothing(data: Path, front: bool) -> None:
    async with supervised(data, front=front) as (supervisor, port):
        load = Load(port)
        load.start(16)
        await eventually(lambda: load.answered > 500, "the load to run")
        await supervisor.stop()
        await load.stop()
    assert load.faults == []
    assert load.refused == 16
    assert load.answered == len(events(data))


@pytest.mark.parametrize("front", [True, False], ids=["front", "front off"])
async def test_a_worker_is_replaced_under_load_without_a_fault(data: Path, front: bool) -> None:
    async with supervised(data, front=front) as (supervisor, port):
        load = Load(port)
        load.start(8)
        for name in ("edge-0", "edge-1"):
            old = supervisor.process(name)
            assert old is not None
            seen = load.answered
            await eventually(lambda seen=seen: load.answered > seen + 200, "the load to run on")
            os.kill(old, signal.SIGTERM)
            await eventually(lambda name=name, old=old: supervisor.process(name) not in (None, old), f"a new {name}")
        seen = load.answered
        await eventually(lambda: load.answered > seen + 200, "the load to run on")
        await load.stop()
    assert load.faults == [] and load.refused == 0
    assert load.answered == len(events(data))


async def test_the_workers_end_when_the_supervisor_is_killed(data: Path) -> None:
    script = f"""
import asyncio
from tuike.edge import worker
from tuike.edge.supervisor import Supervisor, open_listeners, worker_parts
async def main():
    listeners = open_listeners({HOST!r}, {free_port()}, 2)
    supervisor = Supervisor([worker_parts(listeners, worker.Config({str(data)!r}, drain_grace=0.1))], listeners)
    await supervisor.start()
    print(*(supervisor.process(name) for name in ("edge-0", "edge-1")), flush=True)
    await supervisor.failed()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    workers = [int(pid) for pid in (await process.stdout.readline()).split()]
    assert len(workers) == 2 and all(map(is_running, workers))
    process.kill()
    await process.wait()
    await eventually(lambda: not any(map(is_running, workers)), "the workers to end")


def is_running(pid: int) -> bool:
    """Alive, and no zombie that nobody has reaped."""
    try:
        return re.search(r"^State:\s+Z", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE) is None
    except OSError:  # it is not there, or has gone while it was read
        return False


async def test_a_part_that_cannot_start_stops_everything() -> None:
    bad = Part("bad", [sys.executable, "-c", "raise SystemExit(2)"])
    serve = "import os; line = int(os.environ['TUIKE_CONTROL']); os.write(line, b'ready\\n'); os.read(line, 1)"
    good = Part("good", [sys.executable, "-c", serve])
    supervisor = Supervisor([[good], [bad]])
    with pytest.raises(PartFailed, match=r"bad could not start \(exit code 2\)"):
        await supervisor.start()
    assert supervisor.process("good") is None


async def test_a_part_that_is_killed_while_it_starts_is_started_again(tmp_path: Path) -> None:
    began = tmp_path / "began"
    first = f"if not os.path.exists({str(began)!r}): open({str(began)!r}, 'x').close(); os.kill(os.getpid(), 9)"
    then = "from tuike import control; control.say_ready(); os.read(control.descriptor(), 1)"
    supervisor = Supervisor([[Part("killed", [sys.executable, "-c", f"import os\n{first}\n{then}"])]])
    await asyncio.wait_for(supervisor.start(), PATIENCE)
    await supervisor.stop()
    assert began.exists()


async def test_of_parts_that_end_together_one_is_told_of_and_no_traceback_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    end = f"""if True:
        import os, pathlib, time
        os.write(int(os.environ["TUIKE_CONTROL"]), b"ready\\n")
        while not pathlib.Path({str(tmp_path / "end")!r}).exists():
            time.sleep(0.01)
        raise SystemExit({control.OVER})"""
    told = await end_together(["one", "another"], [sys.executable, "-c", end], tmp_path / "end")
    gc.collect()
    assert [record.getMessage() for record in caplog.records] == []
    assert told.endswith(f"(exit code {control.OVER})")


async def end_together(names: list[str], command: list[str], end: Path) -> str:
    """Runs these parts until `end` is there for them; what is told of it. It keeps none of their tasks."""
    supervisor = Supervisor([[Part(name, command) for name in names]])
    await supervisor.start()
    await asyncio.to_thread(end.touch)
    await eventually(lambda: all(supervisor.process(name) is None for name in names), "both to be over")
    try:
        await supervisor.failed()
    except PartFailed as error:
        return str(error)
    finally:
        await supervisor.stop()
    return ""


async def test_a_port_in_use_is_refused_even_where_it_could_be_shared() -> None:
    port = free_port()
    (first,) = open_listeners(HOST, port, 1)
    first.listen()
    with first, pytest.raises(OSError, match="in use"):
        open_listeners(HOST, port, 1)


def connected_from_elsewhere(port: int) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)  # else the bind searches for a port, slowly
    client.bind((ELSEWHERE, 0))
    client.connect((HOST, port))
    return client


async def test_listeners_on_any_port_share_one_that_nobody_has() -> None:
    listeners = open_listeners(HOST, 0, 3)
    (port,) = {listener.getsockname()[1] for listener in listeners}
    listeners[0].listen()
    with pytest.raises(OSError, match="in use"):
        open_listeners(HOST, port, 1)
    for listener in listeners:
        listener.close()


async def test_very_many_idle_connections_are_held_and_each_is_still_answered(data: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(MOST_IDLE, hard - 300)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients: list[socket.socket] = []
    try:
        async with supervised(data) as (_, port):
            for _ in range(count):
                clients.append(connected_from_elsewhere(port))
            for client in clients:
                client.sendall(get(b"/c/1"))
            for client in clients:
                assert client.recv(4096).startswith(b"HTTP/1.1 302")
            for client in clients:
                client.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for client in clients:
            client.close()
    assert len(events(data)) == count
