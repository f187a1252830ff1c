"""When what an order earned is released: the merchant's periods, in the merchant's time zone (money.md, section 5)."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from tuike.books.totals import EPOCH, day_of

DAY_MS = 86_400_000


def release_instant(hold_ends: int, settlement: str, zone: ZoneInfo) -> int:
    """The first end of a period after a hold (ms): `T+N` the N-th local midnight after it (`T+0`: the hold's end
    itself), `weekly` the next Monday's, `monthly` the next first of a month's."""
    if settlement.startswith("T+") and int(settlement[2:]) == 0:
        return hold_ends
    return _period_end(day_of(hold_ends, zone), settlement, zone)


@lru_cache(4_096)
def _period_end(day: int, settlement: str, zone: ZoneInfo) -> int:
    local = date.fromordinal(EPOCH.toordinal() + day)
    if settlement == "weekly":
        end = local + timedelta(days=7 - local.weekday())
    elif settlement == "monthly":
        end = local.replace(year=local.year + local.month // 12, month=local.month % 12 + 1, day=1)
    else:
        end = local + timedelta(days=int(settlement[2:]))
    return int(datetime.combine(end, time(), zone).astimezone(UTC).timestamp()) * 1000
