"""The machine: its cores, what processes use of it, how long its disk takes."""

import ctypes
import os
import platform
import re
import resource
import signal
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

# Linux: prctl(2); no module of Python's has it
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

BLOCK = 4096
SYNCS = 200


class Unfit(RuntimeError):
    """This machine or installation cannot run it; the message says what is missing."""


@dataclass(frozen=True)
class Cores:
    """Which core does what."""

    server: int
    load: int

    @classmethod
    def choose(cls) -> "Cores":
        """The first core takes most interrupts, so it is the load's."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise Unfit("two cores are needed, one for the servers and one for the load")
        return cls(cores[-1], cores[0])


@dataclass(frozen=True)
class Memory:
    """What a process has in memory, bytes (proc(5), `status`)."""

    own: int
    """Its own (`RssAnon`)."""
    mapped: int
    """Of files and shared memory (`RssFile`, `RssShmem`): there once, however many processes map it."""
    peak: int
    """The most that both came to (`VmHWM`)."""

    @property
    def resident(self) -> int:
        return self.own + self.mapped


def pin(*cores: int) -> Callable[[], None]:
    """For `preexec_fn`: the process and its children stay on these cores, and it ends when we do, however that is."""

    def prepare() -> None:
        os.sched_setaffinity(0, cores)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare


def pin_running(process: int, core: int) -> None:
    """Moves all threads of a running process to a core."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def cpu(processes: Iterable[int]) -> float:
    """Seconds of processor time that processes have used, all their threads, kernel included (proc(5), `stat`)."""
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> Memory:
    kib = {
        name: int(value)
        for name, value in re.findall(r"^(\w+):\s+(\d+) kB$", Path(f"/proc/{process}/status").read_text(), re.M)
    }
    return Memory(kib["RssAnon"] << 10, kib["RssFile"] + kib["RssShmem"] << 10, kib["VmHWM"] << 10)


def available_memory() -> int:
    """Bytes that processes can still have."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.M)
    return int(found[1]) << 10 if found else 0


def children(process: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def raise_descriptor_limit() -> int:
    """Lifts our soft limit of open files, which children inherit, to the hard one; the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def sync_ms(directory: Path) -> float:
    """Median of an appended block's fdatasync, ms."""
    path = directory / "syncs"
    times = []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        os.posix_fallocate(descriptor, 0, BLOCK * SYNCS)
        for _ in range(SYNCS):
            os.write(descriptor, bytes(BLOCK))
            began = time.perf_counter()
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(times) * 1000


def describe() -> dict[str, Any]:
    """What a figure depends on, and nothing that says whose machine it is."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "")
    return {
        "processor": model or platform.machine(),
        "cores": os.cpu_count(),
        "congestion_control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("tuike", "aiohttp", "uvloop")},
        "load_before": round(os.getloadavg()[0], 2),
    }
