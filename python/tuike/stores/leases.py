"""Leases: who works on a partition, or keeps the books, where several could.

A lease saves work and proves nothing: its holder may have been paused past its end. What proves is its token, which
grows with each new holder: `hold` in the transaction of the work, and the position that is moved under it."""

import os
import secrets
import socket
from collections.abc import Mapping

from sqlalchemy import Connection, or_, select, text, update

from tuike.stores import engine
from tuike.stores.bulk import missing
from tuike.stores.position import PositionMoved
from tuike.stores.schema import leases

STALLED_S = 5
"""A client that has been sending one statement for so long has stopped."""

COPYING = "COPY {table} FROM STDIN (FORMAT BINARY)"
"""How touches are sent to PostgreSQL."""

_ROWS = missing(leases)
_END_STALLED = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE usename = current_user AND datname = current_database() AND wait_event = 'ClientRead' AND ("
    # a copy is read from its client for as long as it takes: somebody restores a backup; but not one of a folder's
    "state = 'active' AND (query NOT ILIKE 'COPY %' OR query LIKE :ours) "
    "AND state_change < clock_timestamp() - :stalled * interval '1 s' "
    # after a pipeline of the driver's, the server does not end it by itself
    "OR state LIKE 'idle in transaction%' AND application_name = :writer "
    "AND state_change < clock_timestamp() - :idle * interval '1 s')"
)


def new_holder() -> str:
    """A name that no other process has or will have."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"


def end_stalled(connection: Connection) -> None:
    """Ends sessions whose client has stopped in mid-transaction, as a process that is paused, and that PostgreSQL's own
    timeouts do not reach: in the midst of sending a statement, or after a pipeline of psycopg's (seen with PostgreSQL
    15). They hold the rows of their leases. The timeouts of MySQL and MariaDB reach all of them."""
    if connection.dialect.name == "postgresql":
        ours, writer = COPYING.format(table="%"), engine.WRITER
        given = {"stalled": STALLED_S, "ours": ours, "idle": engine.IDLE_S, "writer": writer}
        connection.execute(_END_STALLED, given)


def claim(connection: Connection, name: str, holder: str, now: int, ttl: int, *, wait: bool = True) -> int | None:
    """Takes a lease that nobody holds at `now` for `ttl` (both ms): its token. The one who has it gets it again, with
    the token that it had; None: another has it. `holder` is one process's, never used again. `wait`: for another's
    transaction that has it; without, and on PostgreSQL, it is the other's for as long."""
    if not wait and connection.dialect.name == "postgresql":
        there = select(leases.c.name).where(leases.c.name == name)
        # first: an insertion of what is there already waits too
        if connection.scalar(there.with_for_update(skip_locked=True)) is None and connection.scalar(there) is not None:
            return None
    _ROWS.run(connection, [(name, "", 0, 0)])
    mine = (leases.c.name == name, leases.c.holder == holder)
    if connection.execute(update(leases).where(*mine).values(until=now + ttl)).rowcount != 1:
        free = or_(leases.c.until <= now, leases.c.holder == "")
        taken = {"holder": holder, "token": leases.c.token + 1, "until": now + ttl}
        if connection.execute(update(leases).where(leases.c.name == name, free).values(taken)).rowcount != 1:
            return None
    token: int = connection.execute(select(leases.c.token).where(*mine)).scalar_one()
    return token


def renew(connection: Connection, name: str, token: int, now: int, ttl: int) -> bool:
    """Whether it was still this holder's, late or not; nobody else takes it before the transaction ends."""
    mine = (leases.c.name == name, leases.c.token == token, leases.c.holder != "")
    return connection.execute(update(leases).where(*mine).values(until=now + ttl)).rowcount == 1


def hold(connection: Connection, name: str, token: int, now: int, ttl: int) -> None:
    """As `renew`, first in the transaction of the work. Raises PositionMoved, and the caller's transaction ends."""
    if not renew(connection, name, token, now, ttl):
        raise PositionMoved(f"lease {name!r} is no longer held under token {token}")


def renew_all(connection: Connection, held: Mapping[str, int], now: int, ttl: int) -> set[str]:
    """As `renew`, of several by their names and tokens at once: those that were still this holder's."""
    mine = _still(connection, held)
    if mine:
        connection.execute(update(leases).where(leases.c.name.in_(sorted(mine))).values(until=now + ttl))
    return mine


def hold_all(connection: Connection, held: Mapping[str, int]) -> None:
    """Of several, by their names and tokens, in the transaction of the work: nobody else takes them before it ends; how
    long they last stays as it was. Raises PositionMoved."""
    mine = _still(connection, held)
    for name, token in held.items():
        if name not in mine:
            raise PositionMoved(f"lease {name!r} is no longer held under token {token}")


def _still(connection: Connection, held: Mapping[str, int]) -> set[str]:
    """Those that are held under these tokens; nobody else takes them before the transaction ends."""
    rows = select(leases.c.name, leases.c.token, leases.c.holder).where(leases.c.name.in_(held)).order_by(leases.c.name)
    found = connection.execute(rows.with_for_update())
    return {row.name for row in found if row.holder and row.token == held[row.name]}


def release(connection: Connection, name: str, token: int) -> None:
    """Gives it back, so that the next need not wait for its end."""
    mine = (leases.c.name == name, leases.c.token == token)
    connection.execute(update(leases).where(*mine).values(holder="", until=0))


def holders(connection: Connection, now: int) -> Mapping[str, str]:
    """Who holds what at `now`: holders by the leases' names."""
    live = select(leases.c.name, leases.c.holder).where(leases.c.until > now, leases.c.holder != "")
    return {row.name: row.holder for row in connection.execute(live)}
