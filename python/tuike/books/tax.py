"""What a payout withholds, per person and month of its accounting date (money.md, section 6).

The arithmetic is the core's; what it is asked with is found here: the person's payouts that count, of whatever scheme.
Which scheme is owed is the operator's to decide. Nothing is withheld twice, and never more than the payout."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Select, select

from tuike import _core
from tuike.books.records import Refusal
from tuike.books.totals import EPOCH
from tuike.stores.schema import COUNTING, payouts, promoters

Accounts = Sequence[str] | Select[tuple[str]]
"""The promoters that are one person: their ids, or what selects them."""


def month_number(day: int) -> int:
    """The calendar month of a day (since 1970-01-01): its year times 12, and a month from 0."""
    on = date.fromordinal(EPOCH.toordinal() + day)
    return on.year * 12 + on.month - 1


def first_day(month: int) -> int:
    """The day, since 1970-01-01, on which a month begins."""
    return (date(month // 12, month % 12 + 1, 1) - EPOCH).days


def month_text(month: int) -> str:
    return f"{month // 12:04}-{month % 12 + 1:02}"


def accounts_of(promoter: str, person: str) -> Accounts:
    """All promoters that are this one's person; `person` is empty where it is none but himself."""
    return select(promoters.c.id).where(promoters.c.person == person) if person else [promoter]


def last_day(connection: Connection, accounts: Accounts, currency: str) -> int | None:
    """The accounting date of the last payout that counts."""
    latest = (
        select(payouts.c.day)
        .where(payouts.c.promoter.in_(accounts), payouts.c.currency == currency, payouts.c.status.in_(COUNTING))
        .order_by(payouts.c.day.desc())
        .limit(1)
    )
    return connection.scalar(latest)


def withhold(
    connection: Connection, settings: Mapping[str, Any], accounts: Accounts, currency: str, amount: int, day: int
) -> tuple[int, dict[str, Any]]:
    """The tax on a payout of `amount` dated `day`, and its arithmetic: for `flat` the `percent`; for the others the
    `income` of so many `months` with this payout, the tax `due` on it, and what was `withheld` of that before.

    `settings` are the promoter's: `scheme`, `percent`, `gap`. Refusal `too_large`: more than 15 digits."""
    scheme = settings["scheme"]
    if scheme == "none":
        return 0, {}
    try:
        if scheme == "flat":
            return _core.tax_flat(amount, _core.parse_rate(settings["percent"])), {"percent": settings["percent"]}
        month = month_number(day)
        paid, taxed = _months(connection, accounts, currency, month)
        if scheme == "cn_labour":
            run = range(month, month + 1)
            income = amount + paid.get(month, 0)
            due = _core.tax_cn_labour(income)
        else:
            run = _run(paid, month, settings.get("gap", "restart"))
            income = amount + sum([paid.get(each, 0) for each in run])
            due = _core.tax_cn_platform(income, len(run))
    except ValueError as error:
        raise Refusal("too_large", f"what is paid to this person cannot be taxed: {error}") from error
    before = sum([taxed.get(each, 0) for each in run])
    detail = {"months": len(run), "income": income, "due": due, "withheld": before}
    return min(max(due - before, 0), amount), detail


def _months(
    connection: Connection, accounts: Accounts, currency: str, month: int
) -> tuple[dict[int, int], dict[int, int]]:
    """What counts of the calendar year up to `month`: by month what was paid, and what was withheld of it."""
    since, until = first_day(month - month % 12), first_day(month + 1)
    found = select(payouts.c.day, payouts.c.amount, payouts.c.tax).where(
        payouts.c.promoter.in_(accounts),
        payouts.c.currency == currency,
        payouts.c.status.in_(COUNTING),
        payouts.c.day >= since,
        payouts.c.day < until,
    )
    paid: dict[int, int] = {}
    taxed: dict[int, int] = {}
    for day, amount, tax in connection.execute(found):
        its = month_number(day)
        paid[its] = paid.get(its, 0) + amount
        taxed[its] = taxed.get(its, 0) + tax
    return paid, taxed


def _run(with_income: Iterable[int], month: int, gap: str) -> range:
    """The months of the run that ends with `month`: the unbroken ones with income, all of them in its year; with `gap`
    `continue` all since the year's first one with income."""
    known = {*with_income, month}
    first = min(known) if gap == "continue" else month
    while first - 1 in known:
        first -= 1
    return range(first, month + 1)
