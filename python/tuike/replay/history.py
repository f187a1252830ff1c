"""The books' history: what was booked, in the books' order, and the messages it was booked for.

All of it is read as it is asked for: what was booked record by record, the others in the order in which
their messages were received, which is nearly the order in which they were booked. An import's messages are held until
its closing mark, as the bookkeeper does."""

import heapq
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping

from sqlalchemy import Engine

from tuike import _core
from tuike.books.backlog import Item, item_of
from tuike.books.records import Booked
from tuike.clock import wall
from tuike.faults import Found
from tuike.process import ALL, PRODUCER
from tuike.replay.logs import BookedLog
from tuike.stores import rollups

READ_LIMIT = 20_000
STEPS_PER_PART = 2_000
# What one posting may hold: of anything else, each record is posted by itself, as it was.
TOGETHER = ("order", "claim", "close", "refused")
# What is decided for a message; anything else is a step of the bookkeeper's own.
ASKED = ("registry", "order", "claim", "close", "decision")

Step = tuple[Booked, Item | None]


class Messages:
    """The messages of all producers."""

    def __init__(self, root: str) -> None:
        """`root` is the journal's directory."""
        self._follower = _core.Follower(root)
        self._read: dict[int, int] = {}
        self._chunks: dict[int, deque[Item]] = {}
        self._held: dict[str, Item] = {}
        # when the next message of each incarnation was received, at the earliest
        self._next: list[tuple[int, int]] = []
        for producer, number, path in _core.incarnations(root):
            first = next(iter(_core.JournalReader(path)), None) if producer != PRODUCER else None
            if first is not None:
                self._chunks[number] = deque()
                self._next.append((_core.decode_event(first[1]).get("received", 0), number))
        heapq.heapify(self._next)

    def take(self, event: str) -> Item:
        """The message with this id. Raises Found where the journal does not have it."""
        while event not in self._held:
            if not self._next:
                raise Found(f"message {event}", "the books have applied it and the journal does not have it")
            self._advance()
        return self._held.pop(event)

    def _advance(self) -> None:
        """Takes in the next message of the incarnation whose turn it is."""
        number = self._next[0][1]
        chunk = self._chunks[number]
        if not chunk and not self._fill(number, chunk):
            heapq.heappop(self._next)
            return
        heapq.heapreplace(self._next, (chunk[0].received, number))
        if self._next[0][1] == number:
            item = chunk.popleft()
            self._held.setdefault(item.message.id, item)

    def _fill(self, number: int, chunk: deque[Item]) -> bool:
        """Reads on in one incarnation; whether there was a message."""
        more = True
        while more and not chunk:
            batch = self._follower.read(self._read, READ_LIMIT, wall(), {number: ALL})
            self._read.update(batch.upto)
            more = batch.more
            chunk.extend(
                item_of(incarnation, seq, producer, fields)
                for incarnation, seq, producer, fields in batch.events()
                if fields["kind"] in ASKED
            )
        return bool(chunk)


def history(log: BookedLog, root: str, upto: int, kinds: Container[str] = ASKED) -> Iterator[Step]:
    """Each record 1 to `upto` with the message that was decided, for records of these kinds: none for a part of a
    decision but the last, nor for what is decided again. Raises Found where it is nowhere."""
    messages: Messages | None = None
    for record in log.records(upto, Booked):
        asked = record.kind in kinds and not record.again and (record.outcome is not None or record.kind == "registry")
        if not asked:
            yield record, None
        elif record.message is not None:
            yield record, Item(record.message.received, "", 0, 0, record.message)
        else:
            messages = messages or Messages(root)
            yield record, messages.take(record.event)


def parts(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """The history in the parts in which it can be posted; a registry write is one by itself."""
    held: list[Step] = []
    kind = ""
    for step in steps:
        if held and (step[0].kind not in TOGETHER or kind not in TOGETHER or len(held) == STEPS_PER_PART):
            yield held
            held = []
        held.append(step)
        kind = step[0].kind
    if held:
        yield held


class Hits:
    """The journal's events, read as far as is asked for."""

    def __init__(self, root: str) -> None:
        self._follower = _core.Follower(root)
        self._read: dict[int, int] = {}

    def upto(self, position: Mapping[int, int]) -> Iterator[_core.Batch]:
        """All that lies between what was read and a position that is no earlier."""
        more = True
        while more:
            batch = self._follower.read(self._read, READ_LIMIT, wall(), position)
            self._read.update(batch.upto)
            more = batch.more
            yield batch


class Past:
    """A touch store that is filled as far as the bookkeeper's was when a record was decided."""

    def __init__(self, root: str, touches: _core.TouchStore, sums: Engine | None = None) -> None:
        """With `sums` what hits add up to is there as well."""
        self.touches = touches
        self._sums = sums
        self._hits = Hits(root)
        self._seen: dict[int, int] = {}
        self._filled: dict[int, int] = {}

    def note(self, record: Booked) -> None:
        """Records are given in order."""
        self._seen.update((int(number, 16), seq) for number, seq in record.seen.items())

    def fill(self) -> None:
        """Takes in what was folded when the record that was noted last was decided."""
        if self._seen != self._filled:
            for batch in self._hits.upto(self._seen):
                self.touches.put(batch)
                if self._sums is not None:
                    with self._sums.begin() as connection:
                        rollups.add_rollups(connection, batch.rollups())
            self._filled = dict(self._seen)
