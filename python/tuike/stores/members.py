"""The machines of an instance, as SQL knows them: which are there, what they know, whose events are lost.

A machine is a data directory with a journal. Its mirror says once a second that it lives, by the database's clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import BigInteger, Connection, func, insert, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from tuike.data import DataError
from tuike.stores import meta, position
from tuike.stores.schema import edges, leases, lost, producers

SECRET_KEY = "secret_sum"  # noqa: S105 (a name, no secret)
LIVE_MS = 3_000
"""A machine that was silent for so long does not live."""
BOOKS = "books"
"""The lease of whoever keeps the books."""
OPEN = (1 << 63) - 1
"""The last of a range whose end nobody knows."""

Part = Literal["serving", "journal"]
"""What a machine does: it serves hits, or only has a journal of its own (an admin's)."""
State = Literal["starting", "serving", "journal", "stopped", "retired"]


class clock(FunctionElement[int]):
    """The database's clock now, in milliseconds since the Unix epoch."""

    type = BigInteger()
    inherit_cache = True


@compiles(clock)
def _clock(_element: Any, _compiler: Any, **_how: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


@compiles(clock, "postgresql")
def _clock_of_postgresql(_element: Any, _compiler: Any, **_how: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(clock, "mysql")
def _clock_of_mysql(_element: Any, _compiler: Any, **_how: Any) -> str:
    return "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"


@dataclass(frozen=True, slots=True)
class Machine:
    """`number`: of the books, what all its live workers know. `url`: where its journal can be fetched, or empty."""

    name: str
    number: int
    seen: int
    url: str
    state: State
    live: bool


class OtherSecret(DataError):
    """The books belong to an instance with another secret."""

    def __init__(self) -> None:
        super().__init__(
            "the books were made under another secret than this data directory; set TUIKE_SECRET to theirs for a new "
            "--data, or choose another --database"
        )


def now(connection: Connection) -> int:
    """The database's clock, ms."""
    return connection.execute(select(clock())).scalar_one()


def check_claim(claimed: str | None, secret_sum: str) -> None:
    """Raises OtherSecret; books that nobody has claimed (None) are anybody's."""
    if claimed not in (None, secret_sum):
        raise OtherSecret


def check_secret(connection: Connection, secret_sum: str) -> None:
    """Raises OtherSecret."""
    check_claim(meta.read(connection, SECRET_KEY), secret_sum)


def claim(connection: Connection, secret_sum: str) -> None:
    """What writes the books says under which secret, once for all. Raises OtherSecret."""
    claimed = meta.read(connection, SECRET_KEY)
    check_claim(claimed, secret_sum)
    if claimed is None:
        meta.write(connection, SECRET_KEY, secret_sum)


# --- who is there ----------------------------------------------------------------------------------


def report(connection: Connection, name: str, number: int, url: str, state: State) -> bool:
    """A machine's sign of life. False: it was retired, and says nothing any more."""
    row = {"number": number, "url": url, "state": state, "seen": now(connection)}
    found = connection.execute(update(edges).where(edges.c.machine == name, edges.c.state != "retired").values(row))
    if found.rowcount:
        return True
    if is_retired(connection, name):
        return False
    connection.execute(insert(edges).values(machine=name, **row))
    return True


def is_retired(connection: Connection, name: str) -> bool:
    return connection.scalar(select(edges.c.state).where(edges.c.machine == name)) == "retired"


def machines(connection: Connection) -> list[Machine]:
    """All that ever said a word, by name."""
    instant = now(connection)
    return [
        Machine(row.machine, row.number, row.seen, row.url, row.state, _lives(row, instant))
        for row in connection.execute(select(edges).order_by(edges.c.machine))
    ]


def reached(connection: Connection) -> int | None:
    """The number of the books that every live edge has; None: there is none."""
    live = (edges.c.state == "serving", edges.c.seen > clock() - LIVE_MS)
    least: int | None = connection.scalar(select(func.min(edges.c.number)).where(*live))
    return least


def _lives(row: Any, instant: int) -> bool:
    return row.state in ("starting", "serving", "journal") and row.seen > instant - LIVE_MS


# --- who is gone -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lost:
    """Events of one incarnation, from the first to the last (OPEN: to an end that nobody knows), that will never come;
    some of them may be in the books."""

    machine: str
    incarnation: str
    first: int
    last: int
    at: int
    note: str


class NotThere(Exception):
    """No machine of this name was ever seen."""


class Lives(Exception):
    """The machine gives signs of life."""


def retire(connection: Connection, name: str, note: str = "") -> list[Lost]:
    """Declares a machine gone for good: its producers that have not ended are lost, and with them what lies above the
    position of each partition. What was declared; nothing the second time. Raises NotThere and Lives."""
    machine = connection.execute(select(edges).where(edges.c.machine == name)).one_or_none()
    if machine is None and not _ever(connection, name):
        raise NotThere
    if machine is not None and _lives(machine, now(connection)):
        raise Lives
    declared = _declare(connection, name, note)
    if machine is None:
        connection.execute(insert(edges).values(machine=name, number=0, seen=0, url="", state="retired"))
    else:
        connection.execute(update(edges).where(edges.c.machine == name).values(state="retired"))
    return declared


def come_back(connection: Connection, name: str, journal: Iterable[tuple[str, int]]) -> list[Lost]:
    """A machine that was retired is there again, and has these in its journal (producers and incarnations), some of
    which nobody may have heard of. What of it may be lost and was not declared yet; nothing the second time."""
    _keep_out_the_bookkeeper(connection)
    instant = now(connection)
    known = set(connection.scalars(select(producers.c.incarnation)))
    for producer, number in journal:
        if (incarnation := f"{number:016x}") not in known:
            row = {"incarnation": incarnation, "producer": producer, "machine": name, "first_seen": instant}
            connection.execute(insert(producers).values(state="away", seq=0, note="", **row))
    return _declare(connection, name, "it came back")


def _declare(connection: Connection, name: str, note: str) -> list[Lost]:
    _keep_out_the_bookkeeper(connection)
    of_it = select(producers).where(producers.c.machine == name, producers.c.state.not_in(("closed", "lost")))
    gone = connection.execute(of_it.order_by(producers.c.first_seen, producers.c.incarnation)).all()
    instant = now(connection)
    declared = [
        Lost(name, row.incarnation, first, OPEN, instant, note)
        for row, first in zip(gone, _firsts(connection, [int(row.incarnation, 16) for row in gone]), strict=True)
    ]
    for row in declared:
        connection.execute(
            insert(lost).values(
                incarnation=row.incarnation, first=row.first, last=row.last, machine=name, at=instant, note=note
            )
        )
    if gone:
        ended = producers.c.incarnation.in_([row.incarnation for row in gone])
        connection.execute(update(producers).where(ended).values(state="lost", note=note))
    return declared


def _keep_out_the_bookkeeper(connection: Connection) -> None:
    """Until this transaction ends: it writes producers too, as it knew them when its own began."""
    connection.execute(select(leases.c.token).where(leases.c.name == BOOKS).with_for_update())


def closed(connection: Connection) -> list[int]:
    """The incarnations that have ended and are wholly applied."""
    ended = select(producers.c.incarnation).where(producers.c.state == "closed")
    return [int(incarnation, 16) for incarnation in connection.scalars(ended)]


def are_known(connection: Connection, incarnations: Iterable[int]) -> bool:
    """Whether the bookkeeper has heard of all of these: it waits for those it knows of, each by itself."""
    names = {f"{incarnation:016x}" for incarnation in incarnations}
    return names <= set(connection.scalars(select(producers.c.incarnation)))


def all_lost(connection: Connection) -> list[Lost]:
    return [
        Lost(row.machine, row.incarnation, row.first, row.last, row.at, row.note)
        for row in connection.execute(select(lost).order_by(lost.c.at, lost.c.incarnation, lost.c.first))
    ]


def _ever(connection: Connection, name: str) -> bool:
    return connection.scalar(select(func.count()).select_from(producers).where(producers.c.machine == name)) != 0


def _firsts(connection: Connection, incarnations: Iterable[int]) -> list[int]:
    """For each incarnation, the first event that some partition has not got."""
    kept = position.read_all(connection)
    return [1 + min((place.upto.get(number, 0) for place in kept), default=0) for number in incarnations]
