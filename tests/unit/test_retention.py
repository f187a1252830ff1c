"""Hits that are past their keeping are nobody's, and everything that is proved from them still is."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from process_kit import Producer, balances, click, drain, order, rows, settle, shop
from sqlalchemy import select

from tuike import _core
from tuike.clock import wall
from tuike.data import Data
from tuike.process import Processor
from tuike.replay import replay
from tuike.replay.attribution import attribution
from tuike.reports import Filters, Period, summary
from tuike.stores import engine, schema
from tuike.verify import verify

DAY_MS = 86_400_000
PERSON = "0123456789abcdef0123456789abcdef"
ABOUT = {"visitor": PERSON, "cust": "carla-7788", "address": "a" * 32, "prefix": "192.0.2.0/24", "extra": "gclid=xyz"}


def sold(data: Data) -> None:
    """Clicks of somebody, an order by them, and hits by others, in a journal that has ended."""
    edge = Producer(data)
    edge.append(*shop(data), *[click(**ABOUT) for _ in range(3)], click(visitor="f" * 32))
    edge.append(order("o-1", visitor=PERSON, cust="carla-7788"))
    edge.close()
    settle(data)


def kept(data: Data, days: int, **options: int) -> int:
    """What a processor does that is started so many days later: of how many hits it took somebody out."""
    later = wall() + days * DAY_MS
    processor = Processor(data, now=lambda: later, **options)
    drain(processor)
    changed = processor._retention.wait()
    processor.close()
    return changed


@pytest.mark.parametrize(
    ("days", "options", "changed"),
    [
        (59, {}, 0),
        (61, {}, 4),  # a window of 30 days, and 30
        (61, {"retention_days": 90}, 0),
        (3, {"retention_days": 2}, 4),
    ],
)
def test_hits_lose_who_they_were_about_after_their_time_and_not_before(
    tmp_path: Path, days: int, options: dict[str, int], changed: int
) -> None:
    data = Data.open(tmp_path / "data", create=True)
    sold(data)
    before = balances(data), visitors(data)
    assert kept(data, days, **options) == changed
    assert kept(data, days, **options) == 0
    assert (balances(data), visitors(data)) == before
    for report in (verify(data), replay(data, 3), attribution(data, 3)):
        assert report.fault is None, report.text()
    (path,) = [path for producer, _, path in _core.incarnations(str(data.journal)) if producer == "edge-0"]
    events = [_core.decode_event(payload) for _, payload in _core.JournalReader(path)]
    hits = [event for event in events if event["kind"] == "click"]
    assert [("visitor" in hit, "prefix" in hit, "extra" in hit) for hit in hits[:3]] == [(not changed,) * 3] * 3
    assert all(hit["aff"] == "alice" and hit["counted"] for hit in hits)
    (sale,) = [event for event in events if event["kind"] == "order"]
    assert sale["visitor"] == PERSON, "an order's evidence is kept as long as the books"


def visitors(data: Data) -> tuple[int, int]:
    books = engine.open_reader(data.database)
    with books.begin() as connection:
        told = summary(connection, Period(None, None, ZoneInfo("UTC")), Filters(), "")
    books.dispose()
    return told["clicks"], told["unique_visitors"]


def test_what_comes_later_is_taken_out_when_its_own_time_is_over(tmp_path: Path) -> None:
    data = Data.open(tmp_path / "data", create=True)
    sold(data)
    assert kept(data, 61) == 4
    edge = Producer(data, "edge-1", 2)
    edge.append(click(**ABOUT))
    edge.close()
    settle(data)
    assert kept(data, 61) == 1
    assert len(rows(data, select(schema.conversions))) == 1
