"""Payouts: reserved, then paid, or failed; a paid one may bounce while its month is open (money.md, 5 and 6)."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import func, select

from tuike import _core, views
from tuike.books import booking, tax
from tuike.books.booking import Desk, Line, Place
from tuike.books.ledger import promoters
from tuike.books.periods import DAY_MS
from tuike.books.records import Decision, Effect, Outcome, Payout, Refusal, Transfer
from tuike.books.totals import EPOCH
from tuike.stores.schema import accounts, closings, payouts

CN_CURRENCY = "CNY"

Body = dict[str, Any]


class Payouts:
    """Belongs to the one bookkeeper; decides by what is written."""

    def __init__(self, desk: Desk, minimum: Mapping[str, int]) -> None:
        self._desk = desk
        self._minimum = minimum

    def create(self, place: Place, event: str, data: Body) -> Decision:
        """Reserves: all that is available, today, in the only currency with money, where nothing else is said.

        Refused, in this order: `unknown_promoter`, `currency_needed`, `payout_open`, `owed`, `scheme_currency`,
        `bad_date`, `no_minimum`, `below_minimum`, `insufficient`."""
        desk, promoter = self._desk, data["promoter"]
        known = desk.registry.promoters.get(promoter)
        if known is None:
            raise Refusal("unknown_promoter", f"there is no promoter {promoter!r}", http=404)
        currency = data.get("currency") or self._only_currency(promoter)
        self._check_free(promoter, currency)
        settings = json.loads(known.tax)
        if settings["scheme"].startswith("cn_") and currency != CN_CURRENCY:
            raise Refusal("scheme_currency", f"the scheme {settings['scheme']} is for {CN_CURRENCY} alone")
        of_person = tax.accounts_of(promoter, known.person)
        day = self._day(place, of_person, currency, data.get("date"))
        amount = self._amount(promoter, currency, data.get("amount"))
        taxed, detail = tax.withhold(desk.connection, settings, of_person, currency, amount, day)
        payout = Payout(
            id=event,
            number=place.number,
            promoter=promoter,
            currency=currency,
            amount=amount,
            tax=taxed,
            net=amount - taxed,
            status="reserved",
            day=day,
            scheme=settings["scheme"],
            person=desk.registry.person(promoter),
            created=place.received,
            note="",
            detail=detail,
        )
        lines = [(promoters(promoter, "available"), -amount), (promoters(promoter, "reserved"), amount)]
        return _decided(place, payout, "reserve", lines, http=201)

    def paid(self, place: Place, event: str, data: Body) -> Decision:
        """Reserved → paid (net) and tax. Of one that is paid nothing changes."""
        payout = self._payout(data["id"])
        if payout.status == "paid":
            return Decision(Outcome.applied(view(payout)))
        if payout.status != "reserved":
            raise Refusal("illegal_move", f"the payout is {payout.status} and cannot become paid", http=409)
        after = msgspec.structs.replace(payout, status="paid")
        return _decided(place, after, "paid", [_line(payout, "reserved", -payout.amount), *_out(payout, 1)])

    def failed(self, place: Place, event: str, data: Body) -> Decision:
        """Back to available, what is owed first: from reserved, or, as a bounce, net and tax of a paid one while its
        month is open. Of one that has failed nothing changes."""
        payout = self._payout(data["id"])
        if payout.status in ("failed", "bounced"):
            return Decision(Outcome.applied(view(payout)))
        back = booking.into_available(self._desk.ledger, payout.promoter, payout.currency, payout.amount)
        if payout.status == "reserved":
            after = msgspec.structs.replace(payout, status="failed")
            return _decided(place, after, "failed", [_line(payout, "reserved", -payout.amount), *back])
        month = tax.month_number(payout.day)
        if self._closed(month, payout.currency):
            raise Refusal("month_closed", f"the tax of {tax.month_text(month)} is handed over", http=409)
        after = msgspec.structs.replace(payout, status="bounced")
        return _decided(place, after, "bounce", [*_out(payout, -1), *back])

    def note(self, place: Place, event: str, data: Body) -> Decision:
        after = msgspec.structs.replace(self._payout(data["id"]), note=data["note"])
        return Decision(Outcome.applied(view(after)), (Effect(payout=after),), f"payout:{after.id}")

    def _payout(self, id: str) -> Payout:
        row = self._desk.connection.execute(select(payouts).where(payouts.c.id == id)).one_or_none()
        if row is None:
            raise Refusal("unknown_payout", f"there is no payout {id!r}", http=404)
        return Payout(**{**row._mapping, "detail": msgspec.json.decode(row.detail)})

    def _only_currency(self, promoter: str) -> str:
        """The currency in which there is something available; where that is none, the only one he ever had."""
        kept = select(accounts.c.currency, accounts.c.balance).where(
            accounts.c.name == promoters(promoter, "available")
        )
        balances = self._desk.connection.execute(kept).all()
        found = [row.currency for row in balances if row.balance] or [row.currency for row in balances]
        if len(found) != 1:
            held = ", ".join(sorted(found)) or "none yet"
            raise Refusal("currency_needed", f"say which currency is paid out; {promoter!r} has {held}")
        only: str = found[0]
        return only

    def _check_free(self, promoter: str, currency: str) -> None:
        if _core.exponent(currency) is None:
            raise Refusal("bad_currency", f"{currency!r} is no currency of ISO 4217")
        reserved = select(payouts.c.id).where(
            payouts.c.promoter == promoter, payouts.c.currency == currency, payouts.c.status == "reserved"
        )
        open_one = self._desk.connection.scalar(reserved)
        if open_one is not None:
            raise Refusal("payout_open", f"payout {open_one} is neither paid nor failed", http=409)
        owed = -self._desk.ledger.balance(promoters(promoter, "owed"), currency)
        if owed > 0:
            raise Refusal("owed", f"{promoter!r} owes {_core.format_amount(owed, currency)} {currency}")

    def _day(self, place: Place, of_person: tax.Accounts, currency: str, text: str | None) -> int:
        today = place.received // DAY_MS
        if text is None:
            day = today
        else:
            try:
                day = (date.fromisoformat(text) - EPOCH).days
            except ValueError as error:
                raise Refusal("bad_date", f"{text!r} is no date") from error
        last = tax.last_day(self._desk.connection, of_person, currency)
        if day > today:
            raise Refusal("bad_date", f"{views.day(day)} is later than today, {views.day(today)} (UTC)")
        if last is not None and day < last:
            raise Refusal("bad_date", f"{views.day(day)} is before the last payout's date, {views.day(last)}")
        month = tax.month_number(day)
        if self._closed(month, currency):
            raise Refusal("bad_date", f"the tax of {tax.month_text(month)} is handed over: the month is closed")
        return day

    def _amount(self, promoter: str, currency: str, text: str | None) -> int:
        available = self._desk.ledger.balance(promoters(promoter, "available"), currency)
        amount = available if text is None else amount_of(text, currency)
        least = self._minimum.get(currency)
        if least is None:
            raise Refusal("no_minimum", f"no least payout is set for {currency}; see --payout-minimum")
        if amount < max(least, 1):
            given, wanted = (_core.format_amount(minor, currency) for minor in (amount, least))
            raise Refusal("below_minimum", f"{given} {currency} are below the least payout of {wanted}")
        if amount > available:
            raise Refusal("insufficient", f"{_core.format_amount(available, currency)} {currency} are available")
        return amount

    def _closed(self, month: int, currency: str) -> bool:
        closed = select(func.count()).where(closings.c.month == month, closings.c.currency == currency)
        return bool(self._desk.connection.scalar(closed))


def amount_of(text: str, currency: str) -> int:
    """Minor units of an amount above 0. Refusal `bad_amount` or `bad_currency`."""
    try:
        return _core.parse_amount(text, currency)
    except ValueError as error:
        code = str(error).partition(":")[0]
        raise Refusal(code, f"{text!r} is no amount in {currency}") from error


def view(payout: Payout) -> Body:
    return views.payout(msgspec.structs.asdict(payout))


def _decided(place: Place, payout: Payout, kind: str, lines: Sequence[Line], *, http: int = 200) -> Decision:
    entries = tuple([line for line in lines if line[1]])
    moved = Transfer(0, f"{kind}:{payout.id}", kind, payout.currency, place.received, entries)
    return Decision(
        Outcome.applied(view(payout), http=http), (Effect(transfers=(moved,), payout=payout),), f"payout:{payout.id}"
    )


def _line(payout: Payout, purse: str, amount: int) -> Line:
    return promoters(payout.promoter, purse), amount


def _out(payout: Payout, sign: int) -> list[Line]:
    """Net and tax, as they leave; with -1 as they come back."""
    return [_line(payout, "paid", sign * payout.net), _line(payout, "tax", sign * payout.tax)]
