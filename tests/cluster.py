"""`deploy/local-cluster` as tests drive it: the scaled form, real servers and real processes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instance import Instance, Json
from ports import free_ports
from waiting import PATIENCE

SCRIPT = Path(__file__).parents[1] / "deploy" / "local-cluster"


class Cluster(Instance):
    """An instance on several machines: its first edge is `edge`, its admin API `admin`."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        base = str(free_ports(100))
        command = [sys.executable, str(SCRIPT), "--data", str(folder), "--base-port", base, *options]
        self._log = self.log.open("ab")
        self._script = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self.services: dict[str, Json] = {}

    def begin(self) -> None:
        """Waits until all of it is ready."""
        while "ready" not in (told := self._told()):
            self.services[told["name"]] = told
        self.admin = told["admin"]
        self.edges = [
            f"http://127.0.0.1:{service['port']}" for name, service in self.services.items() if name.startswith("edge-")
        ]
        self.edge = self.edges[0]
        self.edge_port = int(self.edge.rpartition(":")[2])

    def tell(self, line: str) -> Json:
        """One command of the script, e.g. `kill redis-1`."""
        assert self._script.stdin is not None
        self._script.stdin.write(line + "\n")
        self._script.stdin.flush()
        told = self._told()
        assert "error" not in told, told
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
def cluster(folder: Path, *options: str) -> Iterator[Cluster]:
    made = Cluster(folder, *options)
    try:
        made.begin()
        yield made
    finally:
        made.end()
