"""Two workers on two cores against one, both with load from both cores.

There is no third core for the load: the generators take from the workers what they need, and more beside two than
beside one. So what is judged is the workers' own processor time: how many hits two cores of it are worth."""

import servers
import visitors
from generator import Load
from machine import pin_running
from part import Bench, Figure, Json, Result, ratios

AT_LEAST = 1.8


def measure(bench: Bench) -> Result:
    result = Result()
    cores = (bench.cores.server, bench.cores.load)
    one = servers.start_tuike(bench, "1 worker")
    two = servers.start_tuike(bench, "2 workers", workers=2)
    with servers.stopping(one, two):
        for worker, core in zip(two.workers, cores, strict=True):
            pin_running(worker, core)
        requests = visitors.pixels(bench, visitors.returning(one))
        for number in range(bench.settings.rounds):
            for server in (one, two):
                loads = [Load(bench, server, requests, core=core) for core in cores]
                result.rounds.append({"round": number, **_together([load.finish() for load in loads])})
    for server in (one, two):
        result.count(f"pixels, {server.name}", server.answered, server.recorded())
        result.faults += server.faults
    result.figures = _figures(result.rounds[::2], result.rounds[1::2])
    return result


def _figures(ones: list[Json], twos: list[Json]) -> list[Figure]:
    each = [[1 / row["server_cpu_us"] for row in rows] for rows in (ones, twos)]
    worth = tuple(2 * ratio for ratio in ratios(each[1], each[0]))
    rates = [[row["requests_per_second"] for row in rows] for rows in (ones, twos)]
    shares = [
        [100 * sum(row[name] for row in rows) / len(rows) for name in ("generator", "server_share")]
        for rows in (ones, twos)
    ]
    said = [f"{workers:.0f} % of a core for the workers, {load:.0f} % for the load" for load, workers in shares]
    return [
        Figure("2 workers against 1, by their CPU", "times", worth, AT_LEAST, note=f"1: {said[0]}; 2: {said[1]}"),
        Figure("2 workers against 1, the load taking its part", "times", ratios(rates[1], rates[0])),
    ]


def _together(loads: list[Json]) -> Json:
    """What generators measured at the same time."""
    sums = {name: sum(load[name] for load in loads) for name in ("requests_per_second", "sent", "generator")}
    share = max(load["server_share"] for load in loads)
    cpu = sum(load["server_cpu_us"] * load["sent"] for load in loads) / len(loads) / sums["sent"]
    return {"server": loads[0]["server"], **sums, "server_share": share, "server_cpu_us": cpu}
