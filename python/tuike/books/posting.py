"""Posts what was decided: one function for live booking, recovery and replay. It decides nothing."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete
from sqlalchemy.dialects.sqlite import insert

from tuike.books.ledger import Ledger
from tuike.books.records import Booked, Delta, Request, Standing
from tuike.stores import schema

# What stands in an audit row of a body: never these.
SECRETS = ("secret", "hash")

_conversion = insert(schema.conversions)
UPSERT_CONVERSION = _conversion.on_conflict_do_update(
    index_elements=["id"],
    set_={
        column.name: _conversion.excluded[column.name]
        for column in schema.conversions.columns
        if column.name not in ("id", "number")
    },
)
DELETE_SHARES = delete(schema.shares).where(schema.shares.c.conversion == bindparam("id"))
SUMS = ("conversions", "sales", "commission")
_rollup = insert(schema.order_rollups)
UPSERT_ROLLUP = _rollup.on_conflict_do_update(
    index_elements=[column.name for column in schema.order_rollups.primary_key.columns],
    set_={name: schema.order_rollups.c[name] + _rollup.excluded[name] for name in SUMS},
)
INSERT_KEY = insert(schema.idempotency).on_conflict_do_nothing()


def post(connection: Connection, ledger: Ledger, booked: Sequence[Booked]) -> None:
    """Writes the effects of `booked`, in the order of the books."""
    ledger.post(connection, [transfer for record in booked for transfer in record.transfers])
    _write(connection, schema.outcomes.insert(), [_outcome(record) for record in booked])
    _post_standings(connection, [record.standing for record in booked if record.standing is not None])
    _write(connection, UPSERT_ROLLUP, _summed(delta for record in booked for delta in record.deltas))
    requests = [(record, record.request) for record in booked if record.request is not None]
    _write(connection, schema.audit.insert(), [_audit(record, asked) for record, asked in requests if record.target])
    _write(connection, INSERT_KEY, [_key(record, asked) for record, asked in requests if asked.idem is not None])


def idempotency_key(request: Request) -> str:
    """Keys are each actor's own."""
    return f"{request.actor}\0{request.idem}"


def _key(record: Booked, request: Request) -> dict[str, Any]:
    return {
        "key": idempotency_key(request),
        "fingerprint": request.fingerprint or "",
        "event_id": record.event,
    }


def _write(connection: Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)


def _outcome(record: Booked) -> dict[str, Any]:
    assert record.outcome is not None
    return {
        "event_id": record.event,
        "number": record.number,
        "kind": record.kind,
        "status": record.outcome.status,
        "code": record.outcome.code,
        "http": record.outcome.http,
        "result": json.dumps(record.outcome.result, ensure_ascii=False),
    }


def _post_standings(connection: Connection, standings: Iterable[Standing]) -> None:
    last = {standing.conversion.id: standing for standing in standings}
    rows = [
        msgspec.structs.asdict(standing.conversion)
        | {"evidence": msgspec.json.encode(standing.conversion.evidence).decode()}
        for standing in last.values()
    ]
    _write(connection, UPSERT_CONVERSION, rows)
    _write(connection, DELETE_SHARES, [{"id": id} for id in last])
    shares = [
        {"conversion": id, "position": position} | msgspec.structs.asdict(share)
        for id, standing in last.items()
        for position, share in enumerate(standing.shares)
    ]
    _write(connection, schema.shares.insert(), shares)


def _summed(deltas: Iterable[Delta]) -> list[dict[str, Any]]:
    sums: dict[tuple[Any, ...], list[int]] = {}
    for delta in deltas:
        *key, conversions, sales, commission = msgspec.structs.astuple(delta)
        line = sums.setdefault(tuple(key), [0, 0, 0])
        line[0] += conversions
        line[1] += sales
        line[2] += commission
    names = Delta.__struct_fields__
    return [dict(zip(names, (*key, *line), strict=True)) for key, line in sums.items()]


def _audit(record: Booked, request: Request) -> dict[str, Any]:
    detail = {name: value for name, value in request.data.items() if name not in SECRETS}
    return {
        "number": record.number,
        "at": record.at,
        "actor": request.actor,
        "action": request.op,
        "target": record.target,
        "detail": json.dumps(detail, ensure_ascii=False),
    }
