"""The servers that are measured: each a process on one core, and what it takes to start it.

A peer is one entry of `SERVERS`.
"""

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import registry
import workload
from tuike import _core
from tuike.data import Data

START_LIMIT = 30.0
"""Seconds a server has to listen."""
STOP_LIMIT = 60.0
"""Seconds a server has to end after SIGTERM."""
VISITORS = 64
"""Browsers whose cookies the returning ones send."""

Found = TypeVar("Found")

TUIKE = "tuike"
PLAIN = "plain aiohttp, records nothing"

PLAIN_AIOHTTP = Path(__file__).parent / "peers" / "plain_aiohttp.py"


class ServerFailed(RuntimeError):
    """A server did not start or stop; its log says why."""


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    # the process that serves, where that is a child of `process`
    worker: int
    data: Data | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cpu(self) -> float:
        """Seconds of processor time that the serving process has used, all its threads together (proc(5))."""
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        try:
            code = self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise ServerFailed(f"it does not stop\n{_tail(self.log)}") from None
        if self.data is not None and code != 0:
            raise ServerFailed(f"it ended with {code}\n{_tail(self.log)}")

    def hits(self) -> int | None:
        """Views and clicks in its journal, once it has stopped; None where it records nothing."""
        return None if self.data is None else journaled_hits(self.data)


@dataclass(frozen=True)
class Kind:
    """A server as it is started and what it can be asked."""

    name: str
    start: Callable[[Path, int], Server]
    workloads: tuple[str, ...]


def start_tuike(directory: Path, core: int) -> Server:
    """One edge worker on an instance of its own, everything else as it comes. The processor is at rest meanwhile:
    what is measured ends with the journal."""
    data = registry.make(directory / "data")
    command = [sys.executable, "-m", "tuike", "edge", "--data", str(data.root), "--workers", "1", "--edge-port", "0"]
    process, log = _spawn(command, directory / "tuike.log", core)
    port = _until(lambda: _announced_port(log), process, log)
    states = _core.edge_states(str(data.metrics), now())
    worker = next(state["process"] for state in states if state["producer"] == "edge-0")
    return Server(process, port, log, worker, data)


def start_plain_aiohttp(directory: Path, core: int) -> Server:
    return _start_on_free_port([sys.executable, str(PLAIN_AIOHTTP)], directory / "plain_aiohttp.log", core)


SERVERS = (
    Kind(TUIKE, start_tuike, ("pixel", "redirect")),
    Kind(PLAIN, start_plain_aiohttp, ("pixel",)),
)


def returning_cookies(host: str) -> list[str]:
    """`Cookie` fields of browsers that have followed a link each: `VISITORS` clicks."""
    cookies = []
    for number in range(VISITORS):
        connection = http.client.HTTPConnection(host, timeout=START_LIMIT)
        agent = workload.AGENTS[number % len(workload.AGENTS)]
        connection.request("GET", f"/c/{workload.LINKS[number]}", headers={"User-Agent": agent})
        set_cookies = connection.getresponse().headers.get_all("Set-Cookie", [])
        cookies.append("; ".join(field.partition(";")[0] for field in set_cookies))
        connection.close()
    return cookies


def journaled_hits(data: Data) -> int:
    """Records in the edge's journals: views and clicks, since the bench asks for nothing else."""
    hits = 0
    for path in data.journal.glob("edge-*/*"):
        found = _core.check_journal(str(path))
        if found["damage"]:
            raise ServerFailed(f"its journal is damaged: {found['damage']}")
        hits += found["records"]
    return hits


def _start_on_free_port(command: Sequence[str], log: Path, core: int) -> Server:
    """A server that takes its port as last argument."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    process, log = _spawn([*command, str(port)], log, core)
    _until(lambda: _accepts(port), process, log)
    return Server(process, port, log, process.pid)


def _spawn(command: Sequence[str], log: Path, core: int) -> tuple[subprocess.Popen[bytes], Path]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    return process, log


def _announced_port(log: Path) -> int | None:
    found = re.search(rb"edge +http://127\.0\.0\.1:(\d+)", log.read_bytes())
    return int(found[1]) if found else None


def _accepts(port: int) -> bool | None:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return None
    return True


def now() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def _until(look: Callable[[], Found | None], process: subprocess.Popen[bytes], log: Path) -> Found:
    """Looks until there is something; ServerFailed when the process ends or takes too long."""
    deadline = time.monotonic() + START_LIMIT
    while (found := look()) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise ServerFailed(f"{log.stem} does not listen\n{_tail(log)}")
        time.sleep(0.02)
    return found


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])
