"""What the touch store is asked, and touches as an order's evidence keeps them."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

Hit = Mapping[str, Any]
"""A click or view as the touch store has it, or what an order itself says in the same shape."""
Key = Literal["visitor", "cust", "did", "fingerprint"]
Found = Literal["", "click", "coupon", "visitor", "cust", "did", "fingerprint", "aff", "binding"]


Seen = dict[str, Any]
"""What fraud rules compare of an order's touches."""
NOTHING_SEEN: Mapping[str, Any] = {
    "prefix": "",
    "referrer": "",
    "address_clicks": 0,
    "fingerprint_visitors": 0,
    "devices": 0,
    "clicks_before": 0,
    "agents": 0,
}


class Touches(Protocol):
    """The touch store: `_core.TouchStore` has the words."""

    def click(self, id: str) -> dict[str, Any] | None: ...
    def path(self, kind: Key, merchant: str, key: str, since: int, until: int) -> list[dict[str, Any]]: ...
    def bindings(
        self, kind: Literal["visitor", "cust"], merchant: str, key: str, until: int
    ) -> list[dict[str, Any]]: ...
    def seen(
        self, merchant: str, click: str, visitor: str, cust: str, did: str, since: int, at: int, most: int
    ) -> Seen: ...


class NoTouches:
    """For where it does not matter who is credited."""

    def click(self, id: str) -> dict[str, Any] | None:
        return None

    def path(self, kind: Key, merchant: str, key: str, since: int, until: int) -> list[dict[str, Any]]:
        return []

    def bindings(self, kind: Literal["visitor", "cust"], merchant: str, key: str, until: int) -> list[dict[str, Any]]:
        return []

    def seen(
        self, merchant: str, click: str, visitor: str, cust: str, did: str, since: int, at: int, most: int
    ) -> Seen:
        return {**NOTHING_SEEN}


class Candidate(msgspec.Struct, frozen=True, omit_defaults=True):
    """A touch that was looked at. It counts where `why` is empty.

    `kind` is the hit's (`click`, `view`), or `coupon` or `aff` where the order itself names the promoter (`id` is the
    order's event then), or `binding` for the click that bound the customer."""

    id: str
    at: int
    kind: str
    promoter: str
    product: str
    why: str = ""
    weight: int = 0


class Attribution(msgspec.Struct, frozen=True, omit_defaults=True):
    """By what an order's touches were found, and all of them in the order of (time, event id).

    `bound` is the promoter who has the customer, where that decided. `channel` and `labels` are the top touch's.
    `visitor` is whose path the order ends (only said where a product of the merchant's asks), `own` are the promoters
    who are the buyer and must not earn by it."""

    found_by: Found
    candidates: tuple[Candidate, ...]
    bound: str = ""
    channel: str = ""
    labels: tuple[str, ...] = ()
    visitor: str = ""
    own: tuple[str, ...] = ()

    @property
    def top(self) -> Candidate | None:
        """The touch with the largest weight, the later of equals: the one that reports count the order on."""
        counted = [candidate for candidate in self.candidates if not candidate.why]
        return max(reversed(counted), key=lambda candidate: candidate.weight, default=None)

    def credits(self) -> list[tuple[str, int]]:
        """Promoters with what their touches weigh together, in the order of their first touch."""
        sums: dict[str, int] = {}
        for candidate in self.candidates:
            if candidate.weight:
                sums[candidate.promoter] = sums.get(candidate.promoter, 0) + candidate.weight
        return list(sums.items())
