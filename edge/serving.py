"""`tuike serve` and `tuike edge`: which parts there are and in which order they stop."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from tuike import demo
from tuike.config import EdgeSettings
from tuike.data import Data
from tuike.edge import supervisor, worker
from tuike.edge.supervisor import Part, PartFailed, Supervisor

FAULT = 1


async def everything(
    data: Path, settings: EdgeSettings, admin_port: int, public_url: str | None, max_levels: int, *, with_demo: bool
) -> int:
    """Edge workers, processor and admin API until told to stop; the exit code.

    They stop in that order: the edge answers what has come, the processor folds what the edge has
    written, the admin API goes last."""
    listeners = _listen(settings)
    if listeners is None:
        return FAULT
    port: int = listeners[0].getsockname()[1]
    where = ["--data", str(data)]
    levels = ["--max-levels", str(max_levels)]
    processor = Part("processor", [sys.executable, "-m", "tuike", "process", *where, *levels])
    address = ["--host", settings.host, "--admin-port", str(admin_port)]
    links = ["--public-url", public_url or f"http://{settings.host}:{port}"]
    admin = Part("admin", [sys.executable, "-m", "tuike", "admin", *where, *address, *links, *levels])
    stages = [supervisor.worker_parts(listeners, _worker(data, settings)), [processor], [admin]]

    def announce() -> None:
        if with_demo:
            print(demo.fill(Data.open(data), port, admin_port), flush=True)
        print(f"edge   http://{settings.host}:{port}", flush=True)
        print(f"admin  http://{settings.host}:{admin_port}   token in {data / 'admin.token'}", flush=True)

    return await _run(Supervisor(stages, listeners), announce)


async def edge_alone(data: Path, settings: EdgeSettings) -> int:
    """The edge workers until told to stop; the exit code."""
    listeners = _listen(settings)
    if listeners is None:
        return FAULT
    port = listeners[0].getsockname()[1]
    supervised = Supervisor([supervisor.worker_parts(listeners, _worker(data, settings))], listeners)
    return await _run(supervised, lambda: print(f"edge   http://{settings.host}:{port}", flush=True))


def _listen(settings: EdgeSettings) -> list[socket.socket] | None:
    try:
        return supervisor.open_listeners(settings.host, settings.edge_port, settings.workers)
    except OSError as error:
        reason = error.strerror or error
        print(f"tuike: {settings.host}:{settings.edge_port}: {reason}; choose another --edge-port", file=sys.stderr)
        return None


def _worker(data: Path, settings: EdgeSettings) -> worker.Config:
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
    )


async def _run(supervised: Supervisor, announce: Callable[[], None]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        await supervised.start()
        await asyncio.to_thread(announce)
        ends = [loop.create_task(told.wait()), loop.create_task(supervised.failed())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        await supervised.stop()
    except PartFailed as error:
        print(f"tuike: {error}", file=sys.stderr)
        return error.code
    return 0
