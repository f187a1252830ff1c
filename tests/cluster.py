"""`deploy/local-cluster` as tests drive it: the scaled form, real servers and real processes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import redis
from sqlalchemy import Connection

from instance import Instance, Json, family
from link import Link, linked
from ports import free_ports
from tuike.stores import engine
from waiting import PATIENCE

SCRIPT = Path(__file__).parents[1] / "deploy" / "local-cluster"
REDIS_NODES = 6
LINK_PORT = 70
"""From the first port on: where the tests' link to the first Redis listens."""


class Cluster(Instance):
    """An instance on several machines: its first edge is `edge`, its admin API `admin`. All its parts reach Redis by
    `link`."""

    def __init__(self, folder: Path, base: int, link: Link, *options: str) -> None:
        super().__init__(folder)
        self.link = link
        command = [sys.executable, str(SCRIPT), "--data", str(folder), "--base-port", str(base), *options]
        command += ["--redis-link", str(base + LINK_PORT)]
        self._log = self.log.open("ab")
        self._script = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            # folders: of each processor; tests receive webhooks on this machine
            env=os.environ | {"TUIKE_FOLDERS": "1", "TUIKE_WEBHOOK_ALLOW_PRIVATE": "1"},
        )
        self.services: dict[str, Json] = {}

    def begin(self) -> None:
        """Waits until all of it is ready."""
        while "ready" not in (told := self._told()):
            self.services[told["name"]] = told
        self.admin, self.database = told["admin"], told["database"]
        self.edges = [f"http://127.0.0.1:{self.port(name)}" for name in self.names("edge-") if self.runs(name)]
        self.edge = self.edges[0]
        self.edge_port = self.port("edge-1")

    # --- services ----------------------------------------------------------------------------------

    def names(self, prefix: str) -> list[str]:
        return [name for name in self.services if name.startswith(prefix)]

    def port(self, name: str) -> int:
        return int(self.services[name]["port"])

    def group(self, name: str) -> int:
        """The process group of a service."""
        return int(self.services[name]["pid"])

    def runs(self, name: str) -> bool:
        return bool(self.services[name]["runs"])

    def running(self, name: str) -> list[int]:
        """The processes that run a module, e.g. `tuike.folder`, in any service."""
        groups = [family(self.group(service)) for service in self.services if self.runs(service)]
        return sorted(pid for group in groups for pid, (_, command) in group.items() if name in command)

    def redis(self, name: str) -> "redis.Redis":
        """A client of one Redis, not by the link."""
        return redis.Redis(port=self.port(name))

    @contextmanager
    def books(self) -> Iterator[Connection]:
        """A connection of its own to the database."""
        books = engine.open_reader(engine.parse(self.database))
        try:
            with books.begin() as connection:
                yield connection
        finally:
            books.dispose()

    def tell(self, line: str) -> Json:
        """One command of the script, e.g. `kill redis-1`."""
        assert self._script.stdin is not None
        self._script.stdin.write(line + "\n")
        self._script.stdin.flush()
        told = self._told()
        assert "error" not in told, told
        self.services |= {told["name"]: told} if "name" in told else {}
        return told

    def _told(self) -> Json:
        assert self._script.stdout is not None
        line = self._script.stdout.readline()
        assert line, f"local-cluster ended; its log ends with {self.log.read_text()[-2000:]}"
        told: dict[str, Any] = json.loads(line)
        return told

    def end(self) -> None:
        self._script.communicate(timeout=PATIENCE)
        self._log.close()


@contextmanager
def cluster(*options: str) -> Iterator[Cluster]:
    """The logs of one in which something fails are kept; where, is noted with the error."""
    with ExitStack() as stack:
        # pytest's own folders are closed to the users that the database servers run as
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tuike-cluster-")))
        folder.chmod(0o755)
        base = free_ports(100)
        link = stack.enter_context(linked({base + LINK_PORT + node: base + node for node in range(REDIS_NODES)}))
        made = Cluster(folder / "cluster", base, link, *options)
        stack.callback(made.end)
        try:
            made.begin()
            yield made
        except Exception as error:
            kept = Path(mkdtemp(prefix="tuike-failed-"))
            for log in (made.log, *made.data.glob("*/log")):
                shutil.copy(log, kept / f"{log.parent.name}-{log.name}")
            error.add_note(f"what the cluster's processes said is kept in {kept}")
            raise
