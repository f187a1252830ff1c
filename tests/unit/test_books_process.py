"""The processor over real journals: what is journalled is folded and booked once, whatever is killed when."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from process_kit import Producer, balances, click, drain, forget, order, rows, settle, shop, write
from sqlalchemy import select

from tuike import _core, memory, process, verify
from tuike.books.bookkeeper import Bookkeeper
from tuike.clock import wall
from tuike.data import Data, DataError
from tuike.process import Processor
from tuike.stores import engine, position, schema
from tuike.touch_server import TouchServer
from waiting import until

TRIES = 5
DAY = 86_400_000


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data.open(tmp_path / "data", create=True)


@pytest.fixture
def edge(data: Data) -> Iterator[Producer]:
    producer = Producer(data)
    yield producer
    producer.close()


def proved(data: Data) -> None:
    report = verify.verify(data)
    assert report.fault is None, report.text()


def test_a_click_and_an_order_reach_the_balance(data: Data, edge: Producer) -> None:
    edge.append(*shop(data), click(sub1="red"), click(bot=True, counted=False, reason="bot"), order("o1"))
    edge.close()
    settle(data)
    assert balances(data) == {"merchant:shop:payable": -1_000, "promoter:alice:pending": 1_000}
    (line,) = [row for row in rows(data, select(schema.rollups)) if row["label_number"] == 0]
    assert (line["clicks"], line["bots"], _core.estimate_sketch(line["visitors"])) == (1, 1, 1)
    proved(data)


def test_an_order_waits_for_the_promises_of_all_live_producers(data: Data, edge: Producer) -> None:
    slow = Producer(data, "edge-1", incarnation=2)
    slow.writer.tick(wall() - 10)
    edge.append(*shop(data), order("o1"))
    edge.writer.tick(wall() + 10)
    processor = Processor(data)
    drain(processor)
    assert balances(data) == {}
    slow.append(click(at=wall() - 60_000))
    slow.writer.tick(wall() + 10)
    drain(processor)
    processor.close()
    slow.close()
    assert balances(data)["promoter:alice:pending"] == 1_000


def test_orders_are_booked_while_a_backlog_of_hits_is_read(
    data: Data, edge: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step's read is cut short: orders received before what it read last wait no longer, so they do not pile up."""
    limit = 10
    monkeypatch.setattr(process, "READ_LIMIT", limit)
    edge.append(*shop(data))
    settle(data)
    start = wall() - 1_000
    for number in range(5 * limit):
        edge.append(click(received=start + 2 * number), order(f"o{number}", received=start + 2 * number + 1))
    edge.close()
    processor = Processor(data)
    waiting = []
    while processor.step() or processor.more:
        waiting.append(processor.waiting)
    processor.close()
    assert len(waiting) >= limit
    assert max(waiting) <= limit
    assert balances(data)["promoter:alice:pending"] == 5 * limit * 1_000
    proved(data)


