"""Query strings of the reports."""

from datetime import date as Day
from typing import Annotated, Literal

from msgspec import Meta

from tuike import _core
from tuike.admin.inputs import CURRENCIES
from tuike.admin.queries import DEFAULT_LIMIT, FileFormat, Limit, Page, Query
from tuike.reports import CURRENCIES as TIERED
from tuike.reports.teams import MAX_DEPTH

Clock = Literal["hour", "day"]
Dimensions = Literal["", "promoter", "product", "merchant", "channel", "sub1", "sub2", "sub3", "sub4", "sub5"]
Groups = Literal[
    "", "promoter", "product", "merchant", "channel", "day", "hour", "sub1", "sub2", "sub3", "sub4", "sub5"
]
FIRST = "an instant of RFC 3339, or a day (YYYY-MM-DD) of `tz`; the beginning by default"
LAST = "an instant (exclusive), or a day (inclusive); now by default"
ONLY = "of sales, where there are several"
DAY_OR_INSTANT = {"format": "day-or-instant"}
TIME_ZONE = {"format": "time-zone"}
OneCurrency = Annotated[str, Meta(description=ONLY, extra_json_schema={"enum": ["", *CURRENCIES]})]
TierCurrency = Annotated[
    str, Meta(description="of the sales that tiers are by", extra_json_schema={"enum": ["", *TIERED]})
]
Zone = Annotated[str, Meta(description="IANA time zone of days and hours", extra_json_schema=TIME_ZONE)]


class Period(Query, rename={"since": "from", "until": "to"}):
    since: Annotated[str, Meta(description=FIRST, extra_json_schema=DAY_OR_INSTANT)] = ""
    until: Annotated[str, Meta(description=LAST, extra_json_schema=DAY_OR_INSTANT)] = ""
    tz: Zone = "UTC"


class Filtered(Period):
    promoter: str = ""
    product: str = ""
    merchant: str = ""
    channel: str = ""


class Summary(Filtered):
    group_by: Groups = ""


class Trend(Filtered):
    """All hours or days of the period, those without anything among them."""

    interval: Clock = "day"
    group_by: Dimensions = ""


class Levels(Period):
    """The tiers are those of the day that the period ends in."""

    product: str = ""
    merchant: str = ""
    channel: str = ""
    currency: TierCurrency = "CNY"


class Team(Page, rename={"since": "from", "until": "to"}):
    since: Annotated[str, Meta(description=FIRST, extra_json_schema=DAY_OR_INSTANT)] = ""
    until: Annotated[str, Meta(description=LAST, extra_json_schema=DAY_OR_INSTANT)] = ""
    tz: Zone = "UTC"
    product: str = ""
    merchant: str = ""
    channel: str = ""
    depth: Annotated[int, Meta(ge=1, le=MAX_DEPTH, description="levels below whose members are listed")] = 1


class Leaderboard(Filtered):
    """Of the `period` (the month by default) with the day `at` in it (today by default), or from `from` to `to`."""

    period: Literal["", "week", "month"] = ""
    at: Day | None = None
    metric: Literal["sales", "orders", "commission", "clicks"] = "sales"
    currency: OneCurrency = ""
    limit: Limit = DEFAULT_LIMIT

    def __post_init__(self) -> None:
        _check_currency(self.currency)


class Anomalies(Filtered):
    """The last 7 days by default."""

    interval: Clock = "hour"
    currency: OneCurrency = ""

    def __post_init__(self) -> None:
        _check_currency(self.currency)


class Cohorts(Filtered):
    """Customers whose first order is in the period; all by default."""


class ExportTrend(Trend):
    """As the report's."""

    format: FileFormat = "csv"


class ExportLevels(Levels):
    """As the report's."""

    format: FileFormat = "csv"


class ExportLeaderboard(Leaderboard):
    """As the report's."""

    format: FileFormat = "csv"


class ExportCohorts(Cohorts):
    """As the report's."""

    format: FileFormat = "csv"


def _check_currency(code: str) -> None:
    if code and _core.exponent(code) is None:
        raise ValueError(f"`{code}` is no currency of ISO 4217")
