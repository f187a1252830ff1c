"""Ports that lead to other ports of this machine, and a cable that can be pulled: what chosen processes send through
them, and what is sent to them, waits until it is mended."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = "127.0.0.1"
CHUNK = 1 << 16
LOOK_S = 0.02


class Link:
    """Passes on connections: from each port (a key) to another (its value)."""

    def __init__(self, routes: Mapping[int, int]) -> None:
        self._routes = routes
        self._cut: frozenset[int] = frozenset()
        self._ports: frozenset[int] = frozenset()
        """Of the processes that are cut off: their ends of connections."""

    def cut(self, groups: Collection[int]) -> None:
        """Cuts off the processes of these groups; connections stay open and carry nothing, new ones neither."""
        self._cut = frozenset(groups)
        self._ports = ports_of(self._cut)

    def mend(self) -> None:
        self._cut = self._ports = frozenset()

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        servers = [await asyncio.start_server(self._handler(to), HOST, port) for port, to in self._routes.items()]
        ready.set()
        await stop.wait()
        for server in servers:
            server.close()

    def _handler(self, to: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            port: int = writer.get_extra_info("peername")[1]
            if self._cut:
                self._ports = ports_of(self._cut)
            await self._mended(port)
            with suppress(OSError):
                theirs, ours = await asyncio.open_connection(HOST, to)
                ends = [asyncio.create_task(self._pump(port, *pair)) for pair in ((reader, ours), (theirs, writer))]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for end in ends:
                    end.cancel()
                await asyncio.wait(ends)
                ours.close()
            writer.close()

        return pass_on

    async def _pump(self, port: int, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await self._mended(port)
                sink.write(data)
                await sink.drain()

    async def _mended(self, port: int) -> None:
        while port in self._ports:
            await asyncio.sleep(LOOK_S)


@contextmanager
def linked(routes: Mapping[int, int]) -> Iterator[Link]:
    """A link in a thread of its own."""
    link, ready, loop = Link(routes), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(link.serve(ready, stop),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield link
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def ports_of(groups: Collection[int]) -> frozenset[int]:
    """The local ports of all TCP connections of these process groups (proc(5))."""
    ports = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, ours, *_, inode = line.split()[:10]
        ports[f"socket:[{inode}]"] = int(ours.rpartition(":")[2], 16)
    found = set()
    for process in _members(groups):
        with suppress(OSError):  # it has ended meanwhile
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    found.add(ports.get(str(descriptor.readlink()), 0))
    return frozenset(found - {0})


def _members(groups: Collection[int]) -> Iterator[Path]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getpgid(int(process.name)) in groups:
                yield process
