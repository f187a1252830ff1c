"""tuike's pixel against its peers' and its own redirect, in alternating rounds: a closed loop on one core."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import servers
import visitors
from generator import Load
from part import Bench, Figure, Json, Result, busy_note, ratios, spread
from servers import Missing, Server


@dataclass(frozen=True)
class Peer:
    """`at_least`: how many times as fast tuike is to be."""

    start: Callable[[Bench], Server]
    at_least: float | None


PEERS = (
    Peer(servers.start_nginx, 1.2),
    Peer(lambda bench: servers.start_nginx(bench, "on", "LOG combined"), 1.45),
    # fewer writes, and up to a second of hits lost with the process
    Peer(lambda bench: servers.start_nginx(bench, "buffered", "LOG combined buffer=64k flush=1s"), None),
    Peer(servers.start_go, 2.2),
    Peer(servers.start_go_redis, 3.8),
    Peer(servers.start_plain_aiohttp, 4.5),
)
REDIRECT_AT_LEAST = 0.93


def measure(bench: Bench) -> Result:
    result = Result()
    with ExitStack() as running:
        tuike = servers.start_tuike(bench)
        running.enter_context(servers.stopping(tuike))
        peers: list[tuple[Server, float | None]] = []
        for peer in PEERS:
            try:
                server = peer.start(bench)
            except Missing as missing:
                result.left_out.append(str(missing))
                continue
            running.enter_context(servers.stopping(server))
            peers.append((server, peer.at_least))
        cookies = visitors.returning(tuike)
        pixels, redirects = visitors.pixels(bench, cookies), visitors.redirects(bench, cookies)
        turns = [("pixel", tuike, pixels), ("redirect", tuike, redirects)]
        turns += [("pixel", server, pixels) for server, _ in peers]
        for number in range(bench.settings.rounds):
            # there and back, so that what grows or fades in a round favours nobody
            for request, server, path in turns if number % 2 == 0 else reversed(turns):
                measured = {"round": number, "request": request, **Load(bench, server, path).finish()}
                result.rounds.append(measured)
                print(_line(measured), file=sys.stderr, flush=True)
    result.count("pixels and redirects", tuike.answered, tuike.recorded())
    result.faults += [fault for server in (tuike, *(server for server, _ in peers)) for fault in server.faults]
    result.figures = list(_figures(result.rounds, tuike, peers))
    result.details["servers"] = [
        _row(result.rounds, request, server)
        for request, server in [("pixel", tuike), ("redirect", tuike), *(("pixel", server) for server, _ in peers)]
    ]
    return result


def _figures(rounds: list[Json], tuike: Server, peers: list[tuple[Server, float | None]]) -> Iterator[Figure]:
    ours = _of(rounds, "pixel", tuike)
    for server, at_least in peers:
        theirs = _of(rounds, "pixel", server)
        values = ratios(_rates(ours), _rates(theirs))
        note = f"{busy_note(ours)}; theirs {busy_note(theirs)}"
        yield Figure(f"pixel against {server.name}", "times", values, at_least=at_least, note=note)
    redirects = _of(rounds, "redirect", tuike)
    values = ratios(_rates(redirects), _rates(ours))
    yield Figure("redirect against pixel", "times", values, REDIRECT_AT_LEAST, note=busy_note(redirects))


def _row(rounds: list[Json], request: str, server: Server) -> Json:
    """Medians and spreads of a server, for the table."""
    own = _of(rounds, request, server)
    names = ("requests_per_second", "server_cpu_us", "server_share", "p50_us", "p99_us", "busy")
    return {
        "request": request,
        "server": server.name,
        "note": busy_note(own),
        **{name: spread([measured[name] for measured in own]) for name in names},
    }


def _of(rounds: list[Json], request: str, server: Server) -> list[Json]:
    return [measured for measured in rounds if (measured["request"], measured["server"]) == (request, server.name)]


def _rates(rounds: list[Json]) -> list[float]:
    return [measured["requests_per_second"] for measured in rounds]


def _line(measured: Json) -> str:
    """One round, as it goes by."""
    return (
        f"{measured['round'] + 1:3} {measured['request']:9} {measured['server']:52} "
        f"{measured['requests_per_second']:>9,.0f}/s  {measured['server_cpu_us']:6.2f} µs CPU  "
        f"p99 {measured['p99_us'] / 1000:.2f} ms  generator {measured['busy']:.0%}"
    )
