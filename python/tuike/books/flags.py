"""Flags: what a fraud rule has found holds an order until a person decides (money.md, section 2, 'Held').

An order leaves when all its flags are cleared, to the status that the merchant gave it; one that is confirmed rejects
it, and its clicks never count again. Where the order leaves otherwise (an admin's approval, a rejection, a refund) its
flags are cleared with it.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import RowMapping, select

from tuike import views
from tuike.books import booking
from tuike.books.booking import Desk, Place
from tuike.books.fraud import bad_touches_of
from tuike.books.records import Conversion, Effect, Finding, Flag, Outcome, Refusal, Request, Standing
from tuike.stores.schema import conversions, fraud_flags

OPEN, CLEARED, CONFIRMED = "open", "cleared", "confirmed"
FLAGS_PER_NUMBER = 16
"""An order has a flag for each rule at most."""
MAX_NOTE = 512


def raised(effect: Effect, findings: Sequence[Finding], place: Place) -> Effect:
    """An order that was just booked, held by its findings: it stands accrued, and is not due."""
    standing = effect.standing
    assert standing is not None
    given = standing.conversion
    evidence = given.evidence | {"held": True, "fraud": {"given": given.status}}
    held = msgspec.structs.replace(given, status="pending", reason="fraud", due=0, evidence=evidence)
    flags = [
        Flag(
            id=hashlib.sha256(f"flag\0{held.id}\0{finding.rule}".encode()).hexdigest()[:32],
            number=place.number * FLAGS_PER_NUMBER + n,
            conversion=held.number,
            rule=finding.rule,
            score=finding.score,
            evidence=finding.evidence,
            status=OPEN,
            promoter=finding.promoter,
            merchant=held.merchant,
            product=held.product,
            created=place.received,
        )
        for n, finding in enumerate(findings)
    ]
    return msgspec.structs.replace(effect, standing=Standing(held, standing.shares), due=(), flags=tuple(flags))


def is_flagged(conversion: Conversion) -> bool:
    """Whether it has flags that nobody has decided."""
    return conversion.status == "pending" and "fraud" in conversion.evidence


def is_given(conversion: Conversion, status: str) -> bool:
    """Whether flags alone keep it from this status, which the merchant gave it."""
    return is_flagged(conversion) and conversion.evidence["fraud"]["given"] == status


class Flags:
    """The bookkeeper's: `begin` with each transaction, `take` whatever is decided in it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._fresh: dict[int, list[Flag]] = {}  # by order: raised or decided in this transaction, and in no table yet

    def begin(self) -> None:
        self._fresh.clear()

    def take(self, flags: Sequence[Flag]) -> None:
        for flag in flags:
            self._fresh.setdefault(flag.conversion, []).append(flag)

    def order_of(self, id: str) -> str | None:
        """The conversion that a flag is about."""
        joined = select(conversions.c.id).join(fraud_flags, fraud_flags.c.conversion == conversions.c.number)
        return self._desk.connection.scalar(joined.where(fraud_flags.c.id == id))

    def decide(self, place: Place, request: Request, standing: Standing) -> tuple[Outcome, Effect]:
        """Clears or confirms a flag of the order. Once decided it stays so: again is the same answer."""
        flags = self._of(standing.conversion.number)
        flag = next(flag for flag in flags if flag.id == request.data["id"])
        status = CLEARED if request.op == "fraud.clear" else CONFIRMED
        if flag.status == status:
            return Outcome.applied(view(flag, standing.conversion.id)), booking.keep(standing)
        if flag.status != OPEN:
            raise Refusal("flag_decided", f"the flag is {flag.status} already", http=409)
        waiting = [one for one in flags if one.status == OPEN and (one.id == flag.id or status == CONFIRMED)]
        decided = _decided(waiting, status, request.actor, place, request.data.get("note") or "")
        mine = next(one for one in decided if one.id == flag.id)
        left = [one for one in flags if one.status == OPEN and one.id != flag.id]
        if status == CONFIRMED:
            effect = self._rejected(standing)
        else:
            effect = booking.keep(standing) if left else self._released(standing, place)
        return Outcome.applied(view(mine, standing.conversion.id)), msgspec.structs.replace(effect, flags=decided)

    def left(self, before: Standing | None, effect: Effect, by: str, note: str, place: Place) -> Effect:
        """An effect, with the flags of an order that leaves by it for another reason than theirs."""
        after = effect.standing
        if before is None or after is None or effect.flags or not is_flagged(before.conversion):
            return effect
        if is_flagged(after.conversion):
            return effect
        waiting = [flag for flag in self._of(before.conversion.number) if flag.status == OPEN]
        return msgspec.structs.replace(effect, flags=_decided(waiting, CLEARED, by, place, note))

    def _rejected(self, standing: Standing) -> Effect:
        conversion = standing.conversion
        effect = booking.reverse(self._desk, standing, conversion.refunded, "reject", "rejected")
        return msgspec.structs.replace(effect, bad_touches=bad_touches_of(conversion))

    def _released(self, standing: Standing, place: Place) -> Effect:
        """Nothing holds it any more but, perhaps, its budget."""
        conversion = standing.conversion
        evidence = {name: value for name, value in conversion.evidence.items() if name != "fraud"}
        if not standing.shares:
            return booking.keep(standing, evidence=evidence)
        del evidence["held"]
        changes: dict[str, Any] = {"evidence": evidence}
        if conversion.reason == "fraud":
            changes["reason"] = ""
        if is_given(conversion, "approved"):
            return booking.approve(self._desk, standing, place, **changes)
        return booking.keep(standing, **changes)

    def _of(self, number: int) -> list[Flag]:
        """An order's flags as they stand, in the order of their numbers."""
        rows = self._desk.connection.execute(select(fraud_flags).where(fraud_flags.c.conversion == number)).mappings()
        found = {flag.number: flag for flag in [of_row(row) for row in rows] + self._fresh.get(number, [])}
        return [found[key] for key in sorted(found)]


def of_row(row: RowMapping) -> Flag:
    """A row of `fraud_flags`."""
    return Flag(**{**row, "evidence": msgspec.json.decode(row["evidence"])})


def view(flag: Flag, conversion: str) -> dict[str, Any]:
    return views.flag(msgspec.structs.asdict(flag) | {"order": conversion})


def _decided(flags: Sequence[Flag], status: str, by: str, place: Place, note: str) -> tuple[Flag, ...]:
    changes: dict[str, Any] = {"status": status, "decided_by": by, "decided_at": place.received}
    return tuple([msgspec.structs.replace(flag, note=note[:MAX_NOTE], **changes) for flag in flags])
