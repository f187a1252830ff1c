"""One worker process: `python -m tuike.edge.worker`, its configuration as JSON in `TUIKE_WORKER`.

It inherits its listening socket from the supervisor, so what has connected to it while a worker was being replaced
is served by the next."""

import asyncio
import gc
import logging
import os
import resource
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import uvloop

from tuike import control, logs
from tuike._core import Edge
from tuike.clock import Clock, follow, wall
from tuike.data import Data
from tuike.edge.app import TICK, Limits, Service

VARIABLE = "TUIKE_WORKER"
SPARE_DESCRIPTORS = 256
"""Descriptors kept for everything that is no connection."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Config:
    """What a worker is started with."""

    data: str
    producer: str = "edge-0"
    listener: int = -1
    durability: Literal["process", "interval", "always"] = "interval"
    segment_bytes: int = 67_108_864
    front: bool = True
    trusted_proxies: tuple[str, ...] = ()
    cross_site_cookies: bool = False
    readable_cookie: bool = False
    rate_limit_hits: int = 0
    rate_limit_orders: int = 0
    drain_grace: float = 1.0
    member: bool = False
    """One machine of several: it goes by the books' clock, and gives its journal to who knows the secret."""


def main() -> None:
    """Serves until SIGTERM or until the supervisor is gone, then drains."""
    logs.configure()
    config = msgspec.json.decode(os.environ[VARIABLE], type=Config)
    uvloop.run(_run(config, raise_descriptor_limit() - SPARE_DESCRIPTORS))


async def _run(config: Config, connections: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    control.when_told(loop, stop.set)
    # a worker may also be drained alone: its successor inherits the socket
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    try:
        edge = open_edge(config)
    except OSError as error:  # the disk, or a registry that is not this instance's
        sys.exit(f"tuike: {config.producer}: {error}")
    data = Data.open(Path(config.data)) if config.member else None
    clock = Clock(data.clock) if data is not None else None
    looking = loop.create_task(follow(clock)) if clock is not None else None
    if not await _registry_is_whole(edge, stop, wall if clock is None else lambda: clock() if clock.base else 0):
        edge.close(0)
        return
    service = Service(
        edge,
        socket.socket(fileno=config.listener),
        front=config.front,
        limits=Limits(connections=connections),
        clock=clock or wall,
        journal=data,
    )
    await service.start()
    gc.collect()
    gc.freeze()
    control.say_ready()
    await stop.wait()
    await service.drain(grace=config.drain_grace)
    await service.close()
    if looking is not None:
        looking.cancel()


def open_edge(config: Config) -> Edge:
    """The worker's core, with fresh randomness."""
    return Edge(
        config.data,
        config.producer,
        # 63 bits: positions keep it as a signed integer
        secrets.randbits(63) or 1,
        secret=(Path(config.data) / "secret").read_text().strip(),
        seed=secrets.token_bytes(32),
        durability=config.durability,
        segment_bytes=config.segment_bytes,
        trusted_proxies=config.trusted_proxies,
        cross_site_cookies=config.cross_site_cookies,
        readable_cookie=config.readable_cookie,
        rate_limit_hits=config.rate_limit_hits,
        rate_limit_orders=config.rate_limit_orders,
    )


async def _registry_is_whole(edge: Edge, stop: asyncio.Event, now: Callable[[], int]) -> bool:
    """Waits for the registry's snapshot: without it every code would be judged unknown. False: told to stop.

    `now` is 0 until the books' clock is known: this machine's may be ahead of it, and an edge takes no time back."""
    if not edge.ready:
        _log.info("waiting for the registry")
    said = ""
    while not edge.ready:
        if stop.is_set():
            return False
        await asyncio.sleep(TICK)
        try:
            edge.tick(now())
        except OSError as error:  # one that is damaged: the processor's next start writes it anew
            if str(error) != said:
                said = str(error)
                _log.error("%s", said)
    return True


def raise_descriptor_limit() -> int:
    """Lifts the soft limit of open files to the hard one; the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


if __name__ == "__main__":
    main()
