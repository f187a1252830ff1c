"""Hits of a day, from the journal: as far as they are folded, in the order of the journal.

Where they stand is kept in an index, so that a day is read without what lies before it; it holds for good, since
nothing that is written again later changes its number."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from tuike import _core
from tuike.archive.stage import Stage
from tuike.archive.tables import HITS, LABELS
from tuike.books.settings import DAY_MS
from tuike.data import write_private
from tuike.process import PRODUCER
from tuike.stores.bulk import stream
from tuike.stores.schema import hit_days

KINDS = ("view", "click")
KEYS = ("merchant", "product", "promoter", "channel")
FIGURES = ("impressions", "clicks", "bots", "prefetches")
SUMS = """SELECT merchant, product, promoter, channel,
    count(*) FILTER (outcome = 'counted' AND kind = 'view') AS impressions,
    count(*) FILTER (outcome = 'counted' AND kind = 'click') AS clicks,
    count(*) FILTER (outcome = 'bot') AS bots, count(*) FILTER (outcome = 'prefetch') AS prefetches
    FROM hits GROUP BY ALL"""


class Span(msgspec.Struct, array_like=True):
    """A day's hits in one incarnation: sequence numbers of the first and the last of them, and how many they are."""

    first: int
    last: int
    hits: int


class Place(msgspec.Struct):
    """How far an incarnation was looked through, and its days (since 1970-01-01)."""

    upto: int = 0
    days: dict[int, Span] = {}


Places = dict[str, Place]
"""By producer/incarnation."""


class Index:
    """Where hits stand. It is a file that may be lost: then the journal is looked through again."""

    def __init__(self, file: Path, journal: Path) -> None:
        self._file = file
        self._journal = str(journal)
        self._places: Places = msgspec.json.decode(file.read_bytes(), type=Places) if file.exists() else {}

    def extend(self, upto: Mapping[int, int]) -> None:
        """Looks through what has come, up to a position."""
        for producer, number, path in _core.incarnations(self._journal):
            if producer == PRODUCER:
                continue
            name, last = f"{producer}/{number:016x}", upto.get(number, 0)
            place = self._places.get(name, Place())
            if place.upto > last:  # of a journal that is not this one any more
                place = Place()
            self._places[name] = place
            for seq, event in _events(path, place.upto, last):
                span = place.days.setdefault(event.get("at", 0) // DAY_MS, Span(seq, seq, 0))
                span.last = seq
                span.hits += 1
            place.upto = last
        write_private(self._file, msgspec.json.encode(self._places).decode())

    def days(self) -> dict[int, int]:
        """How many hits each day has."""
        found: dict[int, int] = {}
        for place in self._places.values():
            for day, span in place.days.items():
                found[day] = found.get(day, 0) + span.hits
        return found

    def rows(self, day: int) -> Iterator[tuple[Any, ...]]:
        for producer, number, path in _core.incarnations(self._journal):
            place = self._places.get(f"{producer}/{number:016x}")
            span = place.days.get(day) if place is not None else None
            if span is not None:
                for _, event in _events(path, span.first - 1, span.last):
                    if event.get("at", 0) // DAY_MS == day:
                        yield _row(event)


def _events(path: str, after: int, last: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """An incarnation's hits behind a sequence number, up to another one."""
    if after >= last:
        return
    for seq, payload in _core.JournalReader(path, after):
        if seq > last:
            return
        try:
            event = _core.decode_event(payload)
        except ValueError:
            continue  # it is counted as malformed, and in no report
        if event["kind"] in KINDS:
            yield seq, event


TEXTS = ("merchant", "pid", "aff", "link", "channel", *LABELS, "coupon", "referrer", "visitor", "cust")


def _row(event: dict[str, Any]) -> tuple[Any, ...]:
    said = event.get
    at = said("at", 0)
    # as core_rs/src/fold/rollups.rs has it
    outcome = "counted" if said("counted") else said("reason", "") or "malformed"
    texts = [said(name, "") for name in TEXTS]
    about = (said("private", False), said("refused", ""), said("embedded", False))
    return (said("id", ""), at, said("received", at), event["kind"], outcome, *texts, *about)


def lay_out(stage: Stage, index: Index, day: int) -> int:
    stage.begin(HITS)
    return stage.add(HITS.name, index.rows(day))


def compare(stage: Stage, connection: Connection, day: int) -> None:
    """Raises Found where the day's reports have other sums."""
    columns = hit_days.c
    asked = select(*[columns[name] for name in (*KEYS, *FIGURES)]).where(columns.bucket == day * DAY_MS // 1000)
    stage.compare(day, SUMS, stream(connection, asked), KEYS, FIGURES)
