"""Erasures, step by step, beside whoever folds and books: see `stores.erasures`.

The books' tables come first, in a transaction of the bookkeeper's; then each machine writes its own journal again,
segment by segment, in a thread, and its archive where there is one. A segment that is still written to waits for its
end. Whoever is killed anywhere goes on where it was: nothing is done twice that would not come to the same.
"""

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row

from tuike import _core
from tuike.archive import forgetting
from tuike.books.daily_keys import Random
from tuike.books.records import Message
from tuike.data import Data
from tuike.stores import erasures
from tuike.stores.erasures import ARCHIVE, Pending

LOOK_MS = 1_000
"""Between two looks at what is to be done."""
RETRY_MS = 60_000
"""After a disk that failed, or an archive that is in use."""
ID_BYTES = 16

Touches = Callable[[Connection, Row[Any], _core.Erasure], int]
"""Rewrites the touches of a row's person, in the transaction or durably before its end; how many there were."""

_log = logging.getLogger(__name__)


class Tables:
    """The bookkeeper's part. Belongs to its thread."""

    def __init__(self, random: Random = os.urandom) -> None:
        self._random = random
        self._next = 0

    def is_due(self, now: int) -> bool:
        return now >= self._next

    def step(self, connection: Connection, watermark: int, number: int, now: int, touches: Touches) -> bool:
        """The first that can be done, in a transaction of the books at `number`, which are complete up to `watermark`.
        Whether tables changed. One reads all orders: several would keep the books waiting for as many times as long."""
        self._next = now + LOOK_MS
        waiting = [row for row in erasures.in_state(connection, erasures.WAITING) if row.at < watermark]
        without = [row.id for row in waiting if not row.fresh]
        if without:
            # nothing is written under an id that is not committed: a second try has the same one
            erasures.give_ids(connection, {id: self._random(ID_BYTES).hex() for id in without})
            self._next = now
            return False
        if not waiting:
            return False
        row = waiting[0]
        count = touches(connection, row, erasures.of([row], number))
        orders = erasures.rewrite_tables(connection, row, number)
        erasures.tables_done(connection, row.id, number, count, orders)
        _log.info("erasure %s: %d touches and %d orders, journals follow", row.id, count, orders)
        if len(waiting) > 1:
            self._next = now
        return True


class Journals:
    """A machine's part: its own journal. `step` belongs to one thread; segments are written in another."""

    def __init__(self, engine: Engine, data: Data, machine: str) -> None:
        self._engine = engine
        self._data = data
        self._machine = machine
        self._thread = ThreadPoolExecutor(1, "erasing")
        self._work: Future[dict[str, Pending]] | None = None
        self._next = 0
        self.ended = 0
        """Erasures that were done with, since it was made."""

    def step(
        self, now: int, hold: Callable[[Connection], None], machines: Callable[[Connection], Sequence[str]]
    ) -> None:
        """Looks whether there is something to do, or whether it was done. `hold` comes first in each transaction;
        `machines` says who takes part."""
        if now < self._next:
            return
        self._next = now + LOOK_MS
        if self._work is not None and not self._work.done():
            return
        left = self._done(now)
        with self._engine.begin() as connection:
            hold(connection)
            for id, pending in left.items():
                erasures.keep_pending(connection, id, self._machine, pending)
            rows = erasures.in_state(connection, erasures.JOURNALS)
            if not rows:
                return
            todo = {row.id: self._todo(connection, row.id) for row in rows}
            self.ended += erasures.end(connection, machines(connection), now)
        todo = {id: pending for id, pending in todo.items() if pending}
        if todo:
            self._work = self._thread.submit(rewrite, [row for row in rows if row.id in todo], self._data, todo)

    def _done(self, now: int) -> dict[str, Pending]:
        """What the work that has ended left over. A disk that fails ends nothing else: it is tried again."""
        done, self._work = self._work, None
        try:
            left = {} if done is None else done.result()
        except OSError as error:
            _log.warning("an erasure's segments wait: %s", error)
            self._next = now + RETRY_MS
            return {}
        if any(ARCHIVE in pending for pending in left.values()):
            self._next = now + RETRY_MS
        return left

    def close(self) -> None:
        self._thread.shutdown()

    def _todo(self, connection: Connection, id: str) -> Pending:
        """What there is to write again; all that there is, at the first look."""
        pending = erasures.journal_pending(connection, id, self._machine)
        if pending is None:
            pending = all_segments(self._data.journal)
            if self._data.archive.exists():
                pending[ARCHIVE] = [0]
            erasures.keep_pending(connection, id, self._machine, pending)
        return pending


def rewritten(erasure: _core.Erasure, message: Message) -> Message:
    """A message that is in no table yet."""
    text = erasure.rewrite_text(message.merchant, msgspec.json.encode(message).decode())
    return message if text is None else msgspec.json.decode(text, type=Message)


def all_segments(root: Path) -> Pending:
    found = {
        f"{producer}/{number:016x}": _core.journal_segments(path)
        for producer, number, path in _core.incarnations(str(root))
    }
    return {name: indexes for name, indexes in found.items() if indexes}


def rewrite(rows: Sequence[Row[Any]], data: Data, todo: dict[str, Pending]) -> dict[str, Pending]:
    """Writes the segments and the archive's files again; what is left of each erasure's."""
    left: dict[str, Pending] = {id: {} for id in todo}
    people = erasures.of(rows)
    segments = {(name, index) for pending in todo.values() for name, indexes in pending.items() for index in indexes}
    for name, index in sorted(segments):
        path = data.journal / name
        if name == ARCHIVE:
            done = forgetting.reach(data, lambda: forgetting.erase(data.archive, forgetting.people(rows)))
        else:
            done = not path.exists() or people.rewrite_segment(str(path), index) is not None
        if not done:
            for id, pending in todo.items():
                if index in pending.get(name, ()):
                    left[id].setdefault(name, []).append(index)
    return left
