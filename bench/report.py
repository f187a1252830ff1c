"""What a run comes to: medians with their spread, ratios, the machine, the table."""

import os
import platform
import statistics
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

SATURATED = 0.95
"""A generator busier than this share of its core may be what is measured."""

DISTURBED = 0.85
"""A server in a closed loop that had less than this share of its core had to share it with other programs."""

Json = dict[str, Any]


def machine() -> Json:
    """What a figure depends on, and nothing that says whose machine it is."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "")
    versions = {name: metadata.version(name) for name in ("tuike", "aiohttp", "uvloop")}
    return {
        "processor": model or platform.machine(),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        **versions,
        "load_before": round(os.getloadavg()[0], 2),
    }


def summary(rounds: Sequence[Json], base: str) -> list[Json]:
    """For each workload and server: median, least and most of its rounds, and how it compares with what the server
    `base` does in the pixel's rounds."""
    keys = dict.fromkeys((measured["workload"], measured["server"]) for measured in rounds)
    compared = _of(rounds, "pixel", base)
    rows = []
    for workload, server in keys:
        own = _of(rounds, workload, server)
        row = {"workload": workload, "server": server}
        for name in ("requests_per_second", "server_cpu_us", "server_share", "p50_us", "p99_us", "busy"):
            values = [measured[name] for measured in own]
            row[name] = {"median": statistics.median(values), "least": min(values), "most": max(values)}
        row["times"] = _median(own, "requests_per_second") / _median(compared, "requests_per_second")
        row["times_by_cpu"] = _median(compared, "server_cpu_us") / _median(own, "server_cpu_us")
        rows.append(row)
    return rows


def table(result: Json) -> str:
    """The summary as Markdown."""
    at = result["machine"]
    settings = result["settings"]
    lines = [
        f"{settings['rounds']} alternating rounds of {settings['seconds']:g} s, {settings['connections']} connections; "
        f"one core for the server, another for the generator. {at['processor']}, {at['cores']} cores, {at['kernel']}, "
        f"Python {at['python']}, aiohttp {at['aiohttp']}, uvloop {at['uvloop']}.",
        "",
        "| request | server | requests/s (least to most) | times | CPU µs/request | times by CPU | p50 ms | p99 ms "
        "| generator |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["summary"]:
        rate = row["requests_per_second"]
        busy = row["busy"]["median"]
        cells = [
            row["workload"],
            row["server"],
            f"{_thousands(rate['median'])} ({_thousands(rate['least'])} to {_thousands(rate['most'])})",
            f"{row['times']:.2f}",
            f"{row['server_cpu_us']['median']:.1f}",
            f"{row['times_by_cpu']:.2f}",
            f"{row['p50_us']['median'] / 1000:.2f}",
            f"{row['p99_us']['median'] / 1000:.2f}",
            f"{busy:.0%}" + (" (its limit)" if busy > SATURATED else ""),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if any(row["server_share"]["median"] < DISTURBED for row in result["summary"]):
        lines += ["", "Other programs had part of the cores meanwhile: the comparison by CPU is the steadier one."]
    for name, count in result["counts"].items():
        lines += ["", f"{name}: {count['answered']:,} hits answered, {count['journaled']:,} in the journal."]
    return "\n".join(lines)


def line(measured: Json) -> str:
    """One round, as it goes by."""
    return (
        f"{measured['round'] + 1:3} {measured['workload']:9} {measured['server']:32} "
        f"{measured['requests_per_second']:>9,.0f}/s  {measured['server_cpu_us']:6.2f} µs CPU  "
        f"p99 {measured['p99_us'] / 1000:.2f} ms  generator {measured['busy']:.0%}"
    )


def _of(rounds: Sequence[Json], workload: str, server: str) -> list[Json]:
    return [measured for measured in rounds if (measured["workload"], measured["server"]) == (workload, server)]


def _median(rounds: Sequence[Json], name: str) -> float:
    return float(statistics.median(measured[name] for measured in rounds))


def _thousands(value: float) -> str:
    return f"{value / 1000:.1f} k"
