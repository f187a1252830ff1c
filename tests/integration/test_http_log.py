"""Without Redis: the folds fetch the journals from the machines, and make the same of them."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import URL, insert, update

from ports import free_port
from scaled import SECRET, Machine, Scaled, Story, compare
from tuike.data import Data
from tuike.journal_http import JournalRoutes
from tuike.stores import engine
from tuike.stores.schema import edges
from tuike.transport.http_log import UNREACHABLE, FarJournal
from waiting import until

EVENTS = 200
EVER = 1 << 50
"""An instant until which a machine is taken to live."""


class Server:
    """A machine's journal by HTTP, in a thread; it may be stopped and started again."""

    def __init__(self, machine: Machine, port: int) -> None:
        self._machine = machine
        self._port = port
        self.url = f"http://127.0.0.1:{port}"

    @contextmanager
    def running(self) -> Iterator[str]:
        loop = asyncio.new_event_loop()
        ready, stop = threading.Event(), asyncio.Event()

        async def serve() -> None:
            async def nothing(_request: web.Request) -> web.StreamResponse:
                raise web.HTTPNotFound

            app = web.Application()
            data = Data(self._machine.root, SECRET)
            app.add_routes(JournalRoutes(data, lambda: self._machine.story.now, nothing).routes())
            runner = web.AppRunner(app, shutdown_timeout=0)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            ready.set()
            await stop.wait()
            await runner.cleanup()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        assert ready.wait(20)
        try:
            yield self.url
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()


def known(scaled: Scaled, name: str, url: str) -> None:
    """The machine's mirror says where its journal is."""
    books = engine.open_writer(scaled.database)
    with books.begin() as connection:
        if not connection.execute(update(edges).where(edges.c.machine == name).values(url=url)).rowcount:
            connection.execute(insert(edges).values(machine=name, number=0, seen=EVER, url=url, state="serving"))
    books.dispose()


@pytest.fixture
def scaled(tmp_path: Path, database: URL) -> Iterator[Scaled]:
    story = Story(tmp_path, 21)
    scaled = Scaled(story, database, "")
    scaled.folder(), scaled.candidate()
    for machine in story.machines:
        known(scaled, machine.name, "")
    story.registry()
    yield scaled
    scaled.close()


def test_what_is_fetched_from_the_machines_makes_the_same_books(scaled: Scaled, tmp_path: Path, database: URL) -> None:
    story = scaled.story
    servers = [Server(machine, free_port()) for machine in story.machines]
    with servers[0].running():
        for machine, server in zip(story.machines, servers, strict=True):
            known(scaled, machine.name, server.url)
        story.go_on(EVENTS)
        scaled.steps(20)
        with servers[1].running():
            until(lambda: (scaled.step(), scaled.folders[0].folded > EVENTS // 2)[-1], "hits of both machines")
        story.go_on(EVENTS)
        scaled.steps(20)
        scaled.folders.pop().close()
        scaled.candidates.pop().close()
        scaled.folder(), scaled.folder(), scaled.candidate()
        with servers[1].running():
            story.go_on(EVENTS)
            story.close()
            scaled.drain()
    scaled.close()
    compare(story, tmp_path, database)


def test_who_has_another_secret_gets_nothing(tmp_path: Path) -> None:
    story = Story(tmp_path, 1, machines=1)
    with Server(story.machines[0], free_port()).running() as url:
        stranger = FarJournal(url, "00" * 32, "r")
        with pytest.raises(UNREACHABLE, match="404"):
            stranger.take({}, 10, 0)
        stranger.close()
        friend = FarJournal(url, SECRET, "r")
        assert friend.take({}, 10, 0).count == 0
        friend.close()
    story.close()
