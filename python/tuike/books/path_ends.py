"""Where visitors' paths were ended by an order that credited somebody (money.md, section 4, `path_reset`)."""

from sqlalchemy import Connection, bindparam, select

from tuike.books.records import FINAL, Effect
from tuike.stores.bulk import Lookup
from tuike.stores.schema import conversions, path_ends

BEFORE = Lookup(
    select(path_ends.c.at, path_ends.c.conversion, conversions.c.status)
    .join(conversions, conversions.c.number == path_ends.c.conversion)
    .where(
        path_ends.c.merchant == bindparam("of"),
        path_ends.c.visitor == bindparam("whose"),
        path_ends.c.at <= bindparam("until"),
    )
    .order_by(path_ends.c.at.desc()),
    ("of", "whose", "until"),
)


class PathEnds:
    """Belongs to the one bookkeeper: `begin` with each transaction, `take` whatever is decided in it."""

    def __init__(self) -> None:
        # decided in this transaction, and in no table yet
        self._fresh: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self._undone: set[int] = set()

    def begin(self, connection: Connection) -> None:
        self._connection = connection
        self._fresh.clear()
        self._undone.clear()

    def take(self, effect: Effect) -> None:
        """What was decided, and will be posted in this transaction."""
        for end in effect.path_ends:
            self._fresh.setdefault((end.merchant, end.visitor), []).append((end.at, end.conversion))
        if effect.standing is not None and effect.standing.conversion.status in FINAL:
            self._undone.add(effect.standing.conversion.number)

    def before(self, merchant: str, visitor: str, instant: int) -> int | None:
        """The instant, at or before `instant`, of the visitor's last credited order that was booked before and is
        neither rejected nor fully refunded; None where there is none."""
        ends = [end for end in self._fresh.get((merchant, visitor), ()) if end[0] <= instant]
        newest = max((at for at, number in ends if number not in self._undone), default=None)
        for at, number, status in BEFORE.rows(self._connection, merchant, visitor, instant):
            if newest is not None and at <= newest:
                break
            if status not in FINAL and number not in self._undone:
                return int(at)
        return newest
