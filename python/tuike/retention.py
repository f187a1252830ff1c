"""What is kept no longer: hits lose whoever they were about, once nothing can ask for it any more.

A segment that was last written to before the end of the retention has visitor, customer, device, fingerprint, address,
agent, referrer and unknown parameters taken out of its hits (core_rs/src/erasure.rs): so what is counted, and every
sum, can still be proved, and orders in the same segment stay as they are. No segment is deleted: verify and replay read
it as before. The archive's files lose the same. On several machines the books say from when on, and each machine's
mirror sees to its own journal. What a fold has not counted yet keeps its people, however old it is: a machine that
comes back after months has hits that nobody has seen.
"""

import json
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import Connection, select

from tuike import _core
from tuike.archive import forgetting
from tuike.books.settings import DAY_MS
from tuike.data import Data, write_private
from tuike.stores import meta, position
from tuike.stores.schema import producers
from tuike.transport.entries import GONE, PARTITIONS

Folded = Callable[[int], int]
"""An incarnation's last event up to which every fold of hits has come."""

KEY = "retention"
"""In `meta`: JSON of `Kept`."""

COARSE_MS = 1_000
"""A file's time may be so far behind the clock that its records have: kernels and file systems round it down."""

_log = logging.getLogger(__name__)


def note(connection: Connection, days: int, touches: int, now: int) -> int:
    """Notes how long hits (`days`; 0: as long as touches) and touches (ms) are kept; the instant before which what was
    received is nobody's from now on."""
    hits = days * DAY_MS or touches
    meta.write(connection, KEY, json.dumps({"hits": hits, "touches": touches, "before": now - hits}))
    return now - hits


def noted(connection: Connection) -> dict[str, int]:
    """What was noted last: `hits`, `touches`, `before`, or nothing yet."""
    text = meta.read(connection, KEY)
    found: dict[str, int] = {} if text is None else json.loads(text)
    return found


def folded(connection: Connection) -> Folded:
    """How far all folds of hits have come, as the books stand now."""
    positions = [kept for kept in position.read_all(connection) if kept.fold == "hits"]
    upto = {kept.partition: kept.upto for kept in positions}
    several = any(kept.partition for kept in positions)
    parts = [upto.get(partition, {}) for partition in (range(PARTITIONS) if several else (0,))]
    closed = select(producers.c.incarnation).where(producers.c.state == "closed")
    # one that positions have forgotten is wholly applied
    whole = {int(incarnation, 16) for incarnation in connection.scalars(closed)}

    def of(incarnation: int) -> int:
        return min(part.get(incarnation, GONE if incarnation in whole else 0) for part in parts)

    return of


class Retention:
    """A journal's. Segments are written in a thread; what is done is kept in a file beside the journal."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._thread = ThreadPoolExecutor(1, "retention")
        self._work: Future[int] | None = None

    def begin(self, before: int, folded: Folded) -> None:
        """Takes people out of what was received before an instant, unless that is still under way. Raises what the
        work before raised."""
        if self._work is not None:
            if not self._work.done():
                return
            self._work.result()
        self._work = self._thread.submit(end, self._data, before, folded)

    def wait(self) -> int:
        """How many hits it was that the last work changed."""
        return 0 if self._work is None else self._work.result()

    def close(self) -> None:
        self._thread.shutdown()


def end(data: Data, before: int, folded: Folded) -> int:
    """Takes people out of the journal's hits and the archive's; how many hits of the journal. What fails, or is held by
    who archives, is tried again another day."""
    if data.archive.exists():
        forgetting.reach(data, lambda: forgetting.end_keeping(data.archive, before))
    return anonymize(data.journal, data.retention, before, folded)


def anonymize(root: Path, done: Path, before: int, folded: Folded) -> int:
    """Takes people out of hits; how many hits. A disk that fails ends nothing else: it is tried again another day."""
    reached: dict[str, int] = json.loads(done.read_text()) if done.exists() else {}
    changed = 0
    try:
        for producer, number, path in _core.incarnations(str(root)):
            name = f"{producer}/{number:016x}"
            until = min(before, _first_unfolded(path, folded(number)))
            for index in _core.journal_segments(path):
                if index < reached.get(name, 0):
                    continue
                written = (Path(path) / f"{index:06}.seg").stat().st_mtime_ns // 1_000_000
                records = None if written + COARSE_MS >= until else _core.anonymize_segment(path, index, until)
                if records is None:
                    break
                changed += records
                reached[name] = index + 1
                write_private(done, json.dumps(reached))
    except OSError as error:
        _log.warning("hits past their keeping wait: %s", error)
    return changed


def _first_unfolded(path: str, upto: int) -> int:
    """When the first event behind `upto` of an incarnation was received; GONE: there is none."""
    if upto >= GONE:
        return GONE
    record = next(_core.JournalReader(path, upto), None)
    received: int = GONE if record is None else _core.decode_event(record[1])["received"]
    return received
