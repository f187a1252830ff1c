"""Runs `tuike-load` against a server, and adds what the server used meanwhile."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from machine import Unfit, pin
from part import Bench, Json
from servers import Server, ServerFailed

ROOT = Path(__file__).resolve().parent.parent

GOOD = ("200", "202", "302")
ZERO = ("lost", "malformed", "unanswered", "unrecorded")


def build() -> Path:
    """Builds `bench/load`; where the program is."""
    command = ["cargo", "build", "--quiet", "--release", "--package", "tuike-load", "--message-format", "json"]
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    except FileNotFoundError:
        raise Unfit("cargo is missing; install Rust with rustup (https://rustup.rs)") from None
    except subprocess.CalledProcessError as error:
        raise Unfit(f"the generator does not build (cargo: {error.returncode})") from None
    messages = map(json.loads, done.stdout.splitlines())
    return next(Path(message["executable"]) for message in messages if message.get("executable"))


class Load:
    """A run of the generator, which has begun."""

    def __init__(
        self,
        bench: Bench,
        server: Server,
        requests: Path,
        *,
        connections: int | None = None,
        seconds: float | None = None,
        rate: float | None = None,
        burst: int = 1,
        core: int | None = None,
        nice: int = 0,
    ) -> None:
        """Without `rate` a closed loop; `core` is the load's unless said otherwise."""
        settings = bench.settings
        command = [str(bench.generator), "--target", server.host, "--requests", str(requests)]
        command += ["--seconds", str(seconds or settings.seconds)]
        command += ["--connections", str(connections or settings.connections), "--burst", str(burst)]
        if rate is not None:
            command += ["--rate", str(rate)]

        def prepare() -> None:
            os.nice(nice)
            pin(bench.cores.load if core is None else core)()

        self._server = server
        self._used, self._helped = server.cpu(), server.helper_cpu()
        self._began = time.monotonic()
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=prepare)

    def finish(self) -> Json:
        """Waits for its end; what it measured, and of the server: µs of CPU for each request, shares of a core.

        `busy` is the share of the load's core that the generator and the server's helpers there had."""
        out, problem = self._process.communicate()
        if self._process.returncode != 0:
            raise ServerFailed(problem.strip())
        elapsed = time.monotonic() - self._began
        used, helped = self._server.cpu() - self._used, self._server.helper_cpu() - self._helped
        measured: Json = json.loads(out)
        self._server.answered += sum(measured["statuses"].values()) - measured["unrecorded"]
        self._server.faults += [f"{self._server.name}: {fault}" for fault in _faults(measured)]
        return measured | {
            "server": self._server.name,
            "server_cpu_us": round(used / measured["sent"] * 1e6, 2),
            "server_share": round(used / elapsed, 3),
            "generator": measured["busy"],
            "busy": round(measured["busy"] + helped / elapsed, 3),
        }


def _faults(measured: Json) -> Iterator[str]:
    """What must be zero and is not."""
    for name in ZERO:
        if measured[name]:
            yield f"{measured[name]} {name}"
    for status, count in measured["statuses"].items():
        if status not in GOOD:
            yield f"{count} answers {status}"
