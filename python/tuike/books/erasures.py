"""The registry write that asks for an erasure: whom it concerns stands in its event's own fields, so that the erasure
reaches it too."""

from typing import Any

from sqlalchemy import Connection

from tuike.books.records import Message, Outcome, Refusal
from tuike.stores import erasures


def erase(connection: Connection, message: Message, number: int) -> tuple[Outcome, str]:
    """Notes it; its outcome, and what the audit says of it."""
    if not message.visitor and not (message.merchant and message.cust):
        raise Refusal("missing_subject", "an erasure names a visitor, or a merchant and its customer")
    erasures.ask(
        connection,
        message.id,
        number,
        message.received,
        visitor=message.visitor,
        merchant=message.merchant,
        cust=message.cust,
    )
    result: dict[str, Any] = {"id": message.id, "state": erasures.WAITING}
    return Outcome.applied(result), f"erasure:{message.id}"
