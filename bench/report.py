"""What a run came to, as Markdown. `python bench/report.py RESULT.json` prints it again."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

DISTURBED = 0.85
"""A server in a closed loop that had less than this share of its core had to share it with other programs."""


def markdown(result: Json) -> str:
    """The servers' table, what was to be reached, counts, and what could not be measured."""
    parts: list[Json] = list(result["parts"].values())
    lines = [_where(result)]
    for part in parts:
        if "servers" in part["details"]:
            lines += ["", *_servers(part["details"]["servers"])]
    figures = [figure for part in parts for figure in part["figures"]]
    judged = [figure for figure in figures if figure["reached"] is not None]
    if judged:
        lines += ["", *_figures(judged)]
    beside = [figure for figure in figures if figure["reached"] is None]
    if beside:
        lines += ["", *_beside(beside)]
    lines += ["", *_counts([count for part in parts for count in part["counts"]])]
    left_out = dict.fromkeys(text for part in parts for text in part["left_out"])
    if left_out:
        lines += ["", "Left out:", "", *(f"- {text}" for text in left_out)]
    return "\n".join(lines)


def _where(result: Json) -> str:
    at, settings = result["machine"], result["settings"]
    return (
        f"{settings['rounds']} alternating rounds of {settings['seconds']:g} s, {settings['connections']} connections "
        f"where nothing else is said; one core for the server, another for the load; medians (least to most). "
        f"{at['processor']}, {at['cores']} cores, {at['kernel']}, TCP {at['congestion_control']}, "
        f"fdatasync {at['sync_ms']:.2f} ms, Python {at['python']}, aiohttp {at['aiohttp']}, uvloop {at['uvloop']}."
    )


def _servers(rows: list[Json]) -> Iterator[str]:
    yield "| request | server | requests/s | CPU µs/request | p50 ms | p99 ms | load |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        rate, p50, p99 = (row[name] for name in ("requests_per_second", "p50_us", "p99_us"))
        cells = [row["request"], row["server"], _spread(rate), f"{row['server_cpu_us']['median']:.1f}"]
        cells += [f"{one['median'] / 1000:.2f}" for one in (p50, p99)]
        yield f"| {' | '.join([*cells, row['note']])} |"
    if any(row["server_share"]["median"] < DISTURBED for row in rows):
        yield ""
        yield "Other programs had part of the cores meanwhile: CPU µs/request is the steadier figure."


def _figures(figures: list[Json]) -> Iterator[str]:
    yield "| figure | measured | to reach | | |"
    yield "|---|---|---|---|---|"
    for figure in figures:
        least, most, unit = figure["at_least"], figure["at_most"], figure["unit"]
        target = f"at least {number(least)}" if least is not None else f"at most {number(most)}"
        reached = "reached" if figure["reached"] else "**missed**"
        cells = [figure["name"], f"{_spread(figure)} {unit}", f"{target} {unit}", reached, figure["note"]]
        yield f"| {' | '.join(cells)} |"


def _beside(figures: list[Json]) -> Iterator[str]:
    yield "| beside | measured | |"
    yield "|---|---|---|"
    for figure in figures:
        yield f"| {figure['name']} | {_spread(figure)} {figure['unit']} | {figure['note']} |"


def _counts(counts: list[Json]) -> Iterator[str]:
    yield "| counted | answered or given | recorded |"
    yield "|---|---|---|"
    for count in counts:
        yield f"| {count['what']} | {count['answered']:,} | {count['recorded']:,} |"


def _spread(figure: Json) -> str:
    median, least, most = (number(figure[name]) for name in ("median", "least", "most"))
    return median if least == most else f"{median} ({least} to {most})"


def number(value: float) -> str:
    """Three digits that say something, thousands as k."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.2f} M"
    if size >= 1e4:
        return f"{value / 1e3:.1f} k"
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    print(markdown(json.loads(Path(sys.argv[1]).read_text())))
