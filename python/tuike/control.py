"""The line between the supervisor and each part it has started: one inherited socket.

The part writes `ready` on it once it serves. When it reads the end of it, the supervisor is gone, and the part
ends as if it had been sent SIGTERM. A part that was started by hand has no such line.
"""

import asyncio
import os
from collections.abc import Callable

VARIABLE = "TUIKE_CONTROL"
READY = b"ready\n"


def descriptor() -> int | None:
    """The inherited socket; readable when the supervisor is gone."""
    text = os.environ.get(VARIABLE)
    return int(text) if text else None


def say_ready() -> None:
    line = descriptor()
    if line is not None:
        os.write(line, READY)


def when_alone(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Calls once the supervisor is gone."""
    line = descriptor()
    if line is None:
        return

    def ended() -> None:
        loop.remove_reader(line)
        call()

    loop.add_reader(line, ended)
