"""Opens the listening sockets, hands them down, and keeps the parts running.

Each worker has a socket of its own on the one port (SO_REUSEPORT). The supervisor holds them too and outlives every
worker, so a connection that waits in a socket is served by the worker's successor. When the supervisor itself dies,
its parts read the end of their control line and stop."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from tuike import control
from tuike.edge import worker

BACKOFF_FIRST = 0.1
BACKOFF_MOST = 5.0
"""Seconds before a dead part is started again: doubling from the first to the most."""
STEADY = 10.0
"""A part that ran for so many seconds starts again with the first back-off."""
STOP_LIMIT = 40.0
"""Seconds a part has to stop before it is killed."""

# Linux: socket(7) and linux/filter.h; the socket module does not name it
_SO_ATTACH_FILTER = 26

_log = logging.getLogger(__name__)


class PartFailed(RuntimeError):
    """A part ended before it had ever been ready, or for good. With a `code` that the program ends with too, the part
    has said why in its own line on stderr."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} could not start (exit code {code})")
        self.code = code


@dataclass(frozen=True)
class Part:
    """A child process: its command, what it finds in its environment, the descriptors it inherits."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptors: Sequence[int] = ()


def free_port(host: str, port: int) -> int:
    """The port, or for 0 a free one. OSError where another program has it, or the host is none of this machine's."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)
        found: int = probe.getsockname()[1]
        return found


def open_listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` sockets on one port (0: a free one). They refuse connections until they are told to listen. OSError as of
    `free_port`."""
    if port:  # SO_REUSEPORT alone would share it with another tuike of the same user, in silence
        free_port(host, port)
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listeners = []
    for _ in range(count):
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        address = listener.getsockname()  # for port 0, the one that this one got
        listeners.append(listener)
    return listeners


def refuse_new(listener: socket.socket) -> None:
    """Lets no new connection into the socket, and every one that is in it be accepted.

    Closing a listening socket resets what waits in it, and there is no moment at which nothing does while others
    connect. So first a packet filter drops the SYNs: such clients are refused by the next attempt, a second later."""
    syn_without_ack = (
        # load the flags (byte 13 of the TCP header), keep SYN and ACK, is it SYN alone? drop : take
        (0x30, 0, 0, 13),
        (0x54, 0, 0, 0x12),
        (0x15, 0, 1, 0x02),
        (0x06, 0, 0, 0),
        (0x06, 0, 0, 0xFFFF_FFFF),
    )
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in syn_without_ack))
    descriptor = struct.pack("HP", len(syn_without_ack), ctypes.addressof(program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, descriptor)
    except OSError as error:
        _log.warning("connections that come during the stop may be reset: %s", error)


def worker_parts(listeners: Sequence[socket.socket], config: worker.Config) -> list[Part]:
    """One edge worker for each socket: `edge-0`, `edge-1`, ..."""
    parts = []
    for index, listener in enumerate(listeners):
        own = replace(config, producer=f"edge-{index}", listener=listener.fileno())
        environment = {worker.VARIABLE: msgspec.json.encode(own).decode()}
        command = [sys.executable, "-m", "tuike.edge.worker"]
        parts.append(Part(own.producer, command, environment, (own.listener,)))
    return parts


class Supervisor:
    """Runs parts, in stages: all start together, and stop stage by stage."""

    def __init__(self, stages: Sequence[Sequence[Part]], listeners: Sequence[socket.socket] = ()) -> None:
        self._listeners = listeners
        self._stages = [[_Child(part) for part in stage] for stage in stages]
        self._tasks: dict[_Child, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Returns when every part is ready; PartFailed, with all stopped, when one cannot start."""
        loop = asyncio.get_running_loop()
        children = [child for stage in self._stages for child in stage]
        self._tasks = {child: loop.create_task(child.keep()) for child in children}
        ready = loop.create_task(_all_ready(children))
        await asyncio.wait([ready, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            await self.stop()
        await self._raise_failure()

    async def failed(self) -> None:
        """Waits for a part that cannot be kept running; raises what it ended with."""
        await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        await self._raise_failure()

    async def stop(self) -> None:
        """Ends all parts, stage by stage, and closes the listening sockets after the first."""
        for listener in self._listeners:
            refuse_new(listener)
        for stage in self._stages:
            await asyncio.gather(*(child.stop() for child in stage))
            # gathered: of parts that fail together one is told of, and asyncio would write the others' tracebacks
            await asyncio.gather(*(self._tasks[child] for child in stage), return_exceptions=True)
            for listener in self._listeners:
                listener.close()

    def process(self, name: str) -> int | None:
        """The process id of a part, if it runs now."""
        return next(child.pid for stage in self._stages for child in stage if child.part.name == name)

    async def _raise_failure(self) -> None:
        for task in self._tasks.values():
            if task.done():
                await task


async def _all_ready(children: Sequence["_Child"]) -> None:
    for child in children:
        await child.ready.wait()


class _Child:
    """One part and the process that runs it at the moment."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._line: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def keep(self) -> None:
        """Runs the part until `stop`, starting it again whenever it ends."""
        loop = asyncio.get_running_loop()
        pause = BACKOFF_FIRST
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            # what is killed from outside while it starts (memory ran out) may start well the next time
            if code == control.OVER or not (self.ready.is_set() or code == -signal.SIGKILL):
                raise PartFailed(self.part.name, code)
            _log.error("%s ended with %d and is started again", self.part.name, code)
            if loop.time() - began >= STEADY:
                pause = BACKOFF_FIRST
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, BACKOFF_MOST)

    async def _run_once(self) -> int:
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            with theirs:
                environment = os.environ | self.part.environment | {control.VARIABLE: str(theirs.fileno())}
                self._process = await asyncio.create_subprocess_exec(
                    *self.part.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    env=environment,
                    pass_fds=(theirs.fileno(), *self.part.descriptors),
                )
            self._line = ours
            if self._stopping.is_set():  # told to stop while it was being started
                ours.shutdown(socket.SHUT_WR)
            # ends with the process, which alone holds the other side
            while await asyncio.get_running_loop().sock_recv(ours, len(control.READY)):
                self.ready.set()
            return await self._process.wait()

    async def stop(self) -> None:
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        if self._line is not None:
            with contextlib.suppress(OSError):  # it has just ended by itself
                self._line.shutdown(socket.SHUT_WR)
        try:
            await asyncio.wait_for(process.wait(), STOP_LIMIT)
        except TimeoutError:
            _log.error("%s does not stop and is killed", self.part.name)
            process.kill()
