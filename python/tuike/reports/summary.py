"""The summary: the figures of a period, whole or in groups."""

from typing import Any

from sqlalchemy import Connection

from tuike.reports.figures import Sums, figures
from tuike.reports.periods import Clock, Filters, Period
from tuike.reports.reading import LABELS, Group, bounds, read

Body = dict[str, Any]


def summary(connection: Connection, period: Period, filters: Filters, group_by: str = "") -> Body:
    """The whole's figures; with `group_by` (a dimension, `day`, `hour`, `sub1` to `sub5`) `items` of the groups'."""
    groups = _groups(connection, period, filters, group_by)
    # hits without the label are in no item, but they are in the whole
    whole = total(read(connection, period, filters) if group_by in LABELS else groups)
    body: Body = period.view() | figures(whole)
    if group_by:
        body["items"] = [{group_by: value or name} | figures(groups[value, name]) for value, name in sorted(groups)]
    return body


def total(groups: dict[Group, Sums]) -> Sums:
    whole = Sums()
    for sums in groups.values():
        whole.add(sums)
    return whole


def _groups(connection: Connection, period: Period, filters: Filters, group_by: str) -> dict[Group, Sums]:
    clock: Clock = "day" if group_by == "day" else "hour" if group_by == "hour" else ""
    if clock:
        return read(connection, bounds(connection, period), filters, clock=clock)
    return read(connection, period, filters, group_by)
