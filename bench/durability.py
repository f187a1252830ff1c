"""`durability=always`: every answer waits for the disk, one sync a turn. Against the default, with 256 connections."""

import machine
import servers
import visitors
from generator import Load
from part import Bench, Figure, Result, busy_note, ratios

CONNECTIONS = 256
AT_LEAST = 0.25


def measure(bench: Bench) -> Result:
    result = Result()
    both = [servers.start_tuike(bench, f"durability={name}", durability=name) for name in ("interval", "always")]
    with servers.stopping(*both):
        requests = visitors.pixels(bench, visitors.returning(both[0]))
        syncs = []
        for number in range(bench.settings.rounds):
            syncs.append(machine.sync_ms(bench.directory))
            for server in both:
                measured = Load(bench, server, requests, connections=CONNECTIONS).finish()
                result.rounds.append({"round": number, **measured})
    for server in both:
        result.count(f"pixels, {server.name}", server.answered, server.recorded())
        result.faults += server.faults
    interval, always = result.rounds[::2], result.rounds[1::2]
    rates = [tuple(measured["requests_per_second"] for measured in rows) for rows in (interval, always)]
    result.figures = [
        Figure("durability=always against the default", "times", ratios(rates[1], rates[0]), AT_LEAST),
        Figure("durability=always", "requests/s", rates[1], note=f"{CONNECTIONS} connections, {busy_note(always)}"),
        Figure("the default there", "requests/s", rates[0], note=busy_note(interval)),
        Figure("the disk's fdatasync", "ms", tuple(syncs)),
    ]
    return result
