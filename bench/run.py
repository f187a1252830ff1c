"""The benchmark: tuike's edge and its peers, one core each, in alternating rounds.

`python bench/run.py [--quick]`: a table on stdout, all figures in `bench/out/`. It fails (exit code 1) when a
request got no good answer, or when the journal does not hold exactly the hits that were answered.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import report
import workload
from servers import PLAIN, SERVERS, TUIKE, VISITORS, Kind, Server, ServerFailed, returning_cookies

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out"

SITE = "track.example.com"
"""The `Host` of all requests."""

WORKLOADS: dict[str, Callable[[str, Sequence[str]], bytes]] = {
    "pixel": workload.pixels,
    "redirect": workload.redirects,
}

Json = dict[str, Any]


class Unfit(RuntimeError):
    """This machine or installation cannot run the benchmark; the message says what is missing."""


def main() -> None:
    settings = _settings()
    try:
        cores = _cores()
        generator = _build_generator()
        with tempfile.TemporaryDirectory(prefix="tuike-bench-") as directory:
            result = run(settings, Path(directory), generator, cores)
    except (Unfit, ServerFailed) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        sys.exit(2)
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(report.table(result))
    for fault in result["faults"]:
        print(f"bench: {fault}", file=sys.stderr)
    sys.exit(1 if result["faults"] else 0)


def run(settings: argparse.Namespace, directory: Path, generator: Path, cores: tuple[int, int]) -> Json:
    """All rounds; what was measured, what it was measured on, and what was wrong. `cores`: the servers', ours."""
    machine = report.machine()
    rounds: list[Json] = []
    servers: dict[str, Server] = {}
    with ExitStack() as running:
        for kind in SERVERS:
            servers[kind.name] = kind.start(directory, cores[0])
            running.callback(servers[kind.name].stop)
        cookies = returning_cookies(servers[TUIKE].host)
        for name, render in WORKLOADS.items():
            (directory / name).write_bytes(render(SITE, cookies))
        for number, name, kind in _turns(settings.rounds):
            server = servers[kind.name]
            command = [str(generator), "--target", server.host, "--requests", str(directory / name)]
            command += ["--seconds", str(settings.seconds), "--connections", str(settings.connections)]
            measured = {"round": number, "workload": name, "server": kind.name, **_measure(command, server, cores[1])}
            rounds.append(measured)
            print(report.line(measured), file=sys.stderr, flush=True)
    faults = [fault for measured in rounds for fault in _faults(measured)]
    counts = {}
    for name, server in servers.items():
        hits = server.hits()
        if hits is None:
            continue
        answered = sum(_recorded(measured) for measured in rounds if measured["server"] == name)
        counts[name] = {"answered": answered + (VISITORS if name == TUIKE else 0), "journaled": hits}
        if counts[name]["answered"] != hits:
            faults.append(f"{name}: {counts[name]['answered']} hits answered, {hits} in the journal")
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "settings": vars(settings),
        "summary": report.summary(rounds, base=PLAIN),
        "counts": counts,
        "faults": faults,
        "rounds": rounds,
    }


def _turns(rounds: int) -> Iterator[tuple[int, str, Kind]]:
    """Round by round all servers in turn, so that the machine's moods reach all of them."""
    for number in range(rounds):
        for name in WORKLOADS:
            for kind in SERVERS:
                if name in kind.workloads:
                    yield number, name, kind


def _measure(command: Sequence[str], server: Server, core: int) -> Json:
    """One run of the generator, with the server's processor time: µs for each request, and its share of the core."""
    before, began = server.cpu(), time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {core}), check=False
    )
    used, elapsed = server.cpu() - before, time.monotonic() - began
    if done.returncode != 0:
        raise ServerFailed(done.stderr.strip())
    measured: Json = json.loads(done.stdout)
    return measured | {
        "server_cpu_us": round(used / measured["sent"] * 1e6, 2),
        "server_share": round(used / elapsed, 3),
    }


def _recorded(measured: Json) -> int:
    """Hits that the server said to have recorded."""
    return int(sum(measured["statuses"].values()) - measured["unrecorded"])


def _faults(measured: Json) -> Iterator[str]:
    """What must be zero and is not."""
    where = f"round {measured['round'] + 1}, {measured['workload']}, {measured['server']}"
    for name in ("lost", "malformed", "unanswered", "unrecorded"):
        if measured[name]:
            yield f"{where}: {measured[name]} {name}"
    for status, count in measured["statuses"].items():
        if status not in ("200", "302"):
            yield f"{where}: {count} answers {status}"


def _cores() -> tuple[int, int]:
    """A core for the servers and one for the generator. The first takes most interrupts, so it is ours."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Unfit("two cores are needed, one for the servers and one for the generator")
    return cores[-1], cores[0]


def _build_generator() -> Path:
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


def _settings() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every server (default: 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="measured seconds of a round (default: 3)")
    parser.add_argument("--connections", type=int, default=64, help="keep-alive connections (default: 64)")
    parser.add_argument("--quick", action="store_true", help="rounds of 1 second")
    settings = parser.parse_args()
    if settings.quick:
        settings.seconds = 1.0
    return settings


if __name__ == "__main__":
    main()
