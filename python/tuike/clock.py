"""The time of day: a machine's own, and the books', which stamps events and promises where there is more than one
machine.

A machine's own clock may be minutes wrong, and jumps when somebody sets it. So the mirror measures where the database's
clock stands against this machine's steady one (CLOCK_BOOTTIME, clock_gettime(2)), and keeps it in a file that all
processes of the data directory read. Until it was measured, and after the machine has started again, it is the
machine's own.
"""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

LOOK_S = 0.25
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def wall() -> int:
    """This machine's own clock: milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def steady() -> int:
    """Milliseconds since the machine started, however its clock is set."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Clock:
    """Calling it gives milliseconds since the Unix epoch. It may fall by a little; whoever makes promises by it goes on
    with the highest that he has seen."""

    def __init__(self, path: Path) -> None:
        """`path` is the file; it need not be there."""
        self._path = path
        self._boot = BOOT_ID.read_text().strip()
        self.base: int | None = None
        """What it adds to the steady clock; None: never measured."""
        self.look()

    def __call__(self) -> int:
        return wall() if self.base is None else steady() + self.base

    def look(self) -> None:
        """Takes over what was measured since. To be called now and then."""
        with suppress(FileNotFoundError):
            boot, _, base = self._path.read_text().partition(" ")
            if boot == self._boot:
                self.base = int(base)

    def measured(self, instant: int, begun: int, ended: int) -> None:
        """The books' clock said `instant` some time between two readings of the steady one: what we have is kept if it
        can be true, else put right for everybody."""
        least, most = instant - ended, instant - begun
        if self.base is not None and least <= self.base <= most:
            return
        self.base = (least + most) // 2
        draft = self._path.with_name(self._path.name + ".new")
        with suppress(OSError):  # on a full disk the others go on with what they have
            draft.write_text(f"{self._boot} {self.base}")
            draft.replace(self._path)


async def follow(clock: Clock) -> None:
    """Takes over what the mirror measures, until it is cancelled."""
    while True:
        clock.look()
        await asyncio.sleep(LOOK_S)
