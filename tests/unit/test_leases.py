"""Leases on each engine: one holder at a time, tokens that grow, and holders that were paused."""

import os
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import URL, Engine, func, insert, select
from sqlalchemy.exc import DBAPIError

from tuike.stores import engine, leases, position, schema
from tuike.stores.position import PositionMoved
from waiting import until

NAME = "partition-07"
TTL = 5_000
START = 1_760_000_000_000


def claim(writer: Engine, holder: str, now: int) -> int | None:
    with writer.begin() as connection:
        return leases.claim(connection, NAME, holder, now, TTL)


def taken_over(writer: Engine) -> bool:
    """Whether another has what `a` had, who is paused in mid-transaction."""
    with writer.begin() as connection:
        leases.end_stalled(connection)
        return leases.claim(connection, NAME, "b", START + TTL, TTL, wait=False) == 2


@pytest.fixture
def impatient(database: URL, writer: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A writer that loses its transaction when nothing was heard of it for a second; `a` has the lease."""
    if database.get_backend_name() == "sqlite":
        pytest.skip("one process holds the data directory's lock")
    monkeypatch.setattr(engine, "IDLE_S", 1)
    monkeypatch.setattr(leases, "STALLED_S", 1)
    other = engine.open_writer(database)
    assert claim(writer, "a", START) == 1
    yield other
    other.dispose()


def test_one_holds_it_and_the_next_has_a_greater_token(writer: Engine) -> None:
    assert claim(writer, "a", START) == 1
    assert claim(writer, "b", START + TTL - 1) is None
    assert claim(writer, "b", START + TTL) == 2
    assert claim(writer, "a", START + TTL) is None


def test_who_has_it_gets_it_again_under_the_same_token(writer: Engine) -> None:
    assert [claim(writer, "a", START), claim(writer, "a", START + 9)] == [1, 1]
    assert claim(writer, "b", START + TTL) is None


def test_what_is_renewed_lasts_and_what_is_lost_is_not_renewed(writer: Engine) -> None:
    claim(writer, "a", START)
    with writer.begin() as connection:
        # late, but nobody else has come
        assert leases.renew(connection, NAME, 1, START + 2 * TTL, TTL)
    assert claim(writer, "b", START + 3 * TTL - 1) is None
    assert claim(writer, "b", START + 3 * TTL) == 2
    with writer.begin() as connection:
        assert not leases.renew(connection, NAME, 1, START + 3 * TTL, TTL)


def test_of_many_those_that_are_still_held_are_renewed(writer: Engine) -> None:
    with writer.begin() as connection:
        tokens = {name: leases.claim(connection, name, "a", START, TTL) for name in ("x", "y", "z")}
        assert leases.claim(connection, "y", "b", START + TTL, TTL) == 2
        leases.release(connection, "z", 1)
    held = {name: token for name, token in tokens.items() if token is not None}
    with writer.begin() as connection:
        assert leases.renew_all(connection, held, START + 2 * TTL, TTL) == {"x"}
        assert leases.renew_all(connection, {}, START, TTL) == set()
        assert leases.holders(connection, START + 3 * TTL - 1) == {"x": "a"}


def test_what_is_given_back_is_free_at_once(writer: Engine) -> None:
    claim(writer, "a", START)
    with writer.begin() as connection:
        leases.release(connection, NAME, 1)
        assert not leases.renew(connection, NAME, 1, START, TTL)
        assert leases.holders(connection, START) == {}
    assert claim(writer, "b", START) == 2
    with writer.begin() as connection:
        leases.release(connection, NAME, 1)  # of one who lost it: nothing
        assert leases.holders(connection, START) == {NAME: "b"}
        assert leases.holders(connection, START + TTL) == {}


def test_of_many_that_claim_at_once_one_has_it(writer: Engine, database: URL) -> None:
    claimants = [engine.open_writer(database) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        tokens = list(pool.map(lambda index: claim(claimants[index], f"h{index}", START), range(4)))
    assert sorted(tokens, key=str) == [1, None, None, None]
    for claimant in claimants:
        claimant.dispose()


def test_a_holder_that_wakes_up_between_transactions_changes_nothing(writer: Engine) -> None:
    claim(writer, "a", START)
    with writer.begin() as connection:
        leases.hold(connection, NAME, 1, START, TTL)
        seen = position.advance(connection, position.read(connection, "hits", 7), {1: 5}, token=1)
    assert claim(writer, "b", START + TTL) == 2
    with writer.begin() as connection:
        leases.hold(connection, NAME, 2, START + TTL, TTL)
        position.advance(connection, position.read(connection, "hits", 7), {1: 9}, token=2)
    with pytest.raises(PositionMoved, match="no longer held under token 1"), writer.begin() as connection:
        connection.execute(insert(schema.meta).values(key="late", value=""))
        leases.hold(connection, NAME, 1, START + TTL, TTL)
    with pytest.raises(PositionMoved, match="position 'hits' of partition 7"), writer.begin() as connection:
        connection.execute(insert(schema.meta).values(key="late", value=""))
        position.advance(connection, seen, {1: 6}, token=1)
    with writer.begin() as connection:
        assert position.read(connection, "hits", 7).upto == {1: 9}
        assert connection.scalar(select(func.count()).select_from(schema.meta)) == 0


@pytest.mark.parametrize("written", [True, False], ids=["after a write", "before one"])
def test_a_holder_paused_in_mid_transaction_loses_it(writer: Engine, impatient: Engine, written: bool) -> None:
    """Its server rolls it back, so that its locks keep nobody waiting."""
    began = time.monotonic()
    with pytest.raises(DBAPIError) as lost, impatient.begin() as connection:
        leases.hold_all(connection, {NAME: 1})
        if written:
            connection.execute(insert(schema.meta).values(key="late", value=""))
        assert claim(writer, "b", START + TTL) == 2  # waits for the server to give it up
        connection.execute(insert(schema.meta).values(key="later", value=""))
    assert engine.is_away(lost.value)
    assert time.monotonic() - began < engine.LOCK_S
    with writer.begin() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.meta)) == 0


def test_what_another_transaction_has_is_another_s_and_not_waited_for(writer: Engine) -> None:
    if writer.dialect.name != "postgresql":
        pytest.skip("elsewhere it is waited for: the server ends one that stalls")
    assert claim(writer, "a", START) == 1
    with writer.begin() as busy:
        leases.hold(busy, NAME, 1, START, TTL)
        with writer.begin() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = 200")
            assert leases.claim(connection, NAME, "b", START + TTL, TTL, wait=False) is None
    with writer.begin() as connection:
        assert leases.claim(connection, NAME, "b", START + TTL, TTL, wait=False) == 2


@pytest.mark.parametrize("what", ["statement", "result"])
def test_a_holder_paused_while_it_sends_or_reads_loses_it(writer: Engine, impatient: Engine, what: str) -> None:
    """What its server sends or waits for does not come through, in mid-statement."""
    paused = impatient.connect()
    leases.hold_all(paused, {NAME: 1})
    _stop_halfway(paused.connection.dbapi_connection, what)
    until(lambda: taken_over(writer), "another has what the paused one had", engine.LOCK_S)
    paused.invalidate()
    paused.close()


COM_QUERY = 3


def _stop_halfway(driver: Any, what: str) -> None:
    """Begins to send a statement, or asks for more than sockets hold, and reads nothing of it."""
    postgresql = hasattr(driver, "pgconn")
    if what == "result" and postgresql:
        driver.pgconn.send_query(b"SELECT repeat('x', 100000000)")
        driver.pgconn.flush()
    elif what == "result":
        driver._execute_command(COM_QUERY, "SELECT repeat('x', 15000000)")
    elif postgresql:
        parse, bind = b"\0SELECT 1\0\0\0", struct.pack("!I", 1 << 20) + b"\0\0"  # the rest of it never comes
        os.write(driver.pgconn.socket, b"P" + struct.pack("!I", len(parse) + 4) + parse + b"B" + bind)
    else:
        driver._sock.send(struct.pack("<I", 1 << 20)[:3] + b"\0\3SELECT")  # a length of which the rest never comes


@pytest.mark.parametrize("what", ["touches", "several statements"])
def test_who_was_paused_in_mid_transaction_holds_up_nobody_for_long(
    writer: Engine, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if writer.dialect.name != "postgresql":
        pytest.skip("its own timeouts end such a session")
    monkeypatch.setattr(leases, "STALLED_S", 1)
    monkeypatch.setattr(engine, "IDLE_S", 1)
    assert claim(writer, "a", START) == 1
    paused = writer.connect()
    paused.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")  # the server's never comes
    leases.hold(paused, NAME, 1, START, TTL)
    driver: Any = paused.connection.dbapi_connection
    if what == "touches":
        table = "touches_20261129"
        paused.exec_driver_sql(f"CREATE TABLE {table} (entry bytea, record bytea)")
        driver.pgconn.exec_(leases.COPYING.format(table=table).encode())  # whose rows never come
    else:
        driver.cursor().executemany("SELECT %s", [(1,), (2,)])  # and nothing after them

    until(lambda: taken_over(writer), "another has what the paused one had")
    paused.invalidate()
    paused.close()
