"""What was read from the journals and is not in the books yet, in the order in which it will be."""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from tuike.books.records import Message

IMPORT = "import-"
BOOKED_KINDS = ("registry", "order", "claim", "decision", "close", "refused")


class Late(NamedTuple):
    """Incarnations that bring what is older than the watermark and are heard, and before which instant (ms) everything
    that they received has come."""

    incarnations: frozenset[int] = frozenset()
    caught_up: int = 1 << 62


NOBODY_IS_LATE = Late()


def event_id(incarnation: int, seq: int, fields: Mapping[str, Any]) -> str:
    """The event's id; one that came without is known by its place."""
    return fields.get("id") or f"{incarnation:016x}{seq:016x}"


class Item(NamedTuple):
    """A message with its place: items compare by the order of the books."""

    received: int
    producer: str
    seq: int
    incarnation: int
    message: Message


def item_of(incarnation: int, seq: int, producer: str, fields: Mapping[str, Any]) -> Item:
    """A message as `_core.Batch.events` gives it."""
    if not fields.get("id"):
        fields = {**fields, "id": event_id(incarnation, seq, fields)}
    message = msgspec.convert(fields, Message)
    return Item(message.received, producer, seq, incarnation, message)


class Backlog:
    """Registry writes are due at once, orders behind the watermark, an import's orders at its closing mark, late ones
    when those that are late with them have caught up."""

    def __init__(self) -> None:
        self._registry: deque[Item] = deque()
        self._waiting: list[Item] = []
        self._late: list[Item] = []
        self._of_late: Counter[int] = Counter()
        """How many of each incarnation are in it."""
        self._passed = 0
        """All that was read and received before this instant was taken, or is late."""
        self._imports: dict[str, list[Item]] = {}
        self._due: deque[Item] = deque()
        self._unapplied: dict[int, deque[tuple[int, int]]] = {}
        """Of each incarnation, numbers and receipts."""
        self._applied: dict[int, set[int]] = {}
        self._seen: dict[int, int] = {}

    def __len__(self) -> int:
        return sum(len(numbers) for numbers in self._unapplied.values())

    @property
    def unapplied(self) -> Container[int]:
        """The incarnations of what is in it."""
        return self._unapplied

    def add(self, events: Iterable[tuple[int, int, str, dict[str, Any]]]) -> None:
        """Takes events as `_core.Batch.events` gives them, each incarnation's in its order, each once."""
        for incarnation, seq, producer, fields in events:
            kind = fields["kind"]
            if seq <= self._seen.get(incarnation, 0):
                continue
            self._seen[incarnation] = seq
            if kind not in BOOKED_KINDS:
                continue
            item = item_of(incarnation, seq, producer, fields)
            self._unapplied.setdefault(incarnation, deque()).append((seq, item.received))
            if kind == "registry":
                self._registry.append(item)
            elif kind == "order" and producer.startswith(IMPORT):
                self._imports.setdefault(producer, []).append(item)
            else:
                heapq.heappush(self._waiting, item)

    def take_registry(self, limit: int) -> list[Item]:
        return [self._registry.popleft() for _ in range(min(limit, len(self._registry)))]

    def take_orders(self, watermark: int, limit: int, late: Late = NOBODY_IS_LATE) -> list[Item]:
        """What was received before the watermark, in the order of the books; of what is late, what was received before
        the instant to which all that are late have caught up."""
        taken: list[Item] = []
        while len(taken) < limit:
            if self._due:
                taken.append(self._due.popleft())
                continue
            item = self._next(watermark, late)
            if item is None:
                self._passed = max(self._passed, watermark)
                break
            if item.message.kind != "close":
                taken.append(item)
                continue
            rows = self._imports.pop(item.producer, [])
            self._due.extend(sorted(rows, key=lambda row: (row.message.at, row.message.id)))
            self._due.append(item)
        return taken

    def _next(self, watermark: int, late: Late) -> Item | None:
        while self._waiting and self._waiting[0].received < watermark and self._is_late(self._waiting[0], late):
            item = heapq.heappop(self._waiting)
            heapq.heappush(self._late, item)
            self._of_late[item.incarnation] += 1
        heaps = ((self._waiting, watermark), (self._late, min(watermark, late.caught_up)))
        due = [heap for heap, until in heaps if heap and heap[0].received < until]
        if not due:
            return None
        first = min(due, key=lambda heap: heap[0])
        if first is self._late:
            self._of_late[first[0].incarnation] -= 1
        return heapq.heappop(first)

    def _is_late(self, item: Item, late: Late) -> bool:
        """Nothing is while nobody is. What follows on an incarnation's late ones is late too: it may be about them."""
        came_late = item.incarnation in late.incarnations or item.received < self._passed
        return bool(late.incarnations) and (came_late or self._of_late[item.incarnation] > 0)

    def is_due(self, watermark: int) -> bool:
        """Whether any of it may be taken now."""
        received = self._waiting[0].received < watermark if self._waiting else False
        return received or bool(self._registry or self._due)

    def applied(self, items: Iterable[Item]) -> None:
        for item in items:
            self._applied.setdefault(item.incarnation, set()).add(item.seq)
        for incarnation, applied in list(self._applied.items()):
            unapplied = self._unapplied[incarnation]
            while unapplied and unapplied[0][0] in applied:
                applied.remove(unapplied.popleft()[0])
            if not unapplied:
                del self._unapplied[incarnation]
            if not applied:
                del self._applied[incarnation]

    def upto(self, read: Mapping[int, int]) -> dict[int, int]:
        """How far the books have come: below the first event of each incarnation that is not applied."""
        return {
            incarnation: self._unapplied[incarnation][0][0] - 1 if incarnation in self._unapplied else seq
            for incarnation, seq in read.items()
        }

    def marks(self, read: Mapping[int, int]) -> dict[int, int]:
        """What is promised above `upto`, given what is promised above what was read: nothing that is older than the
        first event of the incarnation that is not applied."""
        return {
            incarnation: min(mark, self._unapplied[incarnation][0][1]) if incarnation in self._unapplied else mark
            for incarnation, mark in read.items()
        }

    def rewrite(self, change: Callable[[Message], Message]) -> None:
        """Changes what an import under way will be applied as; who has to be forgotten is in no other message here."""
        for producer, rows in self._imports.items():
            self._imports[producer] = [row._replace(message=change(row.message)) for row in rows]

    def registry_write(self, id: str) -> Item | None:
        """The registry write with this id that was read and not applied."""
        return next((item for item in self._registry if item.message.id == id), None)
