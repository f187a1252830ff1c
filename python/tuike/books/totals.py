"""What has been sold before an order: a month's sales, a promoter's tier, a day's budget (money.md, 3 and 7).

Sums are read from their tables when they are first asked for, and kept in step with what is decided since."""

from bisect import bisect_left
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from itertools import accumulate
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, bindparam, func, select

from tuike.books.records import Effect, Sale, Tier
from tuike.stores.bulk import Lookup
from tuike.stores.schema import budgets, funding, sales, tiers

# Sums that are held between batches.
MAX_HELD = 200_000
MAX_COURSE_ROWS = 1_000_000
QUARTER_HOUR_MS = 900_000
EPOCH = date(1970, 1, 1)
TIER_DAYS = 365
LOWEST_TIER = "bronze"
# From these net sales on, in minor units; in a currency without a line everyone has the lowest tier.
TIERS: Mapping[str, tuple[tuple[int, str], ...]] = {
    "CNY": ((2_000_000, "diamond"), (500_000, "gold"), (100_000, "silver"))
}

Month = tuple[str, str, str, int]
"""Promoter, merchant, currency, first day."""
Course = tuple[list[int], list[int]]
"""The numbers under which a month's orders were booked, and what they sum up to before each and at the end."""

_of = select(func.sum(sales.c.net)).where(
    sales.c.promoter == bindparam("promoter"),
    sales.c.currency == bindparam("currency"),
    sales.c.day >= bindparam("since"),
    sales.c.day < bindparam("until"),
)
_with = _of.where(sales.c.merchant == bindparam("merchant"))
YEAR = Lookup(_of, ("promoter", "currency", "since", "until"))
MONTH = Lookup(_with, (*YEAR.names, "merchant"))
IN_BOOKING_ORDER = _with.with_only_columns(sales.c.booked, sales.c.net).order_by(sales.c.booked)
TIER = Lookup(
    select(tiers.c.tier).where(
        tiers.c.promoter == bindparam("promoter"),
        tiers.c.currency == bindparam("currency"),
        tiers.c.day == bindparam("on"),
    ),
    ("promoter", "currency", "on"),
)
BUDGET = Lookup(
    select(budgets.c.amount).where(
        budgets.c.product == bindparam("product"),
        budgets.c.currency == bindparam("currency"),
        budgets.c.day == bindparam("on"),
    ),
    ("product", "currency", "on"),
)

_fund = (funding.c.merchant == bindparam("merchant"), funding.c.currency == bindparam("currency"))
FUND = Lookup(select(funding.c.funded - funding.c.released).where(*_fund), ("merchant", "currency"))


@lru_cache(4_096)
def _day(quarter_hour: int, zone: ZoneInfo) -> int:
    return (datetime.fromtimestamp(quarter_hour * 900, zone).date() - EPOCH).days


