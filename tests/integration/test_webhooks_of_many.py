"""Webhooks of an instance on several machines: one sender of several has the lease, and none of it is lost with it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, insert, select

import redis_servers
from receiving import Received, receiving
from redis_servers import RedisServer
from scaled import SECRET, Scaled, Story
from tuike import _core
from tuike.clock import wall
from tuike.data import Data
from tuike.sending import sender
from tuike.sending.place import ManyMachines
from tuike.sending.sender import SEAL_PURPOSE, Sender
from tuike.stores import engine
from tuike.stores.schema import conversions, webhook_positions, webhooks
from waiting import eventually

KEY = "whsec_" + "a2V5" * 8
ROUNDS = 4


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_servers.running() as server:
        yield server


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    monkeypatch.setattr(sender, "POLL_SECONDS", 0.02)
    with receiving() as received:
        yield received


@pytest.fixture
async def scaled(tmp_path: Path, database: URL, server: RedisServer, received: Received) -> AsyncIterator[Scaled]:
    with server.client() as client:
        client.flushall()
    scaled = Scaled(Story(tmp_path, 5), database, server.url)
    scaled.folder(), scaled.candidate(), scaled.candidate()
    hook = {"id": "hook", "url": received.url, "events": '["conversion.created"]', "status": "active"}
    secret = _core.seal(SECRET, SEAL_PURPOSE, KEY.encode(), bytes(12))
    books = engine.open_writer(database)
    with books.begin() as connection:
        connection.execute(insert(webhooks).values(**hook, secret=secret, number=0, created=0, body=""))
    books.dispose()
    yield scaled
    scaled.close()


def started(scaled: Scaled, root: Path, name: str) -> Sender:
    """As an admin process of its own has it."""
    data = replace(Data.open(root, create=True, environment={"TUIKE_SECRET": SECRET}), server=scaled.database)
    made = Sender(
        lambda: ManyMachines(data, name), SECRET, allow_private=True, clock=wall, random=lambda count: bytes(count)
    )
    books = engine.open_reader(scaled.database)

    async def read(query: Any) -> Any:
        with books.connect() as connection:
            return query(connection)

    made.start(read)
    return made


async def test_whoever_loses_the_books_or_the_sending_no_event_is_lost_and_a_repeat_has_the_same_id(
    tmp_path: Path, scaled: Scaled, received: Received
) -> None:
    story = scaled.story
    senders = [started(scaled, tmp_path / name, name) for name in ("one", "two")]
    story.registry()
    for round in range(ROUNDS):
        story.go_on(150, restarts=False)
        before = len(received.got)

        async def more(before: int = before) -> bool:
            scaled.step()
            return len(received.got) > before

        await eventually(more, "something to be sent")
        scaled.rob()  # of books, of partitions and of sending: whoever has them believes that he still does
        if round == 1:
            await senders.pop(0).close()
            senders.append(started(scaled, tmp_path / "three", "three"))
    story.close()
    scaled.drain()
    books = engine.open_reader(scaled.database)
    with books.begin() as connection:
        made = [(f"evt_{row.number}", row.order_id) for row in connection.execute(select(conversions))]

    async def all_came() -> bool:
        return len(received.firsts()) >= len(made)

    await eventually(all_came, "all to be sent")
    assert [(id, body["data"]["order_id"]) for id, body in received.firsts().items()] == sorted(
        made, key=lambda one: int(one[0].removeprefix("evt_"))
    )

    async def noted() -> bool:
        with books.begin() as connection:
            return (connection.scalar(select(webhook_positions.c.number)) or 0) >= int(made[-1][0][4:])

    await eventually(noted, "how far it is to stand in the books")
    books.dispose()
    for one in senders:
        await one.close()
