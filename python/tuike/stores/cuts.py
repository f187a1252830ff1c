"""Cuts: the sums of the reports once more, by few dimensions and over longer spans, so that a report reads few rows.

A cut is the whole, or a merchant, product, channel, or a merchant's channel; each has rows for quarter-hours, hours,
four hours and days of UTC. A period is covered by the longest spans that fit: days in its middle and shorter ones at
its ends, or in each group of its clock, so that days and hours stay exact in every time zone; where a midnight falls
into four hours, these are read in parts. What asks for other dimensions is answered from rows by day with all of them
(but labels), and from the quarter-hours.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Key = tuple[Any, ...]
Sums = dict[Key, tuple[list[int], list[bytes]]]
"""By key: counters, and sketches that are to be merged."""

QUARTER_HOUR, HOUR, FOUR_HOURS, DAY = 900, 3_600, 14_400, 86_400
SPANS = (DAY, FOUR_HOURS, HOUR, QUARTER_HOUR)

WHOLE, MERCHANT, PRODUCT, CHANNEL, MERCHANT_CHANNEL = range(5)


def add(sums: Sums, key: Key, counters: Sequence[int], sketches: Iterable[bytes] = ()) -> None:
    found = sums.get(key)
    if found is None:
        sums[key] = (list(counters), list(sketches))
        return
    for place, count in enumerate(counters):
        found[0][place] += count
    found[1].extend(sketches)


def by_day(rows: Sums) -> Sums:
    """From sums by (quarter-hour, merchant, product, promoter, channel, more) those by day."""
    days: Sums = {}
    for (bucket, *rest), (counters, sketches) in rows.items():
        add(days, (bucket // DAY * DAY, *rest), counters, sketches)
    return days


def by_cut(rows: Sums) -> Sums:
    """From the same those by (cut, span, merchant, value, bucket, more)."""
    few: Sums = {}
    for (bucket, merchant, product, _, channel, *more), (counters, sketches) in rows.items():
        add(few, (bucket, merchant, product, channel, *more), counters, sketches)
    cuts: Sums = {}
    for (bucket, merchant, product, channel, *more), (counters, sketches) in few.items():
        for cut, *what in _cuts(merchant, product, channel):
            for span in SPANS:
                add(cuts, (cut, span, *what, bucket // span * span, *more), counters, sketches)
    return cuts


def _cuts(merchant: str, product: str, channel: str) -> Iterator[tuple[int, str, str]]:
    yield WHOLE, "", ""
    yield MERCHANT, merchant, ""
    yield PRODUCT, merchant, product
    yield CHANNEL, "", channel
    yield MERCHANT_CHANNEL, merchant, channel
