"""The benchmark: tuike's edge against its peers, its limits, and the processor behind it.

`python bench/run.py [--quick] [--only PART,...]`: tables on stdout; figures, tables and plot in `bench/out/`.
It fails (exit code 1) when a request got no good answer, or when what was recorded is not what was answered.
A figure that is not reached is no failure: machines differ.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import books
import capacity
import cpu
import crowd
import drain
import durability
import generator
import idle
import incore
import lag
import latency
import machine
import plot
import postbacks
import ratios
import registry
import report
import reporting
import scaled
import settlement
import verify
import views
import workers
from machine import Cores, Unfit
from part import Bench, Json, Result, Settings
from servers import ServerFailed

OUT = Path(__file__).resolve().parent / "out"

PARTS: dict[str, Callable[[Bench], Result]] = {
    "ratios": ratios.measure,
    "postbacks": postbacks.measure,
    "workers": workers.measure,
    "latency": latency.measure,
    "durability": durability.measure,
    "crowd": crowd.measure,
    "idle": idle.measure,
    "cpu": cpu.measure,
    "capacity": capacity.measure,
    "drain": drain.measure,
    "scaled": scaled.measure,
    "lag": lag.measure,
    "reporting": reporting.measure,
    "settlement": settlement.measure,
    "books": books.measure,
    "incore": incore.measure,
    "verify": verify.measure,
    "views": views.measure,
}


def main(arguments: Sequence[str] | None = None) -> None:
    settings, parts = _parse(arguments)
    OUT.mkdir(exist_ok=True)
    try:
        result = run(settings, parts)
    except (Unfit, ServerFailed) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        sys.exit(2)
    path = OUT / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    table = report.markdown(result)
    path.with_suffix(".md").write_text(table + "\n")
    if "ratios" in parts:
        path.with_suffix(".svg").write_text(plot.svg(result))
    print(table)
    faults = [fault for part in result["parts"].values() for fault in part["faults"]]
    for fault in faults:
        print(f"bench: {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


def run(settings: Settings, parts: Sequence[str]) -> Json:
    """All parts; what was measured, and what it was measured on."""
    cores = Cores.choose()
    program = generator.build()
    # what is measured has its own core; we and the load have the other one
    os.sched_setaffinity(0, {cores.load})
    described = machine.describe()
    done: dict[str, Json] = {}
    # beside the results: on a disk, where the system's own place for temporary files may be in memory
    with tempfile.TemporaryDirectory(prefix="run-", dir=OUT) as root:
        described["sync_ms"] = machine.sync_ms(Path(root))
        base = registry.make(Path(root) / "base").root
        for name in parts:
            began = time.monotonic()
            print(f"{name}: {sys.modules[PARTS[name].__module__].__doc__}".splitlines()[0], file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=root) as directory:
                result = PARTS[name](Bench(settings, cores, program, base, Path(directory)))
            if settings.quick:
                result.figures = [replace(figure, at_least=None, at_most=None) for figure in result.figures]
            for figure in result.figures:
                print(f"  {figure.name}: {report.number(figure.median)} {figure.unit}", file=sys.stderr, flush=True)
            done[name] = {"seconds": round(time.monotonic() - began, 1), **result.to_json()}
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return {"when": when, "machine": described, "settings": vars(settings), "parts": done}


def _parse(arguments: Sequence[str] | None) -> tuple[Settings, list[str]]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="short rounds and small sizes: whether it works; nothing is judged"
    )
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, by commas (default: all: {', '.join(PARTS)})")
    parser.add_argument("--rounds", type=int, help="rounds of every server (default: 5; quick: 2)")
    parser.add_argument("--seconds", type=float, help="measured seconds of a round (default: 3; quick: 0.5)")
    parser.add_argument("--connections", type=int, default=64, help="keep-alive connections (default: 64)")
    parser.add_argument(
        "--drain", type=int, help="events that the processor drains (default: 5 million; quick: 50,000)"
    )
    parser.add_argument("--orders", type=int, help="orders that are booked alone (default: 1 million; quick: 10,000)")
    given = parser.parse_args(arguments)
    parts = given.only.split(",")
    for part in parts:
        if part not in PARTS:
            parser.error(f"there is no part {part!r}; there are: {', '.join(PARTS)}")
    rounds = given.rounds or (2 if given.quick else 5)
    seconds = given.seconds or (0.5 if given.quick else 3.0)
    drained = given.drain or (50_000 if given.quick else 5_000_000)
    booked = given.orders or (10_000 if given.quick else 1_000_000)
    return Settings(rounds, seconds, given.connections, drained, booked, given.quick), parts


if __name__ == "__main__":
    main()
