"""Splits an order's pool over the credited promoters and their chains (money.md, section 3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tuike import _core
from tuike.books.records import Share


@dataclass(frozen=True, slots=True)
class Split:
    """Shares in order, the platform's last, and the arithmetic that led to them."""

    pool: int
    shares: tuple[Share, ...]
    steps: list[dict[str, Any]]


def split(
    rule: _core.Rule,
    amount: int | None,
    at: int,
    credits: Sequence[tuple[str, int]],
    chain: Callable[[str], list[str]],
    pays: Callable[[str], bool],
) -> Split | None:
    """`credits` are promoters with weights of 1e-9 in the order of their touches; `chain` is a
    promoter's at the order's instant. None: the rule needs an amount and the order has none."""
    lines = [chain(promoter) for promoter, _ in credits]
    presents = [[level < len(line) and pays(line[level]) for level in range(rule.levels)] for line in lines]
    booked = rule.book(
        amount,
        at,
        [(promoter, "", weight, 0, "", present) for (promoter, weight), present in zip(credits, presents, strict=True)],
    )
    if booked is None:
        return None
    total, parts = booked
    shares: list[Share] = []
    steps: list[dict[str, Any]] = []
    for (promoter, weight), line, present, part in zip(credits, lines, presents, parts, strict=True):
        shares += [
            Share(line[level], level + 1, promoter, weight, part["levels"][level], part["levels"][level])
            for level in range(rule.levels)
            if present[level]
        ]
        steps.append({"promoter": promoter, "weight": weight, "chain": line, "present": present} | part)
    platform = sum(part["platform"] for part in parts)
    shares.append(Share("", 0, "", 0, platform, platform))
    return Split(total, tuple(shares), steps)
