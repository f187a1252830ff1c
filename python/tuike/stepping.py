"""Processes of several machines that take step after step until they are told to stop, whoever is away meanwhile."""

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError

from tuike.data import DataError
from tuike.stores import engine
from tuike.transport.redis_log import Failed

REST_S = 0.02
"""After a step with nothing to do."""
RETRY_FIRST_S, RETRY_MOST_S = 0.1, 2.0

_log = logging.getLogger(__name__)


def begin(prepare: Callable[[], None], stop: threading.Event) -> None:
    """Prepares, as soon as database and Redis are there; raises DataError where one of them will never do."""

    def once(_tick: float) -> bool:
        try:
            prepare()
        except DBAPIError as error:
            if engine.is_hopeless(error):
                raise DataError(f"the database: {engine.said(error)}") from error
            raise
        prepared.set()
        return True

    prepared = threading.Event()
    keep_stepping(once, stop, until=prepared)


def keep_stepping(step: Callable[[float], bool], stop: threading.Event, until: threading.Event | None = None) -> None:
    """Calls it until `stop` (or `until`) is set, with a rest where there was nothing to do; with database or Redis
    away, again and again."""
    pause, said = RETRY_FIRST_S, ""
    while not stop.is_set() and not (until is not None and until.is_set()):
        try:
            busy = step(time.monotonic())
            pause, said = RETRY_FIRST_S, ""
            stop.wait(0 if busy else REST_S)
        except (*Failed, DBAPIError) as error:
            # a day's table may have been dropped between two looks
            if isinstance(error, DBAPIError) and not (engine.is_away(error) or engine.lacks_tables(error)):
                raise
            if (text := " ".join(str(getattr(error, "orig", None) or error).split())) != said:
                said = text
                _log.warning("waiting: %s", said)
            stop.wait(pause)
            pause = min(2 * pause, RETRY_MOST_S)
