"""What of a booked record is told: one event at most, with what it concerns as the API shows it then."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec

from tuike import views
from tuike.books.records import Booked, Conversion, Effect

Type = Literal[
    "conversion.created",
    "conversion.updated",
    "conversion.refunded",
    "conversion.rejected",
    "message.set_aside",
    "payout.reserved",
    "payout.paid",
    "payout.failed",
    "payout.bounced",
    "settlement.done",
]
TYPES: tuple[Type, ...] = get_args(Type)
ORDERS = ("order", "claim")


@dataclass(frozen=True, slots=True)
class Happening:
    """`number` is the books' and names it for good."""

    number: int
    type: Type
    at: int
    data: dict[str, Any]

    @property
    def id(self) -> str:
        return f"evt_{self.number}"

    def body(self) -> bytes:
        return msgspec.json.encode({"type": self.type, "timestamp": views.instant(self.at), "data": self.data})


def happening(record: Booked) -> Happening | None:
    effect = record.effect
    if effect is not None and effect.standing is not None:
        rows = [msgspec.structs.asdict(share) for share in effect.standing.shares]
        row = msgspec.structs.asdict(effect.standing.conversion)
        type = _of_order(record, effect, effect.standing.conversion)
        return Happening(record.number, type, record.at, views.conversion(row, rows))
    if effect is not None and effect.payout is not None:
        if record.request is not None and record.request.op == "payout.note":
            return None
        row = msgspec.structs.asdict(effect.payout)
        return Happening(record.number, f"payout.{effect.payout.status}", record.at, views.payout(row))  # type: ignore[arg-type]
    if effect is not None and effect.settlement is not None and record.kind == "settle":
        if effect.settlement.status != "done":
            return None
        row = msgspec.structs.asdict(effect.settlement)
        return Happening(record.number, "settlement.done", record.at, views.settlement(row))
    if record.kind in (*ORDERS, "expire") and record.outcome is not None and record.outcome.status == "set_aside":
        data = {"event_id": record.event, "code": record.outcome.code, "detail": record.outcome.result.get("detail")}
        return Happening(record.number, "message.set_aside", record.at, data)
    return None


def _of_order(record: Booked, effect: Effect, order: Conversion) -> Type:
    if order.number == record.number:
        return "conversion.created"
    if order.status == "rejected":
        return "conversion.rejected"
    if order.refunded and any(transfer.kind == "reverse" for transfer in effect.transfers):
        return "conversion.refunded"
    return "conversion.updated"
