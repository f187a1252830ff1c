"""Touches in the order in which they came, the newest first, from either store.

A store has them by day and event id, and ids begin with their time, so the list needs nothing that the folds would have
to write. Nor is there an index by promoter or product: it is looked through, so far at a time, and a page says how far.
"""

from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from tuike import _core

DAY_MS = 86_400_000
MAX_LOOKED_AT = 50_000
"""Touches that are looked at for a page."""
CHUNK = 5_000
"""That are read at once: while they are, an embedded store folds nothing."""
FIRST_CHUNK = 64
SLACK_MS = 60_000
"""Between the time in an id and that of its touch: an edge may stamp by the books' clock."""
TIME_DIGITS = 12
ID_DIGITS = 32
HEX = set("0123456789abcdef")
ALWAYS = 2**63 - 1


class Store(Protocol):
    """As `_core.TouchStore` has it."""

    def days(self) -> list[int]: ...
    def newest_of_day(self, day: int, before: str, most: int) -> list[bytes]: ...


class Place(msgspec.Struct):
    """Where a page ends: a day since 1970-01-01 UTC, and an event's id."""

    day: int
    id: str


class Wanted(msgspec.Struct, kw_only=True):
    """As `_core.pick_touches` has it, and which page."""

    kind: Literal["", "click", "view"] = ""
    aff: str = ""
    pid: str = ""
    merchant: str = ""
    visitor: str = ""
    counted: bool | None = None
    reason: str = ""
    since: int = 0
    until: int = ALWAYS
    limit: int
    after: Place | None = None


class Page(msgspec.Struct):
    """`items` are touches' fields. `following` is where the next page begins, None: there is none. Everything that came
    at `back_to` (ms) or later was looked at."""

    items: list[dict[str, Any]]
    following: Place | None
    back_to: int | None


class _Looked(NamedTuple):
    at: int
    last: str
    ended: bool


def is_id(text: str) -> bool:
    return len(text) == ID_DIGITS and set(text) <= HEX


def newest(store: Store, wanted: Wanted) -> Page:
    """The next page of what is wanted: days from the newest, in each the highest id first."""
    items: list[dict[str, Any]] = []
    left = MAX_LOOKED_AT
    days = _days(store, wanted)
    for day in days:
        before, size, ended = _begin(day, wanted), FIRST_CHUNK, False
        while not ended:
            looked = _look(store, wanted, day, before, min(max(size, wanted.limit), CHUNK, left), items)
            before, ended, left, size = looked.last, looked.ended, left - looked.at, size * 4
            if (len(items) == wanted.limit or left <= 0) and not (ended and day == days[-1]):
                return Page(items, Place(day, before), _time(before))
    return Page(items, None, None)


def _days(store: Store, wanted: Wanted) -> list[int]:
    last = wanted.until // DAY_MS if wanted.after is None else min(wanted.until // DAY_MS, wanted.after.day)
    return [day for day in sorted(store.days(), reverse=True) if wanted.since // DAY_MS <= day <= last]


def _begin(day: int, wanted: Wanted) -> str:
    """Below which id to look in a day; empty: all of it."""
    if wanted.after is not None and wanted.after.day == day:
        return wanted.after.id
    if wanted.until // DAY_MS == day:
        return f"{wanted.until + SLACK_MS:0{TIME_DIGITS}x}".ljust(ID_DIGITS, "0")
    return ""


def _look(store: Store, wanted: Wanted, day: int, before: str, most: int, items: list[dict[str, Any]]) -> _Looked:
    """Adds to `items` what a stretch of a day has."""
    records = store.newest_of_day(day, before, most)
    found, at = _core.pick_touches(
        records,
        wanted.limit - len(items),
        kind=wanted.kind,
        aff=wanted.aff,
        pid=wanted.pid,
        merchant=wanted.merchant,
        visitor=wanted.visitor,
        counted=wanted.counted,
        reason=wanted.reason,
        since=wanted.since,
        until=wanted.until,
    )
    items += found
    last = _core.decode_touch(records[at - 1])["id"] if at else before
    past = bool(last) and _time(last) + SLACK_MS < wanted.since
    return _Looked(at, last, past or (at == len(records) and len(records) < most))


def _time(id: str) -> int:
    return int(id[:TIME_DIGITS], 16)
