"""Reports: sums of the rollups over a period, in anyone's time zone.

periods     periods, days and hours of a zone     reading      sums of a period from the fewest rows
figures     what is shown of sums                 summary      whole or in groups
trend       by hour or day                        levels       by promoter tier
teams       the tree under a promoter             leaderboard  promoters in the order of a figure
anomalies   what is outside of its band      cohorts      customers by the month of their first order
"""

from tuike.reports.anomalies import anomalies
from tuike.reports.cohorts import cohorts
from tuike.reports.leaderboard import leaderboard
from tuike.reports.levels import CURRENCIES, Teams, levels, tiers
from tuike.reports.periods import Filters, Period, ReportError
from tuike.reports.summary import summary
from tuike.reports.trend import trend

__all__ = [
    "CURRENCIES",
    "Filters",
    "Period",
    "ReportError",
    "Teams",
    "anomalies",
    "cohorts",
    "leaderboard",
    "levels",
    "summary",
    "tiers",
    "trend",
]