def day_of(instant: int, zone: ZoneInfo) -> int:
    """The date of an instant (ms) in a zone, in days since 1970-01-01. Zones' days begin with a quarter-hour."""
    return _day(instant // QUARTER_HOUR_MS, zone)


@lru_cache(4_096)
def month_of(day: int) -> tuple[int, int]:
    """The first day of a day's calendar month, and of the next month."""
    first = date.fromordinal(EPOCH.toordinal() + day).replace(day=1)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return (first - EPOCH).days, (following - EPOCH).days


def tier_of(net: int, currency: str) -> str:
    """The tier that net sales of a year make."""
    return next((tier for least, tier in TIERS.get(currency, ()) if net >= least), LOWEST_TIER)


class Totals:
    """Belongs to the one bookkeeper: `begin` with each transaction, `take` whatever is decided in it."""

    def __init__(self) -> None:
        self._months: dict[Month, int] = {}
        self._courses: dict[Month, Course] = {}
        self._course_rows = 0
        self._tiers: dict[tuple[str, str, int], str] = {}
        self._budgets: dict[tuple[str, str, int], int] = {}
        # decided in this transaction, and in no table yet
        self._fresh: dict[tuple[str, str], list[Sale]] = {}
        self._fresh_budgets: dict[tuple[str, str, int], int] = {}
        self._fresh_funds: dict[tuple[str, str], int] = {}

    def begin(self, connection: Connection) -> None:
        self._connection = connection
        self._fresh.clear()
        self._fresh_budgets.clear()
        self._fresh_funds.clear()
        for held in (self._months, self._tiers, self._budgets):
            if len(held) > MAX_HELD:
                held.clear()
        if self._course_rows > MAX_COURSE_ROWS:
            self._courses.clear()
            self._course_rows = 0

    def take(self, effect: Effect) -> None:
        """What was decided, and will be posted in this transaction."""
        for sale in effect.sales:
            self._fresh.setdefault((sale.promoter, sale.currency), []).append(sale)
            month = sale.promoter, sale.merchant, sale.currency, month_of(sale.day)[0]
            if month in self._months:
                self._months[month] += sale.change
            self._courses.pop(month, None)
        for tier in effect.tiers:
            self._tiers[tier.promoter, tier.currency, tier.day] = tier.tier
        for spent in effect.spent:
            key = spent.product, spent.currency, spent.day
            self._fresh_budgets[key] = self._fresh_budgets.get(key, 0) + spent.amount
            if key in self._budgets:
                self._budgets[key] += spent.amount

        for change in effect.funding:
            fund = change.merchant, change.currency
            self._fresh_funds[fund] = self._fresh_funds.get(fund, 0) + change.funded - change.released

    def fund(self, merchant: str, currency: str) -> int:
        """What of a merchant's payments in is not used up by what was released."""
        kept = FUND.find(self._connection, merchant, currency) or 0
        return int(kept) + self._fresh_funds.get((merchant, currency), 0)

    def month(self, promoter: str, merchant: str, currency: str, day: int) -> int:
        """The promoter's sales with the merchant in the calendar month of `day`, as all that is decided leaves them."""
        first, following = month_of(day)
        key = promoter, merchant, currency, first
        if key not in self._months:
            kept = MONTH.find(self._connection, promoter, currency, first, following, merchant) or 0
            self._months[key] = kept + self._fresh_sales(promoter, currency, first, following, merchant)
        return self._months[key]

    def month_before(self, promoter: str, merchant: str, currency: str, day: int, booked: int) -> int:
        """The same, of the orders that were booked before this number; asked for where nothing is fresh."""
        first, following = month_of(day)
        key = promoter, merchant, currency, first
        course = self._courses.get(key)
        if course is None:
            names = {"promoter": promoter, "merchant": merchant, "currency": currency}
            rows = self._connection.execute(IN_BOOKING_ORDER, names | {"since": first, "until": following}).all()
            course = [row.booked for row in rows], list(accumulate([row.net for row in rows], initial=0))
            self._courses[key] = course
            self._course_rows += len(rows)
        numbers, sums = course
        return sums[bisect_left(numbers, booked)]

    def tier(self, promoter: str, currency: str, day: int) -> tuple[str, Tier | None]:
        """The promoter's tier on a day; with what is to be posted where this is the day's first order."""
        if currency not in TIERS:
            return LOWEST_TIER, None
        key = promoter, currency, day
        if key not in self._tiers:
            found = TIER.find(self._connection, *key)
            if found is None:
                since = day - TIER_DAYS
                net = YEAR.find(self._connection, promoter, currency, since, day) or 0
                net += self._fresh_sales(promoter, currency, since, day)
                return tier_of(net, currency), Tier(promoter, currency, day, tier_of(net, currency), net)
            self._tiers[key] = found
        return self._tiers[key], None

    def budget(self, product: str, currency: str, day: int) -> int:
        """What the product's orders of a day have been paid under a rule with a budget."""
        key = product, currency, day
        if key not in self._budgets:
            kept = BUDGET.find(self._connection, *key) or 0
            self._budgets[key] = kept + self._fresh_budgets.get(key, 0)
        return self._budgets[key]

    def _fresh_sales(self, promoter: str, currency: str, since: int, until: int, merchant: str = "") -> int:
        return sum(
            sale.change
            for sale in self._fresh.get((promoter, currency), ())
            if since <= sale.day < until and merchant in ("", sale.merchant)
        )
