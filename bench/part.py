"""A part of the benchmark: what it is given, and what it answers with."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import Cores

Json = dict[str, Any]

SATURATED = 0.95
"""A load that has its core busier than this may be what is measured."""


@dataclass(frozen=True)
class Settings:
    """How much is done. Where parts need other sizes, they take `quick` into account themselves."""

    rounds: int
    seconds: float
    connections: int
    drained: int
    """Events of the larger journal that the processor drains."""
    booked: int
    """Orders of the larger books."""
    quick: bool


@dataclass(frozen=True)
class Bench:
    """What a part works with."""

    settings: Settings
    cores: Cores
    generator: Path
    """The program `tuike-load`."""
    base: Path
    """A data directory as `registry.make` makes it; to be copied."""
    directory: Path
    """The part's own, empty; on a disk, not in memory."""


@dataclass(frozen=True)
class Figure:
    """One thing that was measured, a value a round, and what it should be."""

    name: str
    unit: str
    values: tuple[float, ...]
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def reached(self) -> bool | None:
        """None where there is nothing to reach."""
        if self.at_least is not None:
            return self.median >= self.at_least
        return None if self.at_most is None else self.median <= self.at_most

    def to_json(self) -> Json:
        target = {"at_least": self.at_least, "at_most": self.at_most, "reached": self.reached}
        of = {"median": self.median, "least": min(self.values), "most": max(self.values)}
        return {"name": self.name, "unit": self.unit, **of, **target, "note": self.note, "values": self.values}


@dataclass
class Result:
    """What a part came to."""

    figures: list[Figure] = field(default_factory=list)
    rounds: list[Json] = field(default_factory=list)
    """All that was measured, round by round."""
    counts: list[Json] = field(default_factory=list)
    """`what`, how many were `answered` (or given), and how many were found `recorded`."""
    left_out: list[str] = field(default_factory=list)
    """What could not be measured, and why."""
    faults: list[str] = field(default_factory=list)
    """What went wrong: a lost request, a wrong status, a wrong count."""
    details: Json = field(default_factory=dict)

    def count(self, what: str, answered: int, recorded: int) -> None:
        """Notes both numbers; it is a fault where they differ."""
        self.counts.append({"what": what, "answered": answered, "recorded": recorded})
        if answered != recorded:
            self.faults.append(f"{what}: {answered} answered, {recorded} recorded")

    def to_json(self) -> Json:
        return {
            "figures": [figure.to_json() for figure in self.figures],
            "counts": self.counts,
            "left_out": self.left_out,
            "faults": self.faults,
            "details": self.details,
            "rounds": self.rounds,
        }


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, ...]:
    """Round by round: what is measured one after the other meets the same moods of the machine."""
    return tuple(one / other for one, other in zip(above, below, strict=True))


def spread(values: Sequence[float]) -> Json:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def busy_note(rounds: Sequence[Json]) -> str:
    """How busy the load's core was; it says so where that may be what was measured."""
    busy = statistics.median(measured["busy"] for measured in rounds)
    return f"generator {busy:.0%}" + (" (its limit)" if busy >= SATURATED else "")
