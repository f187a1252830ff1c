"""`tuike settle`: files a settlement, and sees it through to its end, whether the instance is running or not.

A run that was killed has either not been asked for or goes on with the next start of whoever keeps the books; running
the command again releases what is left."""

import json
import secrets
import sys
from typing import Any

import click
import msgspec
from sqlalchemy import Connection, func, select

from tuike.clock import wall
from tuike.data import Data
from tuike.stores import engine, schema
from tuike.submission import Submission

PRODUCER = "settle"
ID_RANDOM_BYTES = 10

Body = dict[str, Any]


class Refused(Exception):
    """The books have set the settlement aside; the message is one line."""


def run(data: Data, as_of: int | None, **books: Any) -> Body:
    """Releases what is due at `as_of` (ms), or by now; answers with the settlement as the API shows it. `books` are
    the processor's settings, for where none runs. Raises Refused."""
    with data.needing_room("make room, then settle again"), Submission(data, PRODUCER, **books) as submission:
        now = wall()
        event = (now.to_bytes(6, "big") + secrets.token_bytes(ID_RANDOM_BYTES)).hex()
        request = {"op": "settlement.run", "data": {"as_of": as_of}, "actor": "settle"}
        submission.append([{"kind": "decision", "id": event, "at": now, "body": json.dumps(request).encode()}])
        submission.wait()
        with click.progressbar(length=_due(data, as_of or now), label="settling", file=sys.stderr) as bar:
            submission.follow(lambda connection: _ended(connection, event, bar))
        return _outcome(data, event)


def _due(data: Data, as_of: int) -> int:
    """Orders that wait for their release; 1 at least, so that there is a bar to fill."""
    books = engine.open_reader(data.database)
    try:
        with books.connect() as connection:
            waiting = select(func.count()).select_from(schema.dues).where(schema.dues.c.due <= as_of)
            return max(1, connection.scalar(waiting) or 0)
    finally:
        books.dispose()


def _ended(connection: Connection, event: str, bar: Any) -> bool:
    table = schema.settlements
    released = connection.scalar(select(table.c.released).where(table.c.id == event)) or 0
    bar.update(min(released, bar.length) - bar.pos)
    outcomes = schema.outcomes.c
    ended = connection.scalar(select(outcomes.status).where(outcomes.event_id == event)) != "waiting"
    if ended:
        bar.update(bar.length - bar.pos)
    return ended


def _outcome(data: Data, event: str) -> Body:
    books = engine.open_reader(data.database)
    try:
        with books.connect() as connection:
            row = connection.execute(select(schema.outcomes).where(schema.outcomes.c.event_id == event)).one()
    finally:
        books.dispose()
    result: Body = msgspec.json.decode(row.result)
    if row.status == "set_aside":
        raise Refused(f"{row.code}: {result.get('detail', '')}")
    return result


def text(settlement: Body) -> str:
    """What was released, per currency."""
    lines = [f"{amount['amount']} {amount['currency']} released" for amount in settlement["amounts"]]
    return "\n".join([f"{settlement['released']} orders released as of {settlement['as_of']}", *lines])
