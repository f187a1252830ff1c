"""What an order's row and evidence say of its lines."""

from operator import attrgetter
from typing import Any

import msgspec

from tuike.books.records import Conversion
from tuike.faults import Found
from tuike.stores.schema import conversions

KEPT = [column.name for column in conversions.columns if column.name != "evidence"]


class Written(Conversion, frozen=True):
    """A conversion whose evidence is left as it is written."""

    evidence: msgspec.Raw  # type: ignore[assignment]


class SecondLook(msgspec.Struct, frozen=True):
    """What the rule makes of the sales that still stand, and what refunds are reckoned from since."""

    pool: int
    totals: list[int]
    originals: list[int]


class Evidence(msgspec.Struct, frozen=True):
    """What of an order's evidence says what its lines are: the split as it was reckoned, under the number `booked`."""

    booked: int = 0
    pool: int = 0
    split: list[dict[str, Any]] = []
    second_look: SecondLook | None = None
    budget: int | None = None
    fraud: dict[str, Any] | None = None


def decoded(place: str, text: str | msgspec.Raw, kind: Any = Any) -> Any:
    """What a row's JSON says. Found: it is none, or not of this kind."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as problem:
        raise Found(place, f"its row holds no such JSON: {problem}") from None


columns_of = attrgetter(*KEPT)
"""What a row of `conversions` says that every record of its order says too, but its evidence."""


def row_hash(columns: tuple[Any, ...], evidence: str, has_lines: bool) -> int:
    """Of an order's row, and whether it has lines: what they are, `lines_of` says. Never 0."""
    return hash((columns, evidence, has_lines)) or 1


def lines_of(evidence: Evidence, status: str, amount: int | None, refunded: int) -> list[tuple[Any, ...]]:
    """An order's lines as rows of `shares` have them, from the promoter on: what was split, which a second look may
    have lowered, and of it floor(original x (amount - refunded) / amount)."""
    lines: list[tuple[str, int, str, int, int]] = []
    platform = 0
    for step in evidence.split:
        platform += step["platform"]
        levels = zip(step["chain"], step["present"], step["levels"], strict=False)
        for level, (promoter, present, part) in enumerate(levels, start=1):
            if present:
                lines.append((promoter, level, step["promoter"], step["weight"], part))
    lines.append(("", 0, "", 0, platform))
    if evidence.second_look is not None:
        lowered = zip(lines, evidence.second_look.originals, strict=False)
        lines = [(*line[:4], original) for line, original in lowered]
    if status == "rejected" or (status == "refunded" and not amount):
        return [(*line, 0) for line in lines]
    if not amount or not refunded:
        return [(*line, line[4]) for line in lines]
    return [(*line, line[4] * (amount - refunded) // amount) for line in lines]
