"""What operators see of the edge workers of a data directory: readiness and metrics in Prometheus' text format, and a
port of its own for such things where there is no admin API beside."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aiohttp import web

from tuike import _core
from tuike.clock import Clock

PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
EDGE_PREFIX = "edge-"
NO_EDGE = "no_edge: no edge worker is running"

Label = tuple[str, str]
Sample = tuple[str, tuple[Label, ...], float | int | str]
"""The suffix of the name, labels, the value."""


def family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    """One metric in Prometheus' text format."""
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for suffix, labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
        lines.append(f"{name}{suffix}{{{inner}}} {value}" if inner else f"{name}{suffix} {value}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def unready(directory: str, now: int) -> str:
    """Why the edge workers whose counters are in `directory` cannot record a hit at `now` (ms); empty: they can."""
    alive = [
        state
        for state in _core.edge_states(directory, now)
        if state["alive"] and state["producer"].startswith(EDGE_PREFIX)
    ]
    if not alive:
        return NO_EDGE
    if all(state["draining"] for state in alive):
        return "draining"
    return "; ".join(f"{state['producer']}: {state['problem']}" for state in alive if state["problem"])


def edge_metrics(directory: str, now: int) -> str:
    """The edge workers' counters, and whether they live and record."""
    states = _core.edge_states(directory, now)
    up: list[Sample] = [("", (("producer", state["producer"]),), int(state["alive"])) for state in states]
    problems: list[Sample] = [
        ("", (("producer", state["producer"]), ("problem", state["problem"])), 1)
        for state in states
        if state["problem"]
    ]
    return (
        _core.render_metrics(directory)
        + family("affiliate_edge_up", "gauge", "Whether an edge worker gives signs of life.", up)
        + family("affiliate_edge_problem", "gauge", "Whether an edge worker cannot record, by the reason.", problems)
    )


class Watched(Protocol):
    """What operators look at. Both are called in threads."""

    def unready(self) -> str:
        """Why it cannot do its work; empty: it can."""

    def metrics(self) -> str:
        """In Prometheus' text format."""


@dataclass(frozen=True, slots=True)
class Workers:
    """The edge workers whose counters are in a directory, and the clock by which they say that they live."""

    directory: Path
    clock: Clock

    def unready(self) -> str:
        return unready(str(self.directory), self._now())

    def metrics(self) -> str:
        return edge_metrics(str(self.directory), self._now())

    def _now(self) -> int:
        self.clock.look()
        return self.clock()


@asynccontextmanager
async def observed(host: str, port: int, watched: Watched) -> AsyncIterator[None]:
    """Answers /healthz, /readyz and /metrics while it is entered. OSError where the port cannot be had."""

    async def healthz(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(request: web.Request) -> web.Response:
        reason = await asyncio.to_thread(watched.unready)
        return web.json_response({"status": reason or "ready"}, status=503 if reason else 200)

    async def render(request: web.Request) -> web.Response:
        text = await asyncio.to_thread(watched.metrics)
        return web.Response(body=text.encode(), headers={"Content-Type": PROMETHEUS_TEXT})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", render)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
