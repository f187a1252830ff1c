"""`tuike serve` and `tuike edge`: which parts there are and in which order they stop."""

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from tuike import _core, config, control, logs
from tuike.clock import Clock
from tuike.config import EdgeSettings
from tuike.data import Data
from tuike.edge import supervisor, worker
from tuike.edge.app import BACKLOG
from tuike.edge.supervisor import Part, PartFailed, Supervisor
from tuike.observing import Watched, Workers, observed

if TYPE_CHECKING:  # one machine's supervisor needs no SQL
    from sqlalchemy import URL

    from tuike.joining import Helper, Network

SAID = (1, 2, control.OVER)
"""What the program ends with when it has said why."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Books:
    """What the processor and whoever shows chains must agree in."""

    max_levels: int
    payout_minimum: Mapping[str, int]
    ceiling: int  # of rules that are written now, a rate of 1e-6
    server: "URL | None" = None
    replica: "URL | None" = None
    retention_days: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """What their parts find the database by: no command line shows its password."""
        named = {"TUIKE_DATABASE": self.server, "TUIKE_DATABASE_READ": self.replica}
        return {name: config.database_text(url) for name, url in named.items() if url is not None}


async def everything(
    data: Path, settings: EdgeSettings, admin_port: int, public_url: str | None, books: Books, *, with_demo: bool
) -> int:
    """Edge workers, processor and admin API until told to stop; the exit code.

    They stop in that order: the edge answers what has come, the processor folds what the edge has
    written, the admin API goes last."""
    host = settings.host
    admin_port = _listening(host, admin_port, "--admin-port", lambda: supervisor.free_port(host, admin_port))
    listeners = _listen(settings, early=True)
    port: int = listeners[0].getsockname()[1]
    where = ["--data", str(data)]
    levels = ["--max-levels", str(books.max_levels)]
    least = ["--payout-minimum", config.minimums_text(books.payout_minimum)]
    command = [sys.executable, "-m", "tuike"]
    keeping = ["--retention-days", str(books.retention_days)]
    processor = Part("processor", [*command, "process", *where, *levels, *least, *keeping], books.environment)
    address = ["--host", host, "--admin-port", str(admin_port)]
    links = ["--public-url", public_url or f"http://{host}:{port}", *_ceiling(books)]
    admin = Part("admin", [*command, "admin", *where, *address, *links, *levels], books.environment)
    stages = [supervisor.worker_parts(listeners, _worker(data, settings)), [processor], [admin]]

    def announce() -> None:
        if with_demo:
            from tuike import demo

            try:
                print(demo.fill(Data.open(data, books.server), port, admin_port, books.ceiling), flush=True)
            except demo.NotFilled as error:
                print(f"tuike: {error}", file=sys.stderr, flush=True)
        token = "TUIKE_ADMIN_TOKEN" if os.environ.get("TUIKE_ADMIN_TOKEN", "").strip() else data / "admin.token"
        print(f"edge   http://{host}:{port}", flush=True)
        print(f"admin  http://{host}:{admin_port}   token in {token}", flush=True)

    return await _run(Supervisor(stages, listeners), announce)


async def edge_alone(data: Path, settings: EdgeSettings, metrics_port: int | None) -> int:
    """The edge workers until told to stop; the exit code."""
    listeners = _listen(settings, early=True)
    port = listeners[0].getsockname()[1]
    supervised = Supervisor([supervisor.worker_parts(listeners, _worker(data, settings))], listeners)
    async with _observed(settings.host, metrics_port, Workers(data / "metrics", Clock(Path(os.devnull)))):
        return await _run(supervised, lambda: print(f"edge   http://{settings.host}:{port}", flush=True))


async def edge_of_many(data: Data, settings: EdgeSettings, metrics_port: int | None, network: "Network") -> int:
    """The edge workers of one machine of several, with what joins it to the others; the exit code. Helpers stop one by
    one when the workers have."""
    listeners = _listen(settings, early=False)
    address = f"http://{settings.host}:{listeners[0].getsockname()[1]}"
    network.begin(data, address)
    workers = supervisor.worker_parts(listeners, _worker(data.root, settings, member=True))
    supervised = Supervisor([workers, *_helpers(network, data, address, serves=True)], listeners)
    async with _observed(settings.host, metrics_port, Workers(data.metrics, Clock(data.clock))):
        return await _run(supervised, lambda: print(f"edge   {address}", flush=True))


async def admin_of_many(
    data: Data, host: str, admin_port: int, public_url: str, books: Books, network: "Network"
) -> int:
    """The admin API of an instance on several machines, and what joins it to the others; the exit code."""
    admin_port = _listening(host, admin_port, "--admin-port", lambda: supervisor.free_port(host, admin_port))
    address = f"http://{host}:{admin_port}"
    where = ["--data", str(data.root), "--host", host, "--admin-port", str(admin_port)]
    arguments = ["--public-url", public_url, "--max-levels", str(books.max_levels), *_ceiling(books)]
    environment = books.environment | {"TUIKE_JOURNAL_URL": network.journal_url or address}
    admin = Part("admin", [sys.executable, "-m", "tuike", "admin", *where, *arguments], environment)
    supervised = Supervisor([[admin], *_helpers(network, data, address, serves=False)])
    return await _run(supervised, lambda: print(f"admin  {address}", flush=True))


async def processes_of_many(helpers: Sequence["Helper"], watched: Watched, host: str, metrics_port: int | None) -> int:
    """Folders and a bookkeeper, which need nothing of each other; the exit code."""
    supervised = Supervisor([[_part(helper) for helper in helpers]])
    async with _observed(host, metrics_port, watched):
        return await _run(supervised, lambda: print(f"{len(helpers)} processes", flush=True))


@asynccontextmanager
async def _observed(host: str, port: int | None, watched: Watched) -> AsyncIterator[None]:
    """With /healthz, /readyz and /metrics on their own port, where one is wanted."""
    if port is None:
        yield
        return
    _listening(host, port, "--metrics-port", lambda: supervisor.free_port(host, port))
    async with observed(host, port, watched):
        yield


def _ceiling(books: Books) -> list[str]:
    return ["--ceiling", _core.format_rate(books.ceiling)]


def _helpers(network: "Network", data: Data, address: str, *, serves: bool) -> list[list[Part]]:
    found = network.helpers(data, address, serves=serves)
    return [[_part(helper)] for helper in found]


def _part(helper: "Helper") -> Part:
    return Part(helper.name, helper.command, helper.environment)


def _listen(settings: EdgeSettings, *, early: bool) -> list[socket.socket]:
    """The edge's sockets. `early`: what connects before a worker is ready waits for it; otherwise it is refused, and
    finds another edge."""
    host, port = settings.host, settings.edge_port
    found = _listening(host, port, "--edge-port", lambda: supervisor.open_listeners(host, port, settings.workers))
    for listener in found if early else []:
        listener.listen(BACKLOG)
    return found


def _listening(host: str, port: int, option: str, bind: Callable[[], T]) -> T:
    """What `bind` gives; UsageError names what to change where that cannot be had."""
    try:
        return bind()
    except OSError as error:
        mend = option if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        raise click.UsageError(f"{host}:{port}: {error.strerror or error}; choose another {mend}") from error


def _worker(data: Path, settings: EdgeSettings, *, member: bool = False) -> worker.Config:
    """What all workers have in common; each gets its own name and socket from the supervisor."""
    return worker.Config(
        data=str(data),
        producer="",
        listener=-1,
        durability=settings.durability,
        segment_bytes=settings.segment_mib << 20,
        front=settings.front,
        trusted_proxies=settings.trusted_proxies,
        cross_site_cookies=settings.cross_site_cookies,
        readable_cookie=settings.readable_cookie,
        rate_limit_hits=settings.rate_limit_hits,
        rate_limit_orders=settings.rate_limit_orders,
        member=member,
    )


async def _run(supervised: Supervisor, announce: Callable[[], None]) -> int:
    logs.configure()
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        await supervised.start()
        await asyncio.to_thread(announce)
        stopping, failed = loop.create_task(told.wait()), loop.create_task(supervised.failed())
        await asyncio.wait([stopping, failed], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        failed.cancel()
        await supervised.stop()
        if not failed.cancelled():
            await failed
    except PartFailed as error:
        if error.code not in SAID:
            print(f"tuike: {error}", file=sys.stderr)
        return error.code if error.code > 0 else 1
    return 0
