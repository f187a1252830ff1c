"""What reports answer, for openapi.json."""

from typing import Literal

from msgspec import UNSET, UnsetType

from tuike.admin.answers import Answer, Next


class Money(Answer):
    """Sums of one currency: `aov` is sales ÷ conversions, `roi` (sales - commission) ÷ commission,
    `ltv` sales ÷ unique visitors. A zero divisor gives null."""

    currency: str
    conversions: int
    sales: str
    commission: str
    aov: str | None
    roi: float | None
    ltv: str | None


class Figures(Answer):
    """`sales` is net of refunds. With several currencies the single figures of money are null: see `money`.
    Bots and prefetches are in none of the other counts. `ctr` is clicks ÷ impressions, `cvr` conversions ÷ clicks.
    `unique_visitors_error` is the relative standard error of that count."""

    impressions: int
    clicks: int
    unique_visitors: int
    unique_visitors_error: float
    bots: int
    prefetches: int
    conversions: int
    ctr: float | None
    cvr: float | None
    currency: str | None
    sales: str | None
    commission: str | None
    aov: str | None
    roi: float | None
    ltv: str | None
    money: list[Money]


class Item(Figures):
    """One group: the figures, and its name under the name of `group_by`."""

    promoter: str | UnsetType = UNSET
    product: str | UnsetType = UNSET
    merchant: str | UnsetType = UNSET
    channel: str | UnsetType = UNSET
    day: str | UnsetType = UNSET
    hour: str | UnsetType = UNSET
    sub1: str | UnsetType = UNSET
    sub2: str | UnsetType = UNSET
    sub3: str | UnsetType = UNSET
    sub4: str | UnsetType = UNSET
    sub5: str | UnsetType = UNSET


class Summary(Figures, rename={"since": "from", "until": "to"}, kw_only=True):
    """`from` and `to` are the quarter-hours that were counted; null is without end."""

    since: str | None
    until: str | None
    tz: str
    items: list[Item] | UnsetType = UNSET


class Trend(Figures, rename={"since": "from", "until": "to"}, kw_only=True):
    """`items` are in the order of time, every hour or day of the period; `series` the same for each group."""

    since: str | None
    until: str | None
    tz: str
    interval: Literal["hour", "day"]
    items: list[Item]
    series: list["Series"] | UnsetType = UNSET


class Series(Answer):
    """Of one group, whose name stands under the name of `group_by`."""

    items: list[Item]
    promoter: str | UnsetType = UNSET
    product: str | UnsetType = UNSET
    merchant: str | UnsetType = UNSET
    channel: str | UnsetType = UNSET
    sub1: str | UnsetType = UNSET
    sub2: str | UnsetType = UNSET
    sub3: str | UnsetType = UNSET
    sub4: str | UnsetType = UNSET
    sub5: str | UnsetType = UNSET


class OrderMoney(Answer):
    """Of one currency."""

    currency: str
    orders: int
    sales: str
    commission: str


class OrderFigures(Answer):
    """Of orders that are credited to the promoters at hand: `sales` net of refunds, `commission` what they pay on all
    levels. With several currencies the single figures of money are null."""

    orders: int
    currency: str | None
    sales: str | None
    commission: str | None
    money: list[OrderMoney]


class Level(OrderFigures):
    """`direct` and `team_size` are how many are below the tier's promoters: directly, and in all. Who is below two of
    them counts twice in `team_size`."""

    tier: str
    from_sales: str
    promoters: int
    direct: int
    team_size: int


class Levels(Answer, rename={"since": "from", "until": "to"}):
    """From the lowest tier to the highest, as of `day`."""

    since: str | None
    until: str | None
    tz: str
    day: str
    currency: str
    items: list[Level]


class TeamTotals(OrderFigures):
    direct: int
    total: int
    by_level: dict[str, int]


class Member(OrderFigures):
    """`direct` and `total` are the members that it has below itself, the figures its own."""

    promoter: str
    name: str
    parent: str | None
    level: int
    direct: int
    total: int


class TeamReport(OrderFigures, rename={"since": "from", "until": "to"}, kw_only=True):
    """The promoter's own figures, and the whole team's. Promoters see no `items`."""

    since: str | None
    until: str | None
    tz: str
    promoter: str
    team: TeamTotals
    items: list[Member] | UnsetType = UNSET
    next: Next | UnsetType = UNSET


class Bounds(Answer, rename={"since": "from", "until": "to"}):
    since: str | None
    until: str | None


class Leader(Answer):
    """Money is a decimal string, counts are numbers. `change` is what the value is more than in the period before."""

    rank: int
    promoter: str
    name: str
    value: int | str
    before: int | str
    change: int | str
    rank_before: int | None


class Leaderboard(Answer, rename={"since": "from", "until": "to"}):
    """Equal values share their rank. A promoter sees the own line alone, at its rank among all."""

    since: str | None
    until: str | None
    tz: str
    metric: Literal["sales", "orders", "commission", "clicks"]
    currency: str | None
    before: Bounds
    items: list[Leader]


class Point(Answer):
    """Null where the past is too short for a band."""

    value: int | str
    expected: float | str | None
    low: int | str | None
    high: int | str | None
    anomaly: bool


class AnomalyItem(Answer):
    clicks: Point
    conversions: Point
    sales: Point
    bots: Point
    hour: str | UnsetType = UNSET
    day: str | UnsetType = UNSET


class Anomaly(Point):
    metric: Literal["clicks", "conversions", "sales", "bots"]
    hour: str | UnsetType = UNSET
    day: str | UnsetType = UNSET


class Anomalies(Answer, rename={"since": "from", "until": "to"}):
    """What is expected is the median of the same hours of the weeks before, the band so many robust deviations wide
    on each side; `anomalies` are the points outside."""

    since: str | None
    until: str | None
    tz: str
    interval: Literal["hour", "day"]
    currency: str | None
    deviations: float
    items: list[AnomalyItem]
    anomalies: list[Anomaly]


class CohortFigures(Answer):
    """`sales` is net of refunds, as in every report; `refunds` is what was given back."""

    orders: int
    sales: str
    refunds: str
    commission: str


class CohortMonth(CohortFigures, kw_only=True):
    """What was ordered so many months after the first order, and how many of the customers ordered it."""

    month: int
    customers: int


class Cohort(CohortFigures, kw_only=True):
    """Customers of one currency whose first order was in the month `cohort` (YYYY-MM): `ltv` is sales ÷ customers."""

    cohort: str
    currency: str
    customers: int
    ltv: str | None
    months: list[CohortMonth]


class UnknownCustomers(CohortFigures, kw_only=True):
    currency: str


class Cohorts(Answer, rename={"since": "from", "until": "to"}, kw_only=True):
    """`unknown` are orders that name no customer (`cust`)."""

    since: str | None
    until: str | None
    tz: str
    items: list[Cohort]
    unknown: list[UnknownCustomers]
