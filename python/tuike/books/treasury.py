"""Decisions that move money by themselves: fund, prize, adjust, write_off, and remit, which hands over the tax of a
month and closes it (money.md, section 5)."""

from collections.abc import Sequence
from datetime import MAXYEAR, date
from typing import Any

from sqlalchemy import func, select

from tuike import _core, views
from tuike.books import booking, tax
from tuike.books.booking import Desk, Line, Place
from tuike.books.ledger import CASH, PURSES, REVENUE, payable, promoters
from tuike.books.payouts import amount_of
from tuike.books.periods import DAY_MS
from tuike.books.records import Closing, Decision, Effect, Funding, Outcome, Refusal, Transfer
from tuike.stores.schema import closings, payouts, transfers

# A part of a remittance is one event of the journal.
ENTRIES_PER_PART = 5_000

Body = dict[str, Any]


class Treasury:
    """Belongs to the one bookkeeper; decides by what is written."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def fund(self, place: Place, event: str, data: Body) -> Decision:
        """A merchant's payment in, in his own currency where none is named."""
        merchant = self._desk.registry.merchants.get(data["merchant"])
        if merchant is None:
            raise Refusal("unknown_merchant", f"there is no merchant {data['merchant']!r}", http=404)
        currency = data.get("currency") or merchant.currency
        amount = _positive(data["amount"], currency)
        lines = [(CASH, -amount), (payable(merchant.id), amount)]
        funding = (Funding(merchant.id, currency, amount, 0),)
        return _moved(place, event, "fund", currency, lines, f"merchant:{merchant.id}", funding)

    def prize(self, place: Place, event: str, data: Body) -> Decision:
        """A contest's prize, from the platform's revenue, which may go below 0; what is owed is taken from it first."""
        promoter, currency = self._promoter(data), data["currency"]
        amount = _positive(data["amount"], currency)
        lines = [(REVENUE, -amount), *booking.into_available(self._desk.ledger, promoter, currency, amount)]
        return _moved(place, event, "prize", currency, lines, f"promoter:{promoter}")

    def write_off(self, place: Place, event: str, data: Body) -> Decision:
        """What a promoter owes, or a part of it, becomes the platform's loss."""
        promoter, currency = self._promoter(data), data["currency"]
        _check_currency(currency)
        owed = -self._desk.ledger.balance(promoters(promoter, "owed"), currency)
        amount = owed if data.get("amount") is None else _positive(data["amount"], currency)
        if amount > owed or not owed:
            raise Refusal("above_owed", f"{promoter!r} owes {_text(owed, currency)}")
        lines = [(promoters(promoter, "owed"), amount), (REVENUE, -amount)]
        return _moved(place, event, "write_off", currency, lines, f"promoter:{promoter}")

    def adjust(self, place: Place, event: str, data: Body) -> Decision:
        """A correction from one account to another, by their names. A promoter's own money never falls below 0, nor is
        more taken off what he owes than that; what enters his available money pays that first."""
        source, target, currency = data["from"], data["to"], data["currency"]
        for name in (source, target):
            self._check_account(name)
        amount = _positive(data["amount"], currency)
        if source == target:
            raise Refusal("same_account", "a correction goes from one account to another")
        room = self._room(source, target, currency)
        if room is not None and amount > room:
            raise Refusal("insufficient", f"at most {_text(room, currency)} can be moved from {source} to {target}")
        kind, _, rest = target.partition(":")
        promoter, _, purse = rest.rpartition(":")
        into = [(target, amount)]
        if kind == "promoter" and purse == "available":
            into = booking.into_available(self._desk.ledger, promoter, currency, amount)
        return _moved(place, event, "adjust", currency, [(source, -amount), *into], source)

    def remit(self, place: Place, event: str, data: Body) -> Decision:
        """Hands over the tax of a month's paid payouts, and closes the month, in each currency that it has payouts in
        or in the one named. Of a month that is closed nothing changes."""
        month = _month(data["month"])
        if tax.first_day(month + 1) > place.received // DAY_MS:
            raise Refusal("month_open", f"{tax.month_text(month)} is not over yet (UTC)")
        currencies = [data["currency"]] if data.get("currency") else self._currencies(month)
        if not currencies:
            raise Refusal("nothing_to_remit", f"no payout is dated in {tax.month_text(month)}")
        for currency in currencies:
            _check_currency(currency)
            self._check_open(month, currency)
        effects: list[Effect] = []
        items: list[Body] = []
        for currency in currencies:
            withheld = self._withheld(month, currency)
            items.append(
                {
                    "currency": currency,
                    "amount": _core.format_amount(sum([line[1] for line in withheld]), currency),
                    "promoters": len(withheld),
                }
            )
            if not self._is_closed(month, currency):
                effects += self._closing(place, month, currency, withheld)
        text = tax.month_text(month)
        target = f"month:{text}" if effects else ""
        return Decision(Outcome.applied({"month": text, "items": items}, http=201), tuple(effects), target)

    def _closing(self, place: Place, month: int, currency: str, withheld: Sequence[Line]) -> list[Effect]:
        """The parts in which a month is handed over, but those that were posted before a kill; the last closes it."""
        parts: dict[str, Transfer] = {}
        for start in range(0, len(withheld), ENTRIES_PER_PART):
            lines = withheld[start : start + ENTRIES_PER_PART]
            step = f"remit:{tax.month_text(month)}:{currency}:{start // ENTRIES_PER_PART}"
            entries = [(promoters(promoter, "tax"), -amount) for promoter, amount in lines]
            entries.append((CASH, sum([amount for _, amount in lines])))
            parts[step] = Transfer(0, step, "remit", currency, place.received, tuple(entries))
        posted = select(transfers.c.step).where(transfers.c.conversion == 0, transfers.c.step.in_(list(parts)))
        for step in self._desk.connection.scalars(posted).all():
            del parts[step]
        effects = [Effect(transfers=(part,)) for part in parts.values()]
        return [*effects, Effect(closing=Closing(month, currency, place.number))]

    def _withheld(self, month: int, currency: str) -> list[Line]:
        """What was withheld from the month's payouts that are paid, by promoter."""
        withheld = (
            select(payouts.c.promoter, func.sum(payouts.c.tax))
            .where(*_in_month(month), payouts.c.currency == currency, payouts.c.status == "paid", payouts.c.tax > 0)
            .group_by(payouts.c.promoter)
            .order_by(payouts.c.promoter)
        )
        return [(promoter, int(amount)) for promoter, amount in self._desk.connection.execute(withheld)]

    def _check_open(self, month: int, currency: str) -> None:
        reserved = (*_in_month(month), payouts.c.currency == currency, payouts.c.status == "reserved")
        found = self._desk.connection.scalar(select(payouts.c.id).where(*reserved).limit(1))
        if found is not None:
            raise Refusal("payout_open", f"payout {found} of that month is neither paid nor failed", http=409)

    def _is_closed(self, month: int, currency: str) -> bool:
        closed = select(closings.c.number).where(closings.c.month == month, closings.c.currency == currency)
        return self._desk.connection.scalar(closed) is not None

    def _currencies(self, month: int) -> list[str]:
        found = select(payouts.c.currency).where(*_in_month(month)).distinct().order_by(payouts.c.currency)
        return list(self._desk.connection.scalars(found))

    def _promoter(self, data: Body) -> str:
        promoter: str = data["promoter"]
        if promoter not in self._desk.registry.promoters:
            raise Refusal("unknown_promoter", f"there is no promoter {promoter!r}", http=404)
        return promoter

    def _check_account(self, name: str) -> None:
        kind, _, rest = name.partition(":")
        id, _, purse = rest.rpartition(":")
        registry = self._desk.registry
        known = (
            name in (REVENUE, CASH)
            or (kind == "merchant" and purse == "payable" and id in registry.merchants)
            or (kind == "promoter" and purse in PURSES and id in registry.promoters)
        )
        if not known:
            raise Refusal("unknown_account", f"there is no account {name!r}", http=404)

    def _room(self, source: str, target: str, currency: str) -> int | None:
        """How much can be moved; None: any amount."""
        ledger = self._desk.ledger
        room = []
        if source.startswith("promoter:") and not source.endswith(":owed"):
            room.append(ledger.balance(source, currency))
        if target.startswith("promoter:") and target.endswith(":owed"):
            room.append(-ledger.balance(target, currency))
        return min(room, default=None)


