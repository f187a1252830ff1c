"""Ports for servers that bind them some time after a test has chosen them.

A port that the kernel gives away (`bind` to 0) may be another's by then: a connection's that goes out, or a server's
of a test in another process. These lie outside the kernel's range for outgoing connections, in blocks, and each block
belongs to one process of all those on the machine for as long as it lives.
"""

import itertools
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path

HOST = "127.0.0.1"
FIRST, LAST = 20_000, 65_535
BLOCK = 200
"""Ports of one process: more than it has servers at a time."""
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A port of this process that nobody listens on."""
    return next(port for port in itertools.islice(_own_ports(), BLOCK) if _is_free(port))


@cache
def _own_ports() -> Iterator[int]:
    """The ports of this process, round and round."""
    return itertools.cycle(next(block for block in blocks() if _is_taken(block)))


def blocks() -> list[range]:
    """All blocks; those in the kernel's own range come last, for machines where it leaves nothing else."""
    low, high = map(int, OUTGOING.read_text().split())
    found = [range(start, start + BLOCK) for start in range(FIRST, LAST + 2 - BLOCK, BLOCK)]
    return sorted(found, key=lambda block: block[-1] >= low and block[0] <= high)


_claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
"""Holds the block: a name in the abstract namespace has one owner and goes with its process."""


def _is_taken(block: range) -> bool:
    """Takes the block for this process, unless another has it."""
    try:
        _claim.bind(f"\0tuike-test-ports-{block[0]}")
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def free_ports(count: int) -> int:
    """The first of so many ports in a row of this process that nobody listens on; it asks for them once."""
    first = free_port()
    while not all(_is_free(port) for port in range(first, first + count)):
        first = free_port()
    return first
