"""Memory with 10,000 idle connections, each of which has asked for a pixel: against bare aiohttp's."""

import socket
from contextlib import ExitStack
from pathlib import Path

import machine
import servers
import visitors
from part import Bench, Figure, Result
from servers import Server, ServerFailed

CONNECTIONS = 10_000
SPARE_DESCRIPTORS = 512
AT_MOST = 1.2
MIB = 1 << 20


def measure(bench: Bench) -> Result:
    result = Result()
    count = min(CONNECTIONS, machine.raise_descriptor_limit() - SPARE_DESCRIPTORS)
    if count < CONNECTIONS:
        result.left_out.append(f"{CONNECTIONS - count:,} of {CONNECTIONS:,} idle connections: `ulimit -Hn` is too low")
    tuike, plain = servers.start_tuike(bench), servers.start_plain_aiohttp(bench)
    with servers.stopping(tuike, plain):
        requests = visitors.pixels(bench, visitors.returning(tuike))
        ours, theirs = (_resident(server, requests, count) for server in (tuike, plain))
    tuike.answered += count
    result.count("pixels of idle connections", tuike.answered, tuike.recorded())
    result.figures = [
        Figure(
            f"memory with {count:,} idle connections, against aiohttp's", "times", (ours / theirs,), at_most=AT_MOST
        ),
        Figure("memory of the worker there", "MiB", (ours / MIB,)),
        Figure("memory of bare aiohttp there", "MiB", (theirs / MIB,)),
    ]
    return result


def _resident(server: Server, requests: Path, count: int) -> int:
    """Bytes resident while connections are idle after a request each."""
    request = requests.read_bytes().partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    with ExitStack() as open_ones:
        for _ in range(count):
            connection = open_ones.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            connection.sendall(request)
            if not connection.recv(4096).startswith(b"HTTP/1.1 200 "):
                raise ServerFailed(f"{server.name} does not answer one of many connections")
        return machine.memory(server.workers[0]).resident
