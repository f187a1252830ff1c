"""The line between the supervisor and each part it has started: one inherited socket.

The part writes `ready` on it once it serves. When it reads the end of it, the supervisor wants it to stop, or is
gone. A part that was started by hand has no such line and listens to signals; one that has it leaves them alone,
because Ctrl-C and service managers send theirs to every process at once, and the parts have to stop in order.
"""

import asyncio
import os
import select
import signal
import threading
from collections.abc import Callable

VARIABLE = "TUIKE_CONTROL"
READY = b"ready\n"
OVER = 3
"""The exit code of a part that must not be started again, nor its program with it: it has said why."""


def descriptor() -> int | None:
    """The inherited socket; readable when the supervisor is gone."""
    text = os.environ.get(VARIABLE)
    return int(text) if text else None


def say_ready() -> None:
    line = descriptor()
    if line is not None:
        os.write(line, READY)


def when_told(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Calls when the part has to stop: at the line's end, else at SIGTERM or SIGINT."""
    line = descriptor()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, call if line is None else _leave_alone)
    if line is None:
        return

    def ended() -> None:
        loop.remove_reader(line)
        call()

    loop.add_reader(line, ended)


def watch(stop: threading.Event) -> None:
    """The same for a part without a loop: sets the event. Call it from the main thread."""
    line = descriptor()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, (lambda *_: stop.set()) if line is None else signal.SIG_IGN)
    if line is None:
        return

    def ended() -> None:
        select.select([line], [], [])
        stop.set()

    threading.Thread(target=ended, name="supervisor-watch", daemon=True).start()


def _leave_alone() -> None:
    """What a supervised part does about a signal."""
