"""The servers that are measured: each one worker on one core, and what it takes to start it.

A peer is one function here, which raises `Missing` where its program is not installed, and one line of `ratios.py`.
"""

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import machine
import registry
from part import Bench
from tuike import _core
from tuike.data import Data

START_LIMIT = 30.0
"""Seconds a server has to listen."""
STOP_LIMIT = 60.0
"""Seconds a server has to end after SIGTERM."""

PORTS = range(10_000, 20_000)
"""Where the peers listen."""
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")

Found = TypeVar("Found")

PEERS = Path(__file__).parent / "peers"
GO_MISSING = "Go is not installed (https://go.dev/dl)"
NGINX_MISSING = "nginx is not installed (apt-get install nginx-light)"
REDIS_MISSING = "redis-server is not installed (apt-get install redis-server)"


class ServerFailed(RuntimeError):
    """A server did not start or stop; its log says why."""


class Missing(RuntimeError):
    """A peer's program is not there; the message says which, and how to get it."""


@dataclass
class Server:
    """A running server."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    workers: Sequence[int]
    """The processes that serve: `process` or children of it."""
    helper: subprocess.Popen[bytes] | None = None
    """What it needs beside it, on the load's core."""
    data: Data | None = None
    answered: int = 0
    """Hits that it said to have recorded."""
    faults: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cpu(self) -> float:
        """Seconds of processor time of the processes that serve."""
        return machine.cpu(self.workers)

    def helper_cpu(self) -> float:
        return machine.cpu([self.helper.pid]) if self.helper else 0.0

    def stop(self) -> None:
        code = end(self.process)
        if self.helper is not None:
            end(self.helper)
        if self.data is not None and code != 0:
            raise ServerFailed(f"{self.name} ended with {code}\n{tail(self.log)}")

    def recorded(self) -> int:
        """Records in its journals, once it has stopped: the bench asks for nothing else than hits and orders."""
        assert self.data is not None
        records = 0
        for path in self.data.journal.glob("edge-*/*"):
            found = _core.check_journal(str(path))
            if found["damage"]:
                raise ServerFailed(f"the journal of {self.name} is damaged: {found['damage']}")
            records += found["records"]
        return records


@contextmanager
def stopping(*servers: Server) -> Iterator[None]:
    """Stops them at its end."""
    try:
        yield
    finally:
        for server in servers:
            server.stop()


