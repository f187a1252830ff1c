"""Signed `POST /postback` on the aiohttp path: each is answered when its order is on the disk, syncs grouped."""

import time

import machine
import servers
import visitors
import workload
from generator import Load
from part import Bench, Figure, Result, busy_note

CONNECTIONS = 128
AT_LEAST = 8_000.0


def measure(bench: Bench) -> Result:
    result = Result()
    tuike = servers.start_tuike(bench)
    with servers.stopping(tuike):
        cookies = visitors.returning(tuike)
        for number in range(bench.settings.rounds):
            requests = visitors.write(bench, "postback", workload.postbacks(cookies, int(time.time())))
            measured = Load(bench, tuike, requests, connections=CONNECTIONS).finish()
            result.rounds.append({"round": number, **measured})
    result.count("postbacks", tuike.answered, tuike.recorded())
    result.faults += tuike.faults
    rates = tuple(measured["requests_per_second"] for measured in result.rounds)
    note = f"{CONNECTIONS} connections, fdatasync {machine.sync_ms(bench.directory):.2f} ms, {busy_note(result.rounds)}"
    result.figures = [
        Figure("signed postbacks", "requests/s", rates, AT_LEAST, note=note),
        Figure("CPU of a postback", "µs", tuple(measured["server_cpu_us"] for measured in result.rounds)),
        Figure("p99 of a postback, saturated", "ms", tuple(measured["p99_us"] / 1e3 for measured in result.rounds)),
    ]
    return result
