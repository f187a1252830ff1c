"""The p99 at half of each one's own maximum rate: an open loop, coordinated omission corrected."""

import statistics
from pathlib import Path

import servers
import visitors
from generator import Load
from part import Bench, Figure, Result
from servers import Missing, Server

WORSE_AT_MOST_MS = 1.0
SHARE = 0.5
LOOKS = 3
"""Short closed loops that find the maximum."""


def measure(bench: Bench) -> Result:
    result = Result()
    tuike = servers.start_tuike(bench)
    with servers.stopping(tuike):
        requests = visitors.pixels(bench, visitors.returning(tuike))
        try:
            nginx = servers.start_nginx(bench)
        except Missing as missing:
            result.left_out.append(str(missing))
            both = [tuike]
        else:
            both = [tuike, nginx]
        with servers.stopping(*both[1:]):
            rates = [SHARE * _maximum(bench, server, requests) for server in both]
            for number in range(bench.settings.rounds):
                for server, rate in zip(both, rates, strict=True):
                    measured = Load(bench, server, requests, rate=rate).finish()
                    result.rounds.append({"round": number, **measured})
    result.count("pixels at half load", tuike.answered, tuike.recorded())
    for server, rate in zip(both, rates, strict=True):
        result.faults += server.faults
        own = [measured for measured in result.rounds if measured["server"] == server.name]
        p99, note = tuple(measured["p99_us"] / 1e3 for measured in own), f"open loop, {rate:,.0f} requests/s"
        result.figures.append(Figure(f"p99 at half load, {server.name}", "ms", p99, note=note))
    if len(both) == 2:
        ours, theirs = (figure.values for figure in result.figures)
        worse = tuple(our - their for our, their in zip(ours, theirs, strict=True))
        result.figures.append(Figure("p99 at half load, above nginx's", "ms", worse, at_most=WORSE_AT_MOST_MS))
    return result


def _maximum(bench: Bench, server: Server, requests: Path) -> float:
    """Requests a second of a closed loop."""
    looks = [Load(bench, server, requests, seconds=bench.settings.seconds / 2).finish() for _ in range(LOOKS)]
    return float(statistics.median(look["requests_per_second"] for look in looks))