def start_tuike(
    bench: Bench,
    name: str = "tuike",
    *,
    data: Data | None = None,
    workers: int = 1,
    durability: str = "interval",
    options: Sequence[str] = (),
    limit: float = START_LIMIT,
) -> Server:
    """Edge workers on an instance of their own, by default a copy of the base; several of them on both cores.

    The processor is at rest meanwhile: what is measured ends with the journal. `options` are more of `tuike edge`'s."""
    data = data or registry.copy(bench.base, bench.directory / name)
    command = [sys.executable, "-m", "tuike", "edge", "--data", str(data.root), "--edge-port", "0"]
    command += ["--workers", str(workers), "--durability", durability, *options]
    cores = (bench.cores.server,) if workers == 1 else (bench.cores.server, bench.cores.load)
    process, log = spawn(command, bench.directory / f"{name}.log", *cores)
    port = until(lambda: _announced_port(log), process, log, limit)
    states = _core.edge_states(str(data.metrics), time.time_ns() // 1_000_000)
    processes = [state["process"] for state in states if state["producer"].startswith("edge-")]
    return Server(name, process, port, log, processes, data=data)


def start_plain_aiohttp(bench: Bench) -> Server:
    command = [sys.executable, str(PEERS / "plain_aiohttp.py")]
    return _start_on_free_port("plain aiohttp", command, bench)


def start_nginx(bench: Bench, log: str = "off", access_log: str = "off") -> Server:
    """`log` is for its name, `access_log` as in nginx's directive; LOG stands for the file."""
    program = _installed("nginx", NGINX_MISSING)
    port = free_port()
    directory = bench.directory / f"nginx-{port}"
    directory.mkdir()
    config = (PEERS / "nginx.conf").read_text()
    filled = {"DIRECTORY": directory, "ACCESS_LOG": access_log.replace("LOG", f"{directory}/access.log"), "PORT": port}
    for placeholder, value in filled.items():
        config = config.replace(placeholder, str(value))
    (directory / "nginx.conf").write_text(config)
    command = [program, "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", "stderr"]
    process, said = spawn(command, directory / "log", bench.cores.server)
    until(lambda: accepts(port), process, said)
    return Server(f"nginx, access log {log}", process, port, said, machine.children(process.pid))


def start_go(bench: Bench) -> Server:
    return _start_on_free_port("Go net/http", [str(_build_go(bench))], bench)


def start_go_redis(bench: Bench) -> Server:
    """Go on the servers' core, its Redis on the load's, where there is room beside the generator."""
    program = _build_go(bench)
    helper, port = start_redis(bench)
    command = [str(program), "-redis", f"127.0.0.1:{port}"]
    server = _start_on_free_port("Go net/http + redigo, fire and forget", command, bench)
    server.helper = helper
    return server


def start_redis(bench: Bench) -> tuple[subprocess.Popen[bytes], int]:
    """A Redis without persistence on the load's core, and its port."""
    program, port = _installed("redis-server", REDIS_MISSING), free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process, log = spawn(command, bench.directory / "redis.log", bench.cores.load)
    until(lambda: accepts(port), process, log)
    return process, port


def _build_go(bench: Bench) -> Path:
    program = bench.directory / "pixel"
    if not program.exists():
        command = [_installed("go", GO_MISSING, "/usr/local/go/bin/go"), "build", "-o", str(program), "."]
        done = subprocess.run(command, cwd=PEERS / "go", capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Missing(f"the Go peer does not build: {(done.stderr.splitlines() or [''])[-1]}")
    return program


def _installed(name: str, missing: str, *places: str) -> str:
    for candidate in (name, *places):
        if found := shutil.which(candidate):
            return found
    raise Missing(missing)


def _start_on_free_port(name: str, command: Sequence[str], bench: Bench) -> Server:
    """A server that takes its port as last argument."""
    port = free_port()
    log = bench.directory / f"{name.replace('/', ' ')}.log"
    process, log = spawn([*command, str(port)], log, bench.cores.server)
    until(lambda: accepts(port), process, log)
    return Server(name, process, port, log, [process.pid])


def free_port() -> int:
    """A port that nobody listens on. One that the kernel gives away (`bind` to 0) may be a connection's of the load by
    the time its server binds it; these are outside the range for outgoing connections, if it leaves any."""
    low, high = map(int, OUTGOING.read_text().split())
    outside = [port for port in PORTS if not low <= port <= high]
    for port in random.sample(outside or PORTS, len(outside or PORTS)):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise ServerFailed(f"no port from {PORTS[0]} to {PORTS[-1]} is free")


def spawn(
    command: Sequence[str], log: Path, *cores: int, environment: Mapping[str, str] | None = None
) -> tuple[subprocess.Popen[bytes], Path]:
    """Starts it on these cores; its process and log, which is what it says. `environment` is added to ours."""
    env = {**os.environ, **(environment or {})}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, preexec_fn=machine.pin(*cores), env=env)
    return process, log


def end(process: subprocess.Popen[bytes]) -> int:
    """Tells a process to end, and waits for it; its exit code."""
    process.terminate()
    try:
        return process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _announced_port(log: Path) -> int | None:
    found = re.search(rb"edge +http://127\.0\.0\.1:(\d+)", log.read_bytes())
    return int(found[1]) if found else None


def accepts(port: int) -> bool | None:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return None
    return True


def until(
    look: Callable[[], Found | None], process: subprocess.Popen[bytes], log: Path, limit: float = START_LIMIT
) -> Found:
    """Looks until there is something; ServerFailed when the process ends or takes too long."""
    deadline = time.monotonic() + limit
    while (found := look()) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise ServerFailed(f"{log.stem} is not ready after {limit:.0f} s\n{tail(log)}")
        time.sleep(0.02)
    return found


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])
