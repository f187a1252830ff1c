"""Refunds of orders that are not there yet: they wait a week for them (money.md, section 2)."""

from collections import deque
from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, select

from tuike.books.periods import DAY_MS
from tuike.books.records import Message, Outcome, Waiting
from tuike.stores.schema import waiting

WAIT_DAYS = 7
# All are held in memory; what comes beyond that is not waited for.
MAX_WAITING = 200_000


class WaitingRefunds:
    """All that wait, in the order in which they came. Belongs to the one bookkeeper."""

    def __init__(self, connection: Connection) -> None:
        self.load(connection)

    def load(self, connection: Connection) -> None:
        """Takes up what the table says."""
        self._by_order: dict[str, list[Waiting]] = {}
        self._by_age: deque[Waiting] = deque()
        for row in connection.execute(select(waiting).order_by(waiting.c.number)):
            self.add(Waiting(row.conversion, row.number, msgspec.json.decode(row.message, type=Message)))

    @property
    def full(self) -> bool:
        return len(self._by_age) >= MAX_WAITING

    def add(self, waits: Waiting) -> None:
        self._by_order.setdefault(waits.conversion, []).append(waits)
        self._by_age.append(waits)

    def pop(self, conversion: str, received: int) -> list[Waiting]:
        """Those that waited for this order, which was received then. Those whose week was over by then stay, to
        expire: whether that was noticed before the order came is not for the clock of the processor to decide."""
        waiting = self._by_order.pop(conversion, None)
        if waiting is None:
            return []
        late = [waits for waits in waiting if _ends(waits) < received]
        if late:
            self._by_order[conversion] = late
        return [waits for waits in waiting if _ends(waits) >= received]

    def forget(self, event: str) -> None:
        """One that was decided before, and is only posted again."""
        for conversion, all_of_it in self._by_order.items():
            left = [waits for waits in all_of_it if waits.message.id != event]
            if len(left) < len(all_of_it):
                self._by_order[conversion] = left
                return

    def due(self, now: int) -> bool:
        return bool(self._by_age) and _ends(self._by_age[0]) < now

    def expired(self, now: int) -> Iterator[tuple[Message, Outcome]]:
        """Takes out those that have waited in vain, with what becomes of them."""
        while self.due(now):
            waits = self._by_age.popleft()
            if waits in self._by_order.get(waits.conversion, ()):
                self._by_order[waits.conversion].remove(waits)
                detail = f"no such order came within {WAIT_DAYS} days"
                outcome = Outcome.refused("unknown_order", detail)
                merchant = {"merchant": waits.message.merchant}
                yield waits.message, msgspec.structs.replace(outcome, result=merchant | outcome.result)


def _ends(waits: Waiting) -> int:
    """The last instant at which its order may come."""
    return waits.message.received + WAIT_DAYS * DAY_MS
