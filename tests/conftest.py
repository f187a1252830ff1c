"""Fixtures that all tests may use."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import URL, Engine

import installed
import preloads
import redis_servers
import sql_servers
from redis_servers import RedisServer
from scaled import EVENTS, Scaled, Story
from sql_servers import Server
from tuike.stores import engine, migrations

HERE = Path(__file__).parent

# how long an example takes is the machine's business
settings.register_profile("tuike", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tuike")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, which is not part of the repository: TUIKE_SHARED_DATA, else ../shared/data."""
    folder = Path(os.environ.get("TUIKE_SHARED_DATA") or HERE.parents[1] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"NOT TESTED: {folder}, real data, is not there (set TUIKE_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library to preload: a disk that fails on demand (see faults.c)."""
    return _preloaded("faults.c", tmp_path_factory)


@pytest.fixture(scope="session")
def wrong_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library to preload: a wall clock that is ahead (see clock.c)."""
    return _preloaded("clock.c", tmp_path_factory)


def _preloaded(source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return preloads.compiled(source, tmp_path_factory.mktemp("preloaded"))
    except preloads.NoCompiler as missing:
        installed.lacking(str(missing))


@pytest.fixture(scope="session")
def sql_server() -> Iterator[Callable[[str], Server]]:
    """The session's server by its name, started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def started(name: str) -> Server:
            try:
                return stack.enter_context(sql_servers.running(name))
            except sql_servers.NotInstalled as missing:
                installed.lacking(str(missing))

        yield started


@pytest.fixture(params=sql_servers.SERVERS)
def own_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of this test alone, each in turn: one that it may kill."""
    try:
        with sql_servers.running(request.param) as started:
            yield started
    except sql_servers.NotInstalled as missing:
        installed.lacking(str(missing))


@pytest.fixture(params=sql_servers.SERVERS)
def server_url(request: pytest.FixtureRequest, sql_server: Callable[[str], Server]) -> Iterator[str]:
    """An empty database on each server in turn: what `--database` takes."""
    server = sql_server(request.param)
    created = server.create()
    yield created
    server.drop(created)


@pytest.fixture(params=sql_servers.ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path, sql_server: Callable[[str], Server]) -> Iterator[URL]:
    """An empty database of each engine in turn."""
    if request.param == "sqlite":
        yield engine.of_file(tmp_path / "books.sqlite")
        return
    server = sql_server(request.param)
    url = server.create()
    yield engine.parse(url)
    server.drop(url)


@pytest.fixture
def writer(database: URL) -> Iterator[Engine]:
    """An empty instance's tables on each engine in turn."""
    made = engine.open_writer(database)
    migrations.upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with redis_servers.running() as server:
        yield server


@pytest.fixture
def scaled(tmp_path: Path, redis_server: RedisServer) -> Iterator[Scaled]:
    """Two machines, two folders, a bookkeeper, with something on its way."""
    story = Story(tmp_path, 7)
    scaled = Scaled(story, engine.of_file(tmp_path / "books.sqlite"), redis_server.url)
    scaled.folder(), scaled.folder(), scaled.candidate()
    story.registry()
    story.go_on(EVENTS)
    scaled.steps(3)
    yield scaled
    scaled.close()
