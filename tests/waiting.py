"""How tests wait: for a condition, with a limit that a loaded machine keeps easily."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

PATIENCE = 120.0
"""Seconds after which what a test waits for is taken not to happen; only a test that fails takes so long."""
PAUSE = 0.01
"""Seconds between two looks."""


def until(true: Callable[[], object], what: str, limit: float = PATIENCE) -> None:
    """Waits for a condition; AssertionError says what was waited for."""
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, f"waited {limit:.0f} s for {what}"
        time.sleep(PAUSE)


async def eventually(true: Callable[[], object | Awaitable[object]], what: str) -> None:
    """As `until`, in a loop that goes on meanwhile; the condition may be awaited itself."""
    end = time.monotonic() + PATIENCE
    while True:
        found = true()
        if await found if inspect.isawaitable(found) else found:
            return
        assert time.monotonic() < end, f"waited {PATIENCE:.0f} s for {what}"
        await asyncio.sleep(PAUSE)
