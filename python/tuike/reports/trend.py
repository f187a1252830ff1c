"""The trend: the summary's figures for each hour or day of a period, those without any among them."""

from typing import Any, Literal

from sqlalchemy import Connection

from tuike.reports.figures import Sums, figures
from tuike.reports.periods import Filters, Period, ReportError, group_name
from tuike.reports.reading import bounds, read
from tuike.reports.summary import total

Body = dict[str, Any]

MAX_POINTS = 50_000


def trend(
    connection: Connection, period: Period, filters: Filters, interval: Literal["day", "hour"], group_by: str = ""
) -> Body:
    """`items` in the order of time; with `group_by` (a dimension, `sub1` to `sub5`) `series`, one for each value. An
    end that the period lacks is that of what there is."""
    period = bounds(connection, period)
    names = [group_name(start, period.zone, interval) for start in period.starts(interval)]
    groups = read(connection, period, filters, clock=interval)
    body: Body = period.view() | {"interval": interval} | figures(total(groups))
    body["items"] = [_item(interval, name, groups.get(("", name))) for name in names]
    if group_by:
        found = read(connection, period, filters, group_by, interval)
        values = sorted({value for value, _ in found})
        if len(values) * len(names) > MAX_POINTS:
            detail = f"{len(values)} series of {len(names)} points; there can be {MAX_POINTS} points in all"
            raise ReportError("too_many_groups", detail)
        body["series"] = [
            {group_by: value, "items": [_item(interval, name, found.get((value, name))) for name in names]}
            for value in values
        ]
    return body


def _item(interval: str, name: str, sums: Sums | None) -> Body:
    return {interval: name} | figures(sums or Sums())
