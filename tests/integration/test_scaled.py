"""The scaled form makes of the same journals the same books, sums and touches as one processor does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

import redis_servers
from redis_servers import RedisServer
from scaled import Scaled, Story, compare


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_servers.running() as server:
        yield server


@pytest.fixture
def redis_url(server: RedisServer) -> str:
    with server.client() as client:
        client.flushall()
    return server.url


def test_scaled_and_embedded_make_the_same_of_the_same_journals(tmp_path: Path, database: URL, redis_url: str) -> None:
    story = Story(tmp_path, 1)
    scaled = Scaled(story, database, redis_url)
    scaled.folder(), scaled.folder(), scaled.candidate(), scaled.candidate()
    story.registry()
    for _ in range(10):
        story.go_on(200)
        for _ in range(5):
            scaled.step()
    story.close()
    scaled.drain()
    scaled.close()
    compare(story, tmp_path, database)
