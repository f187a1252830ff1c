"""The registry write that asks for an erasure: whom it concerns stands in its event's own fields, so that the erasure
reaches it too."""

from collections.abc import Callable
from typing import Any

from tuike.books.records import Outcome, Refusal
from tuike.books.registry import Body, Change, Context
from tuike.stores import erasures


def erase(context: Context, data: Body) -> Change:
    message = context.message
    if not message.visitor and not (message.merchant and message.cust):
        raise Refusal("missing_subject", "an erasure names a visitor, or a merchant and its customer")
    erasures.ask(
        context.connection,
        message.id,
        context.number,
        message.received,
        visitor=message.visitor,
        merchant=message.merchant,
        cust=message.cust,
    )
    result: dict[str, Any] = {"id": message.id, "state": erasures.WAITING}
    return Change(Outcome.applied(result), f"erasure:{message.id}")


OPERATIONS: dict[str, Callable[[Context, Body], Change]] = {"person.erase": erase}
