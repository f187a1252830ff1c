"""Postbacks that did not count: what edges refused of merchants' authentic ones, and what the books set aside.

Each stands in one list of its merchant's with its reason, until it is dismissed or replayed with another end. The list
is a fold of the booked records, so it is written and bounded record by record: whoever posts them again in other
portions comes to the same.
"""

import msgspec
from sqlalchemy import Connection, delete, select

from tuike import _core
from tuike.books import trackers
from tuike.books.periods import DAY_MS
from tuike.books.records import Booked, Message, Outcome
from tuike.books.state import Merchant
from tuike.stores import bulk
from tuike.stores.schema import refused

# Of each merchant, the newest.
MAX_KEPT = 1_000
KEPT_DAYS = 90
KIND = "refused"
SOURCE = "postback"
REPLAY, DISMISS = "postback.replay", "postback.dismiss"

ROWS = bulk.replacing(refused)
Pairs = list[tuple[str, str]]


def is_kept(message: Message, outcome: Outcome) -> bool:
    """Whether it belongs in the list: a merchant's own word that was set aside. What browsers claim does not, anybody
    could fill it; an import has told whoever ran it."""
    return outcome.status == "set_aside" and message.source == SOURCE and message.kind in (KIND, "order")


def refusal(message: Message) -> Outcome:
    """What the edge has decided already."""
    return Outcome.refused(message.reason, f"the edge refused it: {message.reason}")


def find(connection: Connection, event: str) -> Message | None:
    text = connection.scalar(select(refused.c.message).where(refused.c.event_id == event))
    return None if text is None else msgspec.json.decode(text, type=Message)


def reread(message: Message, merchant: Merchant, now: int) -> Message | Outcome:
    """The order as it is read by what the merchant's settings say at `now` (ms), when it counts as received; or why it
    is still none. What was signed is in our words, and what was understood is not read again."""
    if message.kind != KIND:
        return msgspec.structs.replace(message, received=now, reason="")
    dialect = None if message.stamp else trackers.resolved(merchant.dialect)
    maps = None if dialect is None else msgspec.json.encode(dialect).decode()
    pairs = msgspec.json.decode(message.body, type=Pairs)
    try:
        fields = _core.read_postback(pairs, merchant.currency, message.received, maps)
    except ValueError as error:
        return Outcome.refused(str(error), f"it still cannot be read: {error}")
    order = msgspec.convert(fields | {"id": message.id}, Message)
    given = {name: getattr(message, name) for name in ("merchant", "cust", "did", "stamp", "source")}
    return msgspec.structs.replace(order, received=now, **given)


def post(connection: Connection, record: Booked) -> None:
    """Puts into the list and takes out of it what a record says."""
    message, outcome, effect = record.message, record.outcome, record.effect
    if effect is not None and effect.dismissed:
        connection.execute(delete(refused).where(refused.c.event_id == effect.dismissed))
    if effect is not None and effect.day is not None:
        connection.execute(delete(refused).where(refused.c.at < record.at - KEPT_DAYS * DAY_MS))
    if message is None or outcome is None or not is_kept(message, outcome):
        if record.again:
            connection.execute(delete(refused).where(refused.c.event_id == record.event))
        return
    text = msgspec.json.encode(message).decode()
    detail = outcome.result.get("detail", "")
    ROWS.run(connection, [(record.event, record.number, message.merchant, record.at, outcome.code, detail, text)])
    own = refused.c.merchant == message.merchant
    newest = select(refused.c.number).where(own).order_by(refused.c.number.desc())
    last = connection.scalar(newest.limit(1).offset(MAX_KEPT))
    if last is not None:
        connection.execute(delete(refused).where(own, refused.c.number <= last))
