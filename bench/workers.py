"""Two workers on two cores against one on one. There is no third core for the load, so each core has a generator of
its own beside its worker: what is compared is twice the same share of a core."""

import servers
import visitors
from generator import Load
from machine import pin_running
from part import Bench, Figure, Json, Result, ratios

AT_LEAST = 1.8


def measure(bench: Bench) -> Result:
    result = Result()
    one = servers.start_tuike(bench, "one worker")
    two = servers.start_tuike(bench, "two workers", workers=2)
    with servers.stopping(one, two):
        cores = (bench.cores.server, bench.cores.load)
        for worker, core in zip(two.workers, cores, strict=True):
            pin_running(worker, core)
        requests = visitors.pixels(bench, visitors.returning(one))
        for number in range(bench.settings.rounds):
            for server, loaded in ((one, cores[:1]), (two, cores)):
                loads = [Load(bench, server, requests, core=core) for core in loaded]
                result.rounds.append({"round": number, **_together([load.finish() for load in loads])})
    for server in (one, two):
        result.count(f"pixels, {server.name}", server.answered, server.recorded())
        result.faults += server.faults
    singles, doubles = result.rounds[::2], result.rounds[1::2]
    values = ratios([row["requests_per_second"] for row in doubles], [row["requests_per_second"] for row in singles])
    shares = [f"{100 * sum(row['generator'] for row in rows) / len(rows):.0f} %" for rows in (singles, doubles)]
    note = f"generators had {shares[0]} of one core, {shares[1]} of two, the workers the rest"
    result.figures = [Figure("2 workers on 2 cores against 1 on 1", "times", values, AT_LEAST, note=note)]
    return result


def _together(loads: list[Json]) -> Json:
    """What generators measured at the same time."""
    sums = {name: sum(load[name] for load in loads) for name in ("requests_per_second", "sent", "generator")}
    shares = {"server_share": max(load["server_share"] for load in loads)}
    return {"server": loads[0]["server"], **sums, **shares, "p99_us": max(load["p99_us"] for load in loads)}
