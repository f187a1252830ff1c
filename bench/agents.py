"""How many bots the edge knows by their user agents, and how many people it takes for bots.

    python bench/agents.py [--bots FILE ...] [--people FILE ...]

Files have one agent a line, or are JSON as crawler-user-agents has it. By default: the bots of the published list in
the shared data, and no people. A verdict's time is given once remembered and when it is new.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tuike import _core

PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "agents" / "crawler-user-agents.json"
ROUNDS = 20


def agents(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".json":
        return sorted({agent for entry in json.loads(text) for agent in entry.get("instances", ())})
    return sorted({line.strip() for line in text.splitlines() if line.strip()})


def rows(kind: str, files: list[Path]) -> Iterator[str]:
    for path in files:
        known = [agent.encode() for agent in agents(path)]
        bots = [agent for agent in known if _core.look_agent(agent)[1]]
        share = 100 * len(bots) / max(1, len(known))
        yield f"| {kind} | {path.stem} | {len(known):,} | {len(bots):,} | {share:.2f} % |"


def nanoseconds(known: list[bytes]) -> tuple[float, float]:
    """Of a new verdict and a remembered one, with the way from Python and back."""
    new = [b"%s %d" % (agent, number) for number, agent in enumerate(known)]
    begun = time.perf_counter_ns()
    for agent in new:
        _core.look_agent(agent)
    between = time.perf_counter_ns()
    for _ in range(ROUNDS):
        for agent in new:
            _core.look_agent(agent)
    ended = time.perf_counter_ns()
    return (between - begun) / len(new), (ended - between) / len(new) / ROUNDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", nargs="*", type=Path, default=[PUBLISHED])
    parser.add_argument("--people", nargs="*", type=Path, default=[])
    chosen = parser.parse_args()
    if missing := [path for path in [*chosen.bots, *chosen.people] if not path.exists()]:
        sys.exit(f"{missing[0]}: not there")
    print("| who | list | agents | taken for bots | share |\n|---|---|---|---|---|")
    for row in [*rows("bots", chosen.bots), *rows("people", chosen.people)]:
        print(row)
    new, remembered = nanoseconds([agent.encode() for path in chosen.bots for agent in agents(path)])
    print(f"\na verdict: {new:.0f} ns when new, {remembered:.0f} ns when remembered")


if __name__ == "__main__":
    main()