def _moved(
    place: Place,
    event: str,
    kind: str,
    currency: str,
    lines: Sequence[Line],
    target: str,
    funding: tuple[Funding, ...] = (),
) -> Decision:
    moved = Transfer(0, f"{kind}:{event}", kind, currency, place.received, tuple(lines))
    outcome = Outcome.applied(views.moved(moved.step, kind, currency, place.received, lines), http=201)
    return Decision(outcome, (Effect(transfers=(moved,), funding=funding),), target)


def _positive(text: str, currency: str) -> int:
    amount = amount_of(text, currency)
    if not amount:
        raise Refusal("bad_amount", "the amount is 0")
    return amount


def _check_currency(currency: str) -> None:
    if _core.exponent(currency) is None:
        raise Refusal("bad_currency", f"{currency!r} is no currency of ISO 4217")


def _text(amount: int, currency: str) -> str:
    return f"{_core.format_amount(amount, currency)} {currency}"


def _month(text: str) -> int:
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise Refusal("bad_month", f"{text!r} is no month such as 2025-10") from error
    if first.year == MAXYEAR:
        raise Refusal("bad_month", f"{text!r} is not over in any calendar")
    return first.year * 12 + first.month - 1


def _in_month(month: int) -> tuple[Any, Any]:
    return payouts.c.day >= tax.first_day(month), payouts.c.day < tax.first_day(month + 1)
