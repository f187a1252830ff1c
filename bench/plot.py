"""The servers' requests a second as an SVG: bars with their spread. `python bench/plot.py RESULT.json` prints it."""

import json
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import report

Json = dict[str, Any]

WIDTH = 760
LABEL = 300
"""Pixels of the names on the left."""
ROOM = 120
"""Pixels for the figures on the right."""
BAR = 22
GAP = 12
TOP = 46
OURS, THEIRS, INK, FAINT = "#0b6e4f", "#9fb3c8", "#243b53", "#d9e2ec"


def svg(result: Json) -> str:
    """Of the part `ratios`."""
    rows = result["parts"]["ratios"]["details"]["servers"]
    most = max(row["requests_per_second"]["most"] for row in rows)
    height = TOP + len(rows) * (BAR + GAP) + GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            '<text x="16" y="24" font-size="15" font-weight="600">Requests a second on one core</text>',
            f'<text x="{WIDTH - 16}" y="24" text-anchor="end">median, least to most of '
            f"{result['settings']['rounds']} rounds</text>",
            *(part for number, row in enumerate(rows) for part in _bar(number, row, most)),
            "</svg>\n",
        ]
    )


def _bar(number: int, row: Json, most: float) -> Iterator[str]:
    rate = row["requests_per_second"]
    scale = (WIDTH - LABEL - ROOM) / most
    y = TOP + number * (BAR + GAP)
    middle = y + BAR / 2
    ours = row["server"] == "tuike"
    name = f"tuike, {row['request']}" if ours else row["server"]
    left, right = (LABEL + rate[end] * scale for end in ("least", "most"))
    baseline = middle + 4.5
    weight = ' font-weight="600"' if ours else ""
    yield f'<text x="{LABEL - 10}" y="{baseline}" text-anchor="end"{weight}>{escape(name)}</text>'
    yield f'<rect x="{LABEL}" y="{y}" width="{WIDTH - LABEL - ROOM}" height="{BAR}" fill="{FAINT}" opacity="0.4"/>'
    width = rate["median"] * scale
    yield f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{OURS if ours else THEIRS}"/>'
    yield f'<path d="M{left:.1f} {middle}H{right:.1f}" stroke="{INK}" stroke-width="1.5"/>'
    for end in (left, right):
        yield f'<path d="M{end:.1f} {middle - 4}v8" stroke="{INK}" stroke-width="1.5"/>'
    yield f'<text x="{WIDTH - ROOM + 10}" y="{baseline}"{weight}>{report.number(rate["median"])}</text>'


if __name__ == "__main__":
    print(svg(json.loads(Path(sys.argv[1]).read_text())), end="")