def test_orders_that_come_faster_than_they_are_booked_wait_in_the_journal(
    data: Data, edge: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory holds what one read may take, however long the backlog, and whatever it is of."""
    limit, promoters, orders = 20, 40, 80
    monkeypatch.setattr(process, "READ_LIMIT", limit)
    monkeypatch.setattr(process, "BOOK_LIMIT", limit // 10)
    edge.append(*shop(data), *(write("promoter.create", id=f"p{number}", name="P") for number in range(promoters)))
    start = wall() - 1_000
    edge.append(click(), *(order(f"o{number}", received=start + number) for number in range(orders)))
    edge.close()
    processor = Processor(data)
    waiting = []
    while processor.step() or processor.more:
        waiting.append(processor.waiting)
    processor.close()
    assert limit // 2 < max(waiting) <= limit
    assert balances(data)["promoter:alice:pending"] == orders * 1_000
    proved(data)


def test_an_imports_orders_are_applied_at_its_close_by_their_time(data: Data, edge: Producer) -> None:
    edge.append(*shop(data), click(at=1_000))
    rows_in = Producer(data, "import-0123456789abcdef", incarnation=2)
    rows_in.append(order("late", at=3_000), order("early", at=2_000))
    rows_in.close()
    edge.close()
    settle(data)
    assert rows(data, select(schema.conversions)) == []
    again = Producer(data, "import-0123456789abcdef", incarnation=3)
    again.append({"kind": "close"})
    again.close()
    settle(data)
    found = rows(data, select(schema.conversions).order_by(schema.conversions.c.number))
    assert [row["order_id"] for row in found] == ["early", "late"]
    proved(data)


def test_a_click_that_binds_outlives_the_touches_of_its_day(data: Data, edge: Producer) -> None:
    now = wall()
    bound = write("product.update", id="tea", attribution={"binding": "first"})
    edge.append(*shop(data), write("promoter.create", id="bob", name="Bob"), bound)
    edge.append(click(aff="bob", at=now - 400 * DAY, binds=True, cust="c1"), click(at=now - DAY))
    settle(data)
    stranger = f"{9:032x}"
    edge.append(order("by visitor"), order("by customer", visitor=stranger, cust="c1"), order("no", visitor=stranger))
    edge.close()
    processor = Processor(data)
    processor.touches.drop_before(now - 100 * DAY)
    assert processor.touches.path("cust", "shop", "c1", 0, now) == []
    drain(processor)
    processor.close()
    assert balances(data) == {"merchant:shop:payable": -2_000, "promoter:bob:pending": 2_000}
    proved(data)


def test_a_claim_after_midnight_finds_the_click_before_it(data: Data, edge: Producer) -> None:
    today, yesterday = f"{21:032x}", f"{22:032x}"
    edge.append(*shop(data), write("product.update", id="tea", pixel_conversions="accept"))
    edge.append(click(fingerprint=yesterday))
    new = f"{9:032x}"  # the browser has lost its cookie
    claim = {"kind": "claim", "visitor": new, "fingerprint": today, "fingerprint_before": yesterday, "source": "pixel"}
    edge.append(order("o1") | claim)
    edge.close()
    settle(data)
    assert balances(data)["promoter:alice:pending"] == 1_000


def test_visitors_of_many_batches_are_counted_once(data: Data, edge: Producer) -> None:
    edge.append(*shop(data))
    processor = Processor(data)
    for visitor in (1, 2, 1):
        edge.append(click(visitor=f"{visitor:032x}", at=900_000, received=wall()))
        drain(processor)
    processor.close()
    (line,) = rows(data, select(schema.rollups))
    assert (line["clicks"], _core.estimate_sketch(line["visitors"])) == (3, 2)


# --- kills -----------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for kill -9 at a chosen place."""


PLACES = ("before booking", "after journalling", "before the journal is on the disk", "before the commit")


@pytest.mark.parametrize("place", PLACES)
def test_a_processor_killed_anywhere_books_once(
    data: Data, edge: Producer, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    edge.append(*shop(data), click(), order("o1"), order("o2", amount=20_000))
    edge.close()
    with monkeypatch.context() as patch:
        post = Bookkeeper._post

        def dies(self: Bookkeeper, connection: Any, booked: Any) -> None:
            if place == "before the commit":
                post(self, connection, booked)
            raise Killed

        def dies_at_once(self: Bookkeeper, *_: Any) -> None:
            raise Killed

        def dies_unsynced(self: Processor) -> None:
            if self._unsynced:
                raise Killed

        if place == "before booking":
            patch.setattr(Bookkeeper, "apply", dies_at_once)
        elif place == "before the journal is on the disk":
            patch.setattr(Processor, "_wait_journalled", dies_unsynced)
        else:
            patch.setattr(Bookkeeper, "_post", dies)
        processor = Processor(data)
        with pytest.raises(Killed):
            processor.step()
        forget(processor)
    assert balances(data) == {}
    settle(data)
    settle(data)
    assert balances(data) == {"merchant:shop:payable": -3_000, "promoter:alice:pending": 3_000}
    assert [row["number"] for row in rows(data, select(schema.transfers))] == [1, 2]
    assert len(rows(data, select(schema.outcomes))) == 5
    proved(data)


def test_a_batch_that_is_journalled_in_parts_is_booked_whole(
    data: Data, edge: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "JOURNAL_BYTES", 1)
    edge.append(*shop(data), click(), *(order(f"o{n}") for n in range(5)))
    edge.close()
    settle(data)
    assert balances(data)["promoter:alice:pending"] == 5_000
    proved(data)


def test_a_second_processor_is_refused(data: Data) -> None:
    processor = Processor(data)
    with pytest.raises(DataError, match=r"processor\.lock: another tuike"):
        Processor(data)
    processor.close()


def test_the_books_position_stays_below_what_waits(data: Data, edge: Producer) -> None:
    edge.append(*shop(data), click())
    waiting = Producer(data, "import-0123456789abcdef", incarnation=2)
    waiting.append(click(), order("o1"), click())
    waiting.close()
    settle(data)
    books = engine.open_reader(data.database)
    with books.begin() as connection:
        assert position.read(connection, "hits").upto[2] == 3
        assert position.read(connection, "books").upto.get(2, 0) <= 1
    books.dispose()


# --- what edges and the admin see ------------------------------------------------------------------


async def test_the_touch_server_answers_for_a_click_and_for_teams(data: Data, edge: Producer) -> None:
    edge.append(*shop(data), click(channel="wechat"), write("promoter.create", id="bob", name="Bob", parent="alice"))
    processor = Processor(data)
    drain(processor)
    with TouchServer(data.processor_socket, processor.touches, lambda: processor.watermark, lambda: processor.forest):
        connector = aiohttp.UnixConnector(str(data.processor_socket))
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(f"http://processor/clicks/{1:016x}{4:016x}") as found:
                assert (found.status, (await found.json())["channel"]) == (200, "wechat")
            for unknown in ("0" * 32, "nonsense"):
                async with session.get(f"http://processor/clicks/{unknown}") as missing:
                    assert missing.status == 404
            async with session.get("http://processor/watermark") as mark:
                assert await mark.json() == {"watermark": processor.watermark}
            async with session.get("http://processor/teams?id=alice") as team:
                assert await team.json() == [1, 1, [1]]
            async with session.get("http://processor/teams?id=nobody") as nobody:
                assert nobody.status == 404
            async with session.post("http://processor/teams", json=[["alice"], []]) as below:
                assert await below.json() == [[1, 1], [0, 0], [0, 0]]
    processor.close()


def test_a_running_processor_books_within_a_second(data: Data, edge: Producer) -> None:
    stop = threading.Event()
    processor = Processor(data)
    running = threading.Thread(target=processor.run, args=(stop,))
    running.start()
    edge.append(*shop(data), click())
    times = []

    def booked(orders: int) -> bool:
        edge.writer.tick(wall())
        return balances(data).get("promoter:alice:pending") == 1_000 * orders

    try:
        for n in range(1, TRIES + 1):
            edge.append(order(f"o{n}"))
            began = time.monotonic()
            until(lambda n=n: booked(n), "the order in the books")
            times.append(time.monotonic() - began)
    finally:
        stop.set()
        running.join()
        processor.close()
    assert min(times) < 1, times  # the others show what else the machine has to do


def test_a_processor_that_has_worked_gives_memory_back_when_nothing_waits(
    data: Data, edge: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gave_back = threading.Event()
    give_back = memory.give_back

    def noted() -> None:
        give_back()
        gave_back.set()

    monkeypatch.setattr(process, "GIVE_BACK_S", 0.0)
    monkeypatch.setattr(memory, "give_back", noted)
    stop = threading.Event()
    processor = Processor(data)
    running = threading.Thread(target=processor.run, args=(stop,))
    running.start()
    try:
        edge.append(*shop(data), click())
        until(gave_back.is_set, "memory to be given back")
    finally:
        stop.set()
        running.join()
        processor.close()
