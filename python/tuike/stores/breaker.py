"""What a process does while the database's server is away: it says so, waits longer each time, and tries again."""

import logging
import time
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from tuike.data import DataError
from tuike.stores import engine

FIRST_S = 0.1
MOST_S = 5.0
STEADY_S = 10.0
"""A server that was there for so long is tried again as soon as at first."""

log = logging.getLogger(__name__)


class Breaker:
    """Of one process. `note` is there, with the reason, while the server is away."""

    def __init__(self, url: URL, note: Path) -> None:
        self._url = url
        self._note = note
        self._pause = FIRST_S
        self._since: float | None = None
        note.unlink(missing_ok=True)

    def close(self) -> None:
        """The server answers."""
        if self._note.exists():
            log.warning("%s is back", engine.shown(self._url))
        self._note.unlink(missing_ok=True)
        self._since = time.monotonic()

    def open(self, error: DBAPIError) -> float:
        """The server is away: how long to wait, in seconds. Raises the error where it is something else, and DataError
        where the server was never reached and its URL will never do."""
        if not engine.is_away(error):
            raise error
        reason = engine.said(error)
        if self._since is None and engine.is_hopeless(error):
            raise DataError(f"{engine.shown(self._url)}: {reason}") from error
        if self._since is not None and time.monotonic() - self._since >= STEADY_S:
            self._pause = FIRST_S
        if not self._note.exists():
            log.warning("%s is away, and tried again: %s", engine.shown(self._url), reason)
        self._note.write_text(reason + "\n")
        pause = self._pause
        self._pause = min(2 * pause, MOST_S)
        return pause
