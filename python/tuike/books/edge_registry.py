"""The registry log: what edges must know, told in a journal of its own.

Each start of the processor, and each UTC day, begins a new incarnation with all of it, ended by `ready`;
changes follow. So an edge reads one incarnation, and nothing that was said twice can disagree.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from tuike import _core
from tuike.books import entries
from tuike.stores.schema import daily_keys

PRODUCER = "registry"
DAY_MS = 86_400_000
KEY_BYTES = 32
NONCE_BYTES = 12
# keys of today and the days ahead, so that an edge cut off from the processor goes on for as long
DAYS_AHEAD = 2
ENTRIES_PER_WRITE = 1_000
SEGMENT_BYTES = 4 << 20

Random = Callable[[int], bytes]


class EdgeRegistry:
    """Writes the registry log. Belongs to the processor."""

    def __init__(self, root: Path, secret: str, random: Random) -> None:
        self._root = root
        self._secret = secret
        self._random = random
        self._writer: _core.Writer | None = None
        self.day = -1

    def begin(self, connection: Connection, number: int, now: int) -> None:
        """Begins an incarnation with all that edges must know at the books' `number`, and drops the older ones.

        `connection` is in a transaction of the writer: daily keys are made here.
        """
        self.day = now // DAY_MS
        self._turn_keys(connection)
        incarnation = int.from_bytes(self._random(8))
        # nothing is lost with it: the next start says it all again
        writer = _core.Writer(str(self._root), PRODUCER, incarnation, durability="process", segment_bytes=SEGMENT_BYTES)
        before, self._writer = self._writer, writer
        self.append(entries.snapshot(connection), number, now)
        if before is not None:
            before.close(now)
        for old in (self._root / PRODUCER).iterdir():
            if old.name != f"{incarnation:016x}":
                shutil.rmtree(old)

    def append(self, changed: Iterable[dict[str, Any]], number: int, now: int) -> None:
        """Tells edges what changed up to the books' `number`."""
        assert self._writer is not None
        payloads = []
        for entry in changed:
            body = json.dumps(entry, ensure_ascii=False).encode()
            payloads.append(
                _core.encode_event({"kind": "registry", "at": now, "received": now, "registry": number, "body": body})
            )
            if len(payloads) == ENTRIES_PER_WRITE:
                self._writer.append(payloads)
                payloads = []
        if payloads:
            self._writer.append(payloads)

    def tick(self, now: int) -> None:
        if self._writer is not None:
            self._writer.tick(now)

    def close(self, now: int) -> None:
        if self._writer is not None:
            self._writer.close(now)

    def _turn_keys(self, connection: Connection) -> None:
        """Keeps yesterday's key, makes those up to `DAYS_AHEAD`, destroys the older ones."""
        connection.execute(delete(daily_keys).where(daily_keys.c.day < self.day - 1))
        there = set(connection.scalars(select(daily_keys.c.day)))
        for day in range(self.day, self.day + DAYS_AHEAD + 1):
            if day not in there:
                key = _core.seal(self._secret, "day", self._random(KEY_BYTES), self._random(NONCE_BYTES))
                connection.execute(insert(daily_keys).values(day=day, key=key))
