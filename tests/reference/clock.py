"""Local days, months and period ends. Instants are integers: milliseconds since 1970 UTC."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def instant(moment: datetime) -> int:
    """An aware time in ms."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def parse(text: str) -> int:
    """RFC 3339 in ms."""
    return instant(datetime.fromisoformat(text))


def local_date(at: int, zone: str) -> date:
    return (EPOCH + timedelta(milliseconds=at)).astimezone(ZoneInfo(zone)).date()


def midnight(day: date, zone: str) -> int:
    """The first instant of a local date. Where a change of the clock leaves midnight out (fold=0 reads it by the
    offset before the gap), that is the instant of the change."""
    return instant(datetime.combine(day, time(), ZoneInfo(zone)))


def next_midnight(after: int, zone: str) -> int:
    """The first local midnight strictly after an instant."""
    day = local_date(after, zone)
    while midnight(day, zone) <= after:
        day += timedelta(days=1)
    return midnight(day, zone)


def due(hold_end: int, settlement: str, zone: str) -> int:
    """When what was held until `hold_end` is released (section 5: "at the first local period end after that").

    Decided: `T+N` is the N-th local midnight strictly after the hold ends (`T+0`: the end of the hold itself),
    `weekly` the next Monday 00:00, `monthly` the next 1st 00:00, both strictly after.
    """
    if settlement.startswith("T+"):
        end = hold_end
        for _ in range(int(settlement.removeprefix("T+"))):
            end = next_midnight(end, zone)
        return end
    end = next_midnight(hold_end, zone)
    while not (local_date(end, zone).weekday() == 0 if settlement == "weekly" else local_date(end, zone).day == 1):
        end = next_midnight(end, zone)
    return end
