"""A postback's latency beside 200 connections that pipeline pixels as fast as they are answered."""

import time

import servers
import visitors
import workload
from generator import Load
from part import Bench, Figure, Result

CROWD = 200
BURST = 16
RATE = 200.0
"""Postbacks a second."""
AT_MOST_MS = 200.0
NICE = 10
"""The crowd's generator makes room for that of the postbacks, which share a core."""


def measure(bench: Bench) -> Result:
    result = Result()
    tuike = servers.start_tuike(bench)
    with servers.stopping(tuike):
        cookies = visitors.returning(tuike)
        pixels = visitors.pixels(bench, cookies)
        for number in range(bench.settings.rounds):
            postbacks = visitors.write(bench, "postback", workload.postbacks(cookies, int(time.time())))
            seconds = bench.settings.seconds
            crowd = Load(bench, tuike, pixels, connections=CROWD, burst=BURST, seconds=seconds + 1, nice=NICE)
            orders = Load(bench, tuike, postbacks, rate=RATE, seconds=seconds).finish()
            result.rounds.append({"round": number, "postbacks": orders, "pixels": crowd.finish()})
    result.count("pixels and postbacks in a crowd", tuike.answered, tuike.recorded())
    result.faults += tuike.faults
    pixels_per_second = tuple(row["pixels"]["requests_per_second"] for row in result.rounds)
    p99 = tuple(row["postbacks"]["p99_us"] / 1e3 for row in result.rounds)
    result.figures = [
        Figure(f"p99 of a postback beside {CROWD} pipelining connections", "ms", p99, at_most=AT_MOST_MS),
        Figure("pixels meanwhile", "requests/s", pixels_per_second, note=f"{BURST} at once on each connection"),
    ]
    return result
