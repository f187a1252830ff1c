"""Periods of time, the clock's days and hours in a zone, and how they are covered by rows of sums.

The rows' quarter-hours begin where the quarter-hours of every zone's clock begin, so days and hours are exact
everywhere."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from tuike import views
from tuike.stores.cuts import DAY, HOUR, QUARTER_HOUR

Clock = Literal["", "day", "hour"]
"""What groups of time there are; empty: none."""

# Of a clock's groups in one report: 27 years of days, a year of hours.
MAX_BUCKETS = 10_000
# Midnights that may fall into rows, which are read in parts then; where there are more, all rows are as short as parts.
MAX_SPLIT = 400


class ReportError(ValueError):
    """The report cannot be made as asked: `code` and a sentence."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Piece(NamedTuple):
    """Rows of one span (seconds) that begin from `since` up to, not including, `until`; None is without end. But not
    those that begin at one of `without`; or those alone that begin at one of `only`."""

    span: int
    since: int | None
    until: int | None
    without: tuple[int, ...] = ()
    only: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Period:
    """Quarter-hours from `since` up to, not including, `until`, in seconds; None is without end."""

    since: int | None
    until: int | None
    zone: ZoneInfo

    @classmethod
    def parse(cls, since: str, until: str, zone: ZoneInfo) -> "Period":
        """Instants (RFC 3339), widened to whole quarter-hours, or the zone's days (YYYY-MM-DD), `until` included."""
        first, last = _bound(since, zone, timedelta()), _bound(until, zone, timedelta(days=1))
        begin = None if first is None else first // QUARTER_HOUR * QUARTER_HOUR
        end = None if last is None else -(-last // QUARTER_HOUR) * QUARTER_HOUR
        if begin is not None and end is not None and begin >= end:
            raise ReportError("empty_period", "`from` is not before `to`")
        return cls(begin, end, zone)

    @classmethod
    def of_days(cls, first: date, after: date, zone: ZoneInfo) -> "Period":
        """The zone's days from `first` to the one before `after`."""
        bounds = [int(datetime.combine(day, time(), zone).timestamp()) for day in (first, after)]
        return cls(bounds[0], bounds[1], zone)

    @classmethod
    def calendar(cls, unit: Literal["week", "month"], at: date, zone: ZoneInfo) -> tuple["Period", "Period"]:
        """The zone's week (from Monday) or month with the day `at` in it, and the one before."""
        if unit == "week":
            first = at - timedelta(days=at.weekday())
            return _periods(zone, first - timedelta(days=7), first, first + timedelta(days=7))
        first = at.replace(day=1)
        return _periods(zone, _month(first, -1), first, _month(first, 1))

    def before(self) -> "Period":
        """As much time before this period: as many of its zone's days, where it is made of whole ones."""
        if self.since is None or self.until is None:
            raise ReportError("bad_range", "a period with a begin and an end is needed")
        first, after = (datetime.fromtimestamp(at, self.zone) for at in (self.since, self.until))
        if Period.of_days(first.date(), after.date(), self.zone) == self:
            return Period.of_days(first.date() - (after.date() - first.date()), first.date(), self.zone)
        return replace(self, since=2 * self.since - self.until, until=self.since)

    def last_day(self, now: int) -> date:
        """The zone's day that the period ends in, at the latest that of `now` (ms)."""
        end = now // 1000 if self.until is None else min(self.until - 1, now // 1000)
        return datetime.fromtimestamp(end, self.zone).date()

    def view(self) -> dict[str, str | None]:
        bounds = {"from": self.since, "to": self.until}
        return {name: None if at is None else views.instant(at * 1000) for name, at in bounds.items()} | {
            "tz": self.zone.key
        }

    def within(self, first: int, last: int) -> "Period":
        """With the ends that it lacks: the first and the last quarter-hour that there is."""
        since = min(first, self.until or first) if self.since is None else self.since
        until = max(last + QUARTER_HOUR, since) if self.until is None else self.until
        return replace(self, since=since, until=until)

    def starts(self, clock: Clock) -> list[int]:
        """Where the clock's groups begin in a period with both ends, the first of them cut off at its own begin."""
        assert self.since is not None
        assert self.until is not None
        found = [self.since]
        for start in self._days() if clock == "day" else self._hours():
            if start > found[-1]:
                found.append(start)
            if len(found) > MAX_BUCKETS:
                raise ReportError("too_many_groups", f"more than {MAX_BUCKETS} {clock}s; ask for a shorter period")
        return found if self.since < self.until else []

    def _days(self) -> Iterator[int]:
        assert self.since is not None
        assert self.until is not None
        day = datetime.fromtimestamp(self.since, self.zone).date()
        # where clocks turn there may be a day that begins after its midnight, and one that is not at all
        while (start := int(datetime.combine(day, time(), self.zone).timestamp())) < self.until:
            yield start
            day += timedelta(days=1)

    def _hours(self) -> Iterator[int]:
        assert self.since is not None
        assert self.until is not None
        before = ""
        for start in range(self.since, self.until, QUARTER_HOUR):
            # clocks may turn by half an hour
            if (name := group_name(start, self.zone, "hour")) != before:
                before = name
                yield start

    def grid(self, clock: Clock) -> int:
        """The longest span of which each of the clock's groups is made, in a period with both ends."""
        if not clock:
            return DAY
        assert self.since is not None
        assert self.until is not None
        midnights = list(self._days())
        if clock == "day":
            inner = [start for start in midnights if start > self.since]
            return next(span for span in (DAY, HOUR, QUARTER_HOUR) if all(start % span == 0 for start in inner))
        offsets = [datetime.fromtimestamp(at, self.zone).utcoffset() for at in (self.since, *midnights, self.until)]
        return HOUR if all(not (offset or timedelta()) % timedelta(hours=1) for offset in offsets) else QUARTER_HOUR

    def pieces(self, spans: Sequence[int], clock: Clock = "") -> list[Piece]:
        """The period covered by rows of these spans (the longest first, each a part of the one before): each as long
        as can be, and in one of the clock's groups."""
        grid = self.grid(clock)
        if clock == "day" and grid < DAY:
            midnights = list(self._days())
            if len(midnights) <= MAX_SPLIT:
                spans = [span for span in spans if span < DAY]
                return [
                    part for piece in _cover(self.since, self.until, spans) for part in _parts(piece, midnights, spans)
                ]
        return list(_cover(self.since, self.until, [span for span in spans if span <= grid]))


@dataclass(frozen=True, slots=True)
class Filters:
    """Empty: all of them."""

    promoter: str = ""
    product: str = ""
    merchant: str = ""
    channel: str = ""


def _periods(zone: ZoneInfo, before: date, first: date, after: date) -> tuple[Period, Period]:
    return Period.of_days(first, after, zone), Period.of_days(before, first, zone)


def _month(first: date, later: int) -> date:
    """The first day of a month so much later."""
    months = first.year * 12 + first.month - 1 + later
    return date(months // 12, months % 12 + 1, 1)


def group_name(start: int, zone: ZoneInfo, clock: Clock) -> str:
    """The day, or the hour with its offset: where clocks go back it comes twice."""
    local = datetime.fromtimestamp(start, zone)
    return local.date().isoformat() if clock == "day" else local.replace(minute=0).isoformat()


def _cover(since: int | None, until: int | None, spans: Sequence[int]) -> Iterator[Piece]:
    span, *finer = spans
    if not finer:
        yield Piece(span, since, until)
        return
    first = None if since is None else -(-since // span) * span
    last = None if until is None else until // span * span
    if first is not None and last is not None and first >= last:
        yield from _cover(since, until, finer)
        return
    if since != first:
        yield from _cover(since, first, finer)
    yield Piece(span, first, last)
    if until != last:
        yield from _cover(last, until, finer)


def _parts(piece: Piece, midnights: Sequence[int], spans: Sequence[int]) -> Iterator[Piece]:
    """A piece without the rows that have a midnight in them, and these by rows of shorter spans."""
    span = piece.span
    cut = sorted({at // span * span for at in midnights if at % span and _has(piece, at // span * span)})
    if not cut or span == spans[-1]:
        yield piece
        return
    if not piece.only:
        yield piece._replace(without=tuple(cut))
    elif whole := tuple(start for start in piece.only if start not in cut):
        yield piece._replace(only=whole)
    finer = spans[spans.index(span) + 1]
    parts = tuple(start + later for start in cut for later in range(0, span, finer))
    yield from _parts(Piece(finer, None, None, only=parts), midnights, spans)


def _has(piece: Piece, start: int) -> bool:
    if piece.only:
        return start in piece.only
    return (piece.since is None or piece.since <= start) and (piece.until is None or start < piece.until)


def _bound(text: str, zone: ZoneInfo, later: timedelta) -> int | None:
    """Seconds since the epoch; a day's is its first instant, or the next one's where `later` is a day."""
    if not text:
        return None
    try:
        if len(text) == len("YYYY-MM-DD"):
            midnight = datetime.combine(date.fromisoformat(text) + later, time(), zone)
            return int(midnight.timestamp())
        instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise ReportError("bad_range", f"`{text}` is neither an instant of RFC 3339 nor a day") from error
    if instant.tzinfo is None:
        raise ReportError("bad_range", f"`{text}` has no offset from UTC, such as Z or +08:00")
    return math.ceil(instant.timestamp()) if later else math.floor(instant.timestamp())
