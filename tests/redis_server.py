"""A real Redis server with data of its own, for as long as a test runs it."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from ports import free_port
from waiting import until

START_S = 30.0


class RedisServer:
    def __init__(self, root: Path, program: str) -> None:
        self._root = root
        self._program = program
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns when it answers; it starts empty."""
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._root)]
        with (self._root / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *options], stdout=log, stderr=log)
        until(self._answers, "Redis to answer", START_S)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(START_S)
            self._process = None

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@contextmanager
def running(root: Path) -> Iterator[RedisServer]:
    """A new server; skips the test, saying so, where Redis is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("REDIS NOT TESTED: redis-server is not installed")
    server = RedisServer(root, program)
    server.start()
    try:
        yield server
    finally:
        server.kill()
