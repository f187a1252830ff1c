"""How a period is covered by rows of sums: each of its quarter-hours once, and no row in two days of the zone."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tuike.reports import Period
from tuike.reports.periods import MAX_SPLIT
from tuike.stores.cuts import DAY, FOUR_HOURS, HOUR, QUARTER_HOUR, SPANS

ZONES = ("UTC", "Asia/Shanghai", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe")
FIRST = date(2025, 10, 20)  # clocks go back in New York on 2 November


def covered(period: Period, spans: tuple[int, ...], zone: ZoneInfo) -> dict[int, int]:
    """How many rows of each span are read."""
    seen: list[int] = []
    rows: dict[int, int] = {}
    for piece in period.pieces(spans, "day"):
        assert piece.only or (piece.since is not None and piece.until is not None)
        starts = piece.only or range(piece.since or 0, piece.until or 0, piece.span)
        for start in starts:
            if start in piece.without:
                continue
            ends = (datetime.fromtimestamp(at, zone).date() for at in (start, start + piece.span - 1))
            assert len(set(ends)) == 1, "a row lies in one day"
            rows[piece.span] = rows.get(piece.span, 0) + 1
            seen += range(start, start + piece.span, QUARTER_HOUR)
    assert period.since is not None and period.until is not None
    assert sorted(seen) == list(range(period.since, period.until, QUARTER_HOUR)), "each quarter-hour once"
    return rows


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("spans", [SPANS, (DAY, QUARTER_HOUR), (QUARTER_HOUR,)])
@pytest.mark.parametrize("days", [1, 30, MAX_SPLIT + 10])
def test_days_of_any_zone_are_covered_once_by_rows_that_lie_in_one(
    name: str, spans: tuple[int, ...], days: int
) -> None:
    zone = ZoneInfo(name)
    covered(Period.of_days(FIRST, FIRST + timedelta(days=days), zone), spans, zone)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("UTC", {DAY: 30}),
        ("Asia/Shanghai", {FOUR_HOURS: 180}),
        # the four hours with a midnight in them: three hours, and four quarter-hours
        ("Asia/Kolkata", {FOUR_HOURS: 150, HOUR: 30 * 3, QUARTER_HOUR: 30 * 4}),
    ],
)
def test_few_rows_are_read_of_days_in_zones_too(name: str, rows: dict[int, int]) -> None:
    zone = ZoneInfo(name)
    assert covered(Period.of_days(FIRST, FIRST + timedelta(days=30), zone), SPANS, zone) == rows
