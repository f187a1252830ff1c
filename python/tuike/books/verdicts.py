"""Which hits count for an order, and why the others do not (money.md, section 4)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tuike.books.settings import Settings
from tuike.books.state import Registry
from tuike.books.touches import Hit

NEVER = -1
"""An instant before all."""
RATE_LIMITED = "rate_limited"
"""The edge's mark on what came above a rate limit: it counts once a person has looked at the order."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges hits for an order at `instant`. `own` are the promoters who are the buyer; touches up to `spent` were
    paid for by an earlier order. A `forgiving` one lets hits above a rate limit count."""

    registry: Registry
    settings: Settings
    instant: int
    own: Collection[str]
    spent: int = NEVER
    forgiving: bool = False

    def is_touch(self, hit: Hit) -> bool:
        """Whether a hit is a touch at all, be it one that counts or not: no embedded click is, none that is spent, and
        a view only where the product says so and inside its own window."""
        if hit.get("embedded") or hit["at"] <= self.spent:
            return False
        return hit["kind"] != "view" or (
            self.settings.view_through and hit["at"] >= self.instant - self.settings.view_window
        )

    def never(self, hit: Hit) -> str:
        """Why a hit counts for nothing, be it a touch or a click that binds; empty where it may count."""
        if not hit.get("counted") and not (self.forgiving and hit.get("reason") == RATE_LIMITED):
            return hit.get("reason") or "not_counted"
        if hit.get("embedded"):
            return "embedded"
        if hit["id"] in self.registry.bad_touches:
            return "confirmed_fraud"
        promoter = hit.get("aff", "")
        if promoter not in self.registry.promoters:
            return "unknown_promoter"
        if self.registry.blocked(promoter):
            return "blocked_promoter"
        return "own_purchase" if promoter in self.own else ""

    def path(self, hits: Sequence[Hit]) -> list[str]:
        """Why each of these clicks and views, in the order of (time, event id), does not count; empty: it does."""
        whys = [self._touch(hit) for hit in hits]
        if any(hit["kind"] == "view" and not why for hit, why in zip(hits, whys, strict=True)):
            self._judge_views(hits, whys)
        if self.settings.collapse:
            _collapse(hits, whys, self.settings.collapse)
        return whys

    def _touch(self, hit: Hit) -> str:
        why = self.never(hit)
        if why:
            return why
        if hit["kind"] == "view" and not self.settings.view_through:
            return "view"
        return "spent" if hit["at"] <= self.spent else ""

    def _judge_views(self, hits: Sequence[Hit], whys: list[str]) -> None:
        """Views count where no click does, and not as long as clicks."""
        clicked = any(hit["kind"] != "view" and not why for hit, why in zip(hits, whys, strict=True))
        since = self.instant - self.settings.view_window
        for place, hit in enumerate(hits):
            if hit["kind"] == "view" and not whys[place]:
                whys[place] = "click_counts" if clicked else "view_window" if hit["at"] < since else ""


def _collapse(hits: Sequence[Hit], whys: list[str], window: int) -> None:
    """One promoter's touches within the window are one: the latest stays."""
    latest: dict[str, int] = {}
    for place, hit in enumerate(hits):
        if whys[place]:
            continue
        before = latest.get(hit["aff"])
        if before is not None and hit["at"] - hits[before]["at"] <= window:
            whys[before] = "collapsed"
        latest[hit["aff"]] = place
