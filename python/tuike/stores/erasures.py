"""Erasures under way: what stands of a person in SQL is written again under one fresh random id (as in
core_rs/src/erasure.rs).

`waiting` until all that was received before it is in the books; then tables and touches are rewritten in one
transaction, and from there on whoever reads the books' journal reads it as rewritten (`under_way`), until each machine
has written its segments again (`journals`) and nothing is left that says who it was (`done`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, ScalarSelect, Table, bindparam, func, insert, select, update

from tuike import _core
from tuike.stores.bulk import Bulk, stream
from tuike.stores.schema import (
    booked,
    conversions,
    erasure_journals,
    erasures,
    fraud_flags,
    outcomes,
    path_ends,
    refused,
    waiting,
)

WAITING, JOURNALS, DONE = "waiting", "journals", "done"
ROWS_PER_UPDATE = 1_000

Pending = dict[str, list[int]]
"""Of a machine's journal: producer/incarnation -> indexes of segments."""
ARCHIVE = "archive"
"""How the archive is named among the journals that are pending: as if it had one segment."""

EVIDENCE = Bulk(
    update(conversions).where(conversions.c.number == bindparam("which")).values(evidence=bindparam("proof")),
    ("proof", "which"),
)
SHOWN = Bulk(
    update(fraud_flags).where(fraud_flags.c.number == bindparam("which")).values(evidence=bindparam("shown")),
    ("shown", "which"),
)
ANSWERED = Bulk(
    update(outcomes).where(outcomes.c.event_id == bindparam("which")).values(result=bindparam("said")),
    ("said", "which"),
)
BOOKED = Bulk(
    update(booked).where(booked.c.number == bindparam("which")).values(record=bindparam("said")), ("said", "which")
)


def ask(connection: Connection, id: str, number: int, at: int, *, visitor: str, merchant: str, cust: str) -> None:
    """Notes who is to be forgotten: a visitor, or a merchant's customer."""
    kind = "visitor" if visitor else "customer"
    row = {"id": id, "number": number, "kind": kind, "merchant": "" if visitor else merchant, "at": at}
    row |= {"subject": visitor or cust, "fresh": "", "state": WAITING, "upto": 0, "touches": 0, "orders": 0, "done": 0}
    connection.execute(insert(erasures).values(row))


def in_state(connection: Connection, state: str) -> Sequence[Row[Any]]:
    """Those in this state, the first of them first."""
    return connection.execute(select(erasures).where(erasures.c.state == state).order_by(erasures.c.number)).all()


def count_in(state: str) -> ScalarSelect[int]:
    """How many are in this state, as part of another statement."""
    return select(func.count()).where(erasures.c.state == state).scalar_subquery()


def of(rows: Sequence[Row[Any]], upto: int | None = None) -> _core.Erasure:
    """What rewrites what stands about these; `upto` is the books' number now, for those whose tables come only now."""
    return _core.Erasure(
        [(row.kind, row.merchant, row.subject, row.at, row.upto if upto is None else upto, row.fresh) for row in rows]
    )


def under_way(connection: Connection) -> _core.Erasure | None:
    """How the journal is read while segments of it are not written again yet."""
    rows = in_state(connection, JOURNALS)
    return of(rows) if rows else None


def give_ids(connection: Connection, random: dict[str, str]) -> None:
    """Fresh ids (hex) by erasure: committed before anything is written under them."""
    for id, fresh in random.items():
        connection.execute(update(erasures).where(erasures.c.id == id).values(fresh=fresh))


def rewrite_tables(connection: Connection, row: Row[Any], upto: int) -> int:
    """Orders' evidence and flags, where paths ended, refunds that wait, postbacks that did not count and, on several
    machines, what was booked up to the books' number `upto`; how many orders there were. It reads all orders (of the
    merchant)."""
    erasure = of([row], upto)
    asked = select(conversions.c.number, conversions.c.merchant, conversions.c.evidence)
    if row.merchant:
        asked = asked.where(conversions.c.merchant == row.merchant)
    proofs: list[tuple[str, int]] = []
    own: list[tuple[int, str]] = []
    orders: dict[int, tuple[str, str]] = {}
    for number, merchant, evidence in stream(connection, asked):
        proof = erasure.rewrite_text(merchant, evidence)
        if proof is not None:
            proofs.append((proof, number))
            own += [(number, visitor) for visitor in _visitors(evidence)]
            orders[number] = merchant, evidence
    for start in range(0, len(proofs), ROWS_PER_UPDATE):
        EVIDENCE.run(connection, proofs[start : start + ROWS_PER_UPDATE])
    _rewrite_flags(connection, erasure, orders)
    _rewrite_path_ends(connection, erasure, row, own)
    _rewrite_messages(connection, erasure, waiting)
    _rewrite_messages(connection, erasure, refused)
    _rewrite_booked(connection, erasure, upto)
    return len(proofs)


