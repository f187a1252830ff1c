"""Posts what was decided: one function for live booking, recovery and replay. It decides nothing."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, select, update

from tuike.books import refused, watched
from tuike.books.ledger import Ledger
from tuike.books.records import Booked, Delta, Effect, Flag, Look, Request, Standing
from tuike.stores import bulk, rollups, schema

LOOKS_PER_SELECT = 10_000
# What stands in an audit row of a body: never these.
SECRETS = ("secret", "hash")
# Too long for a list of rows: its SHA-256 stands there.
LONG = ("poster",)

CONVERSIONS = bulk.replacing(schema.conversions, keep=("id", "merchant", "order_id", "product", "created"))
SHARES = bulk.replacing(schema.shares)
DELETE_SHARES = bulk.Bulk(
    delete(schema.shares).where(
        schema.shares.c.conversion == bindparam("order"), schema.shares.c.position >= bindparam("there")
    ),
    ("order", "there"),
)
RELEASES = bulk.inserting(schema.releases)
LOOKED_AT = bulk.Bulk(
    update(schema.conversions)
    .where(schema.conversions.c.number == bindparam("order"))
    .values(evidence=bindparam("proof")),
    ("proof", "order"),
)
STANDS = bulk.Bulk(
    update(schema.shares)
    .where(schema.shares.c.conversion == bindparam("order"), schema.shares.c.position == bindparam("line"))
    .values(original=bindparam("least"), amount=bindparam("stands")),
    ("least", "stands", "order", "line"),
)
DUES = bulk.missing(schema.dues)
DELETE_DUES = bulk.Bulk(
    delete(schema.dues).where(schema.dues.c.due == bindparam("since"), schema.dues.c.conversion == bindparam("order")),
    ("since", "order"),
)
SALES = bulk.replacing(schema.sales)
TIERS = bulk.missing(schema.tiers)
PATH_ENDS = bulk.missing(schema.path_ends)
BUDGETS = bulk.adding(schema.budgets, "amount")
FUNDING = bulk.adding(schema.funding, "funded", "released")
OUTCOMES = bulk.inserting(schema.outcomes)
OUTCOMES_AGAIN = bulk.replacing(schema.outcomes, keep=("kind",))
AUDIT = bulk.inserting(schema.audit)
KEYS = bulk.missing(schema.idempotency)
PAYOUTS = bulk.replacing(schema.payouts)
SETTLEMENTS = bulk.replacing(schema.settlements)
CONTESTS = bulk.replacing(schema.contests, keep=("number", "created"))
CLOSINGS = bulk.inserting(schema.closings)
DAYS = bulk.inserting(schema.days)
WAITING = bulk.inserting(schema.waiting)
FLAGS = bulk.replacing(schema.fraud_flags)
PURCHASES = bulk.missing(schema.promoter_purchases)
BAD_TOUCHES = bulk.missing(schema.bad_touches)
DELETE_WAITING = bulk.Bulk(delete(schema.waiting).where(schema.waiting.c.event_id == bindparam("event")), ("event",))


def post(connection: Connection, ledger: Ledger, booked: Sequence[Booked]) -> None:
    """Writes the effects of `booked`, in the order of the books; their transfers were moved before."""
    effects = [record.effect for record in booked if record.effect is not None]
    ledger.write(connection, [transfer for effect in effects for transfer in effect.transfers])
    watched.add_outcomes(connection, booked)
    OUTCOMES.run(connection, [_outcome(record) for record in booked if record.outcome and not record.again])
    OUTCOMES_AGAIN.run(connection, [_outcome(record) for record in booked if record.outcome and record.again])
    _post_standings(connection, effects, {record.number for record in booked})
    _post_sums(connection, effects)
    _post_steps(connection, booked)
    _post_fraud(connection, effects)
    requests = [(record, record.request) for record in booked if record.request is not None]
    AUDIT.run(connection, [_audit(record, asked) for record, asked in requests if record.target])
    KEYS.run(connection, [_key(record, asked) for record, asked in requests if asked.idem is not None])


def idempotency_key(request: Request) -> str:
    """Keys are each actor's own; an actor's name has no space."""
    return f"{request.actor} {request.idem}"


def _key(record: Booked, request: Request) -> bulk.Row:
    return idempotency_key(request), request.fingerprint or "", record.event


def _outcome(record: Booked) -> bulk.Row:
    outcome = record.outcome
    assert outcome is not None
    result = msgspec.json.encode(outcome.result).decode()
    return record.event, record.number, record.kind, outcome.status, outcome.code, outcome.http, result


def _post_standings(connection: Connection, effects: Sequence[Effect], fresh: set[int]) -> None:
    """`fresh` are the numbers that are posted now: an order with one of them has no lines yet."""
    last: dict[int, Standing] = {}
    looks: dict[int, Look] = {}
    released: list[bulk.Row] = []
    dues: list[bulk.Row] = []
    for effect in effects:
        if effect.standing is not None:
            after = effect.standing.conversion
            last[after.number] = effect.standing
            looks.pop(after.number, None)
            about = after.merchant, after.product, after.currency, after.rule_version
            dues += [(*due, *about) for due in effect.due]
        looks.update((look.number, look) for look in effect.looked_at)
        released += effect.released
    watched.add_levels(connection, fresh, last, looks)
    CONVERSIONS.run(connection, [_conversion(standing) for standing in last.values()])
    DELETE_SHARES.run(
        connection, [(number, len(standing.shares)) for number, standing in last.items() if number not in fresh]
    )
    SHARES.run(
        connection,
        [
            (number, position, *msgspec.structs.astuple(share))
            for number, standing in last.items()
            for position, share in enumerate(standing.shares)
        ],
    )
    RELEASES.run(connection, released)
    _post_looks(connection, list(looks.values()))
    DUES.run(connection, dues)
    DELETE_DUES.run(connection, [row for effect in effects for row in effect.settled])


def _post_looks(connection: Connection, looks: Sequence[Look]) -> None:
    for start in range(0, len(looks), LOOKS_PER_SELECT):
        some = {look.number: look for look in looks[start : start + LOOKS_PER_SELECT]}
        columns = schema.conversions.c
        kept = connection.execute(select(columns.number, columns.evidence).where(columns.number.in_(some))).all()
        rows = []
        for number, evidence in kept:
            proof = msgspec.json.decode(evidence) | {"second_look": some[number].second_look}
            rows.append((msgspec.json.encode(proof).decode(), number))
        LOOKED_AT.run(connection, rows)
    stands = [(look.number, zip(look.second_look["originals"], look.amounts, strict=True)) for look in looks]
    STANDS.run(connection, [(*pair, number, line) for number, lines in stands for line, pair in enumerate(lines)])


def _conversion(standing: Standing) -> bulk.Row:
    columns = msgspec.structs.astuple(standing.conversion)[:-2]
    return *columns, msgspec.json.encode(standing.conversion.evidence).decode()


def _post_sums(connection: Connection, effects: Sequence[Effect]) -> None:
    SALES.run(
        connection,
        [msgspec.structs.astuple(sale)[:-1] for effect in effects for sale in effect.sales],
    )
    TIERS.run(connection, [msgspec.structs.astuple(tier) for effect in effects for tier in effect.tiers])
    BUDGETS.run(connection, [msgspec.structs.astuple(spent) for effect in effects for spent in effect.spent])
    PATH_ENDS.run(connection, [msgspec.structs.astuple(end) for effect in effects for end in effect.path_ends])
    FUNDING.run(connection, [msgspec.structs.astuple(change) for effect in effects for change in effect.funding])
    rollups.add_orders(connection, _summed(delta for effect in effects for delta in effect.deltas))


def _post_steps(connection: Connection, booked: Sequence[Booked]) -> None:
    """What few records have: payouts, settlements, days, refunds that wait or no longer do."""
    for record in booked:
        effect = record.effect
        if record.message is not None or record.again or effect is not None:
            refused.post(connection, record)
        if record.again:
            DELETE_WAITING.run(connection, [(record.event,)])
        if effect is None:
            continue
        if effect.payout is not None:
            *columns, detail = msgspec.structs.astuple(effect.payout)
            PAYOUTS.run(connection, [(*columns, msgspec.json.encode(detail).decode())])
        if effect.contest is not None:
            *columns, prizes, winners = msgspec.structs.astuple(effect.contest)
            texts = [msgspec.json.encode(list(of)).decode() for of in (prizes, winners)]
            CONTESTS.run(connection, [(*columns, *texts)])
        if effect.settlement is not None:
            *columns, amounts = msgspec.structs.astuple(effect.settlement)
            SETTLEMENTS.run(connection, [(*columns, msgspec.json.encode(amounts).decode())])
        if effect.closing is not None:
            CLOSINGS.run(connection, [msgspec.structs.astuple(effect.closing)])
        if effect.day is not None:
            DAYS.run(connection, [msgspec.structs.astuple(effect.day)])
        if effect.waiting is not None:
            waits = effect.waiting
            message = msgspec.json.encode(waits.message).decode()
            WAITING.run(connection, [(waits.conversion, waits.message.id, waits.number, message)])


def _post_fraud(connection: Connection, effects: Sequence[Effect]) -> None:
    last = {flag.number: flag for effect in effects for flag in effect.flags}
    FLAGS.run(connection, [_flag(flag) for flag in last.values()])
    PURCHASES.run(connection, [msgspec.structs.astuple(made) for effect in effects for made in effect.purchases])
    BAD_TOUCHES.run(connection, [touch for effect in effects for touch in effect.bad_touches])


def _flag(flag: Flag) -> bulk.Row:
    row = msgspec.structs.asdict(flag) | {"evidence": msgspec.json.encode(flag.evidence).decode()}
    return tuple([row[name] for name in FLAGS.names])


def _summed(deltas: Iterable[Delta]) -> list[bulk.Row]:
    sums: dict[tuple[Any, ...], list[int]] = {}
    for delta in deltas:
        key = msgspec.structs.astuple(delta)[:-3]
        line = sums.get(key)
        if line is None:
            line = sums[key] = [0, 0, 0]
        line[0] += delta.conversions
        line[1] += delta.sales
        line[2] += delta.commission
    return [(*key, *line) for key, line in sums.items()]


def _audit(record: Booked, request: Request) -> bulk.Row:
    detail = {name: value for name, value in request.data.items() if name not in SECRETS}
    for name in LONG:
        if detail.get(name) is not None:
            detail[name] = "sha256:" + hashlib.sha256(detail[name].encode()).hexdigest()
    text = json.dumps(detail, ensure_ascii=False)
    return record.number, record.at, request.actor, request.op, record.target, text