def _rewrite_flags(connection: Connection, erasure: _core.Erasure, orders: Mapping[int, tuple[str, str]]) -> None:
    """What flags of a person's orders (number -> merchant, evidence) show, and what their decisions were answered. No
    flag says whose order it is about: each is rewritten behind its order's evidence, as it stands in booked records."""

    def behind(order: int, text: str) -> str:
        merchant, evidence = orders[order]
        whole = erasure.rewrite_text(merchant, evidence + text)
        return text if whole is None else whole.encode()[len(evidence.encode()) :].decode()

    of_flag: dict[str, int] = {}
    numbers = sorted(orders)
    columns = (fraud_flags.c.id, fraud_flags.c.number, fraud_flags.c.conversion, fraud_flags.c.evidence)
    for start in range(0, len(numbers), ROWS_PER_UPDATE):
        asked = select(*columns).where(fraud_flags.c.conversion.in_(numbers[start : start + ROWS_PER_UPDATE]))
        found = connection.execute(asked).all()
        of_flag |= {flag.id: flag.conversion for flag in found}
        SHOWN.run(connection, [(behind(flag.conversion, flag.evidence), flag.number) for flag in found])
    if of_flag:
        asked = select(outcomes.c.event_id, outcomes.c.result).where(outcomes.c.result.contains('"evidence":'))
        answers = [(id, result, msgspec.json.decode(result)) for id, result in stream(connection, asked)]
        mine = [(id, result, of_flag[said["id"]]) for id, result, said in answers if said.get("id") in of_flag]
        ANSWERED.run(connection, [(behind(order, result), id) for id, result, order in mine])


def _visitors(evidence: str) -> set[str]:
    """Whose order it is."""
    said = msgspec.json.decode(evidence)
    return {said.get("visitor", ""), said.get("identifiers", {}).get("visitor", "")} - {""}


def _rewrite_path_ends(
    connection: Connection, erasure: _core.Erasure, row: Row[Any], own: Sequence[tuple[int, str]]
) -> None:
    fresh = erasure.fresh[0]
    ends = update(path_ends).values(visitor=fresh)
    if row.kind == "visitor":
        connection.execute(ends.where(path_ends.c.visitor == row.subject))
    for number, visitor in own:
        connection.execute(ends.where(path_ends.c.conversion == number, path_ends.c.visitor == visitor))


def _rewrite_messages(connection: Connection, erasure: _core.Erasure, table: Table) -> None:
    for kept in connection.execute(select(*table.primary_key.columns, table.c.message)).all():
        merchant = msgspec.json.decode(kept.message)["merchant"]
        message = erasure.rewrite_text(merchant, kept.message)
        if message is not None:
            where = [column == kept._mapping[column.name] for column in table.primary_key.columns]
            connection.execute(update(table).where(*where).values(message=message))


def _rewrite_booked(connection: Connection, erasure: _core.Erasure, upto: int) -> None:
    asked = select(booked.c.number, booked.c.record).where(booked.c.number <= upto)
    said: list[tuple[bytes, int]] = []
    for number, record in stream(connection, asked):
        text = erasure.rewrite_booked(bytes(record).decode())
        if text is not None:
            said.append((text.encode(), number))
    for start in range(0, len(said), ROWS_PER_UPDATE):
        BOOKED.run(connection, said[start : start + ROWS_PER_UPDATE])


def tables_done(connection: Connection, id: str, upto: int, touches: int, orders: int) -> None:
    values = {"state": JOURNALS, "upto": upto, "touches": touches, "orders": orders}
    connection.execute(update(erasures).where(erasures.c.id == id).values(values))


# --- journals --------------------------------------------------------------------------------------


def journal_pending(connection: Connection, id: str, machine: str) -> Pending | None:
    """What this machine has still to write again; None: it has not looked yet."""
    where = (erasure_journals.c.id == id, erasure_journals.c.machine == machine)
    kept = connection.scalar(select(erasure_journals.c.pending).where(*where))
    return None if kept is None else msgspec.json.decode(kept, type=Pending)


def keep_pending(connection: Connection, id: str, machine: str, pending: Pending) -> None:
    text = msgspec.json.encode(pending).decode()
    where = (erasure_journals.c.id == id, erasure_journals.c.machine == machine)
    if not connection.execute(update(erasure_journals).where(*where).values(pending=text)).rowcount:
        connection.execute(insert(erasure_journals).values(id=id, machine=machine, pending=text))


def end(connection: Connection, machines: Sequence[str], now: int) -> int:
    """Ends those that all these machines have done, and forgets who they were; how many."""
    ended = 0
    for row in in_state(connection, JOURNALS):
        left = [journal_pending(connection, row.id, machine) for machine in machines]
        if all(pending == {} for pending in left):
            values = {"state": DONE, "subject": "", "fresh": "", "done": now}
            connection.execute(update(erasures).where(erasures.c.id == row.id).values(values))
            ended += 1
    return ended


def archives_pending(connection: Connection) -> list[str]:
    """Machines whose archive an erasure has still to reach."""
    asked = select(erasure_journals.c.machine, erasure_journals.c.pending)
    under_way = asked.join(erasures, erasures.c.id == erasure_journals.c.id).where(erasures.c.state == JOURNALS)
    return sorted({row.machine for row in connection.execute(under_way) if ARCHIVE in msgspec.json.decode(row.pending)})


def states(connection: Connection) -> dict[str, str]:
    """Of every erasure, by its id."""
    return {row.id: row.state for row in connection.execute(select(erasures.c.id, erasures.c.state))}


def counts(connection: Connection) -> dict[str, int]:
    """How many there are in each state."""
    grouped = select(erasures.c.state, func.count()).group_by(erasures.c.state)
    return {row[0]: row[1] for row in connection.execute(grouped)}
