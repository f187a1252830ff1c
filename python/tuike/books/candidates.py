"""Which touches an order is credited to: candidates, their verdicts and their weights (money.md, section 4)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from tuike import _core
from tuike.books.records import Message
from tuike.books.state import Product, Registry

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
FINGERPRINT_MS = DAY_MS
HALF_LIFE_MIN_MS = HOUR_MS
# An order's evidence is one event of the journal, however long its path: so many touches count, and so many
# others are shown with their reasons.
MAX_TOUCHES = 320
MAX_OTHERS = 64

Found = Literal["", "click", "visitor", "cust", "did", "fingerprint", "aff"]
Hit = Mapping[str, Any]


class Touches(Protocol):
    """What is asked of the touch store."""

    def click(self, id: str) -> dict[str, Any] | None: ...
    def path(
        self, kind: Literal["visitor", "cust", "did", "fingerprint"], merchant: str, key: str, since: int, until: int
    ) -> list[dict[str, Any]]: ...


class Candidate(msgspec.Struct, frozen=True):
    """A touch that was looked at. It counts where `why` is empty. Of an `Attribution`, only the top one keeps its
    channel and labels."""

    id: str
    at: int
    kind: str
    promoter: str
    product: str
    channel: str
    labels: tuple[str, ...]
    why: str = ""
    weight: int = 0


class Attribution(msgspec.Struct, frozen=True):
    """The candidates in the order of (time, event id), and by what they were found."""

    found_by: Found
    candidates: tuple[Candidate, ...]
    bound: str = ""

    @property
    def counted(self) -> list[Candidate]:
        return [candidate for candidate in self.candidates if not candidate.why]

    @property
    def top(self) -> Candidate | None:
        """The touch with the largest weight, the later of equals: the one that reports count the order on."""
        return max(reversed(self.counted), key=lambda candidate: candidate.weight, default=None)

    def credits(self) -> list[tuple[str, int]]:
        """Promoters with what their touches weigh together, in the order of their first touch."""
        sums: dict[str, int] = {}
        for candidate in self.counted:
            if candidate.weight:
                sums[candidate.promoter] = sums.get(candidate.promoter, 0) + candidate.weight
        return list(sums.items())


def attribute(order: Message, product: Product, registry: Registry, touches: Touches) -> Attribution:
    """Goes through the order's identifiers until one finds a touch that counts."""
    merchant, settings = product.merchant, product.attribution
    seen: dict[str, Candidate] = {}
    for found_by, hits in _paths(order, merchant, settings, touches):
        judged = _judge(hits, order.at, settings, registry)
        seen.update((candidate.id, candidate) for candidate in judged)
        if any(not candidate.why for candidate in judged):
            return _evidence(found_by, _weighted(_limited(_in_order(seen.values())), settings))
    return _evidence("", _in_order(seen.values()))


def _paths(
    order: Message, merchant: str, settings: Mapping[str, Any], touches: Touches
) -> Iterator[tuple[Found, Sequence[Hit]]]:
    since = max(0, order.at - int(settings["window_days"] * DAY_MS))
    if order.click:
        yield "click", _click_path(order, merchant, since, touches)
    if order.visitor:
        yield "visitor", touches.path("visitor", merchant, order.visitor, since, order.at)
    if order.cust:
        yield "cust", touches.path("cust", merchant, order.cust, since, order.at)
    if order.did:
        yield "did", touches.path("did", merchant, order.did, since, order.at)
    if order.fingerprint:
        recent = max(since, order.at - FINGERPRINT_MS)
        yield "fingerprint", touches.path("fingerprint", merchant, order.fingerprint, recent, order.at)
    # a browser's claim may name any promoter: only the merchant's own word is believed
    if order.aff and order.kind == "order":
        named = {"id": order.id, "at": order.at, "kind": "aff", "aff": order.aff, "pid": order.pid, "counted": True}
        yield "aff", [named]


def _click_path(order: Message, merchant: str, since: int, touches: Touches) -> list[Hit]:
    """The visitor's path up to and including the click; an anonymous click is a path of one."""
    click = touches.click(order.click)
    if click is None or click.get("merchant") != merchant or not since <= click["at"] <= order.at:
        return []
    if not click.get("visitor"):
        return [click]
    path = touches.path("visitor", merchant, click["visitor"], since, click["at"])
    return [*(hit for hit in path if _order_of(hit) < _order_of(click)), click]


def _order_of(hit: Hit) -> tuple[int, str]:
    return hit["at"], hit["id"]


def _in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: (candidate.at, candidate.id))


def _limited(candidates: list[Candidate]) -> list[Candidate]:
    """Of more than `MAX_TOUCHES` that count, the first and the newest still do."""
    counted = [place for place, candidate in enumerate(candidates) if not candidate.why]
    for place in counted[1 : 1 - MAX_TOUCHES]:
        candidates[place] = msgspec.structs.replace(candidates[place], why="too_many_touches")
    return candidates


def _evidence(found_by: Found, candidates: Sequence[Candidate]) -> Attribution:
    """What is kept of the candidates: all that count, and the newest of the others."""
    others = [place for place, candidate in enumerate(candidates) if candidate.why]
    left_out = set(others[:-MAX_OTHERS])
    kept = [candidate for place, candidate in enumerate(candidates) if place not in left_out]
    top = Attribution(found_by, tuple(kept)).top
    bare = [
        candidate if candidate is top else msgspec.structs.replace(candidate, channel="", labels=())
        for candidate in kept
    ]
    return Attribution(found_by, tuple(bare))


def _judge(hits: Sequence[Hit], instant: int, settings: Mapping[str, Any], registry: Registry) -> list[Candidate]:
    judged = [_candidate(hit, _verdict(hit, registry)) for hit in hits]
    clicked = any(not candidate.why and candidate.kind != "view" for candidate in judged)
    view_since = instant - int(settings["view_window_hours"] * HOUR_MS)
    for place, candidate in enumerate(judged):
        if candidate.kind != "view" or candidate.why:
            continue
        if not settings["view_through"]:
            why = "view"
        elif clicked:
            why = "click_counts"
        else:
            why = "" if candidate.at >= view_since else "view_window"
        judged[place] = msgspec.structs.replace(candidate, why=why)
    return _collapsed(judged, int(settings["collapse_minutes"] * MINUTE_MS))


def _verdict(hit: Hit, registry: Registry) -> str:
    """Why a hit is no touch, or empty."""
    if not hit.get("counted"):
        return hit.get("reason") or "not_counted"
    if hit.get("embedded"):
        return "embedded"
    promoter = hit.get("aff", "")
    if promoter not in registry.promoters:
        return "unknown_promoter"
    return "blocked_promoter" if registry.blocked(promoter) else ""


def _candidate(hit: Hit, why: str) -> Candidate:
    return Candidate(
        id=hit["id"],
        at=hit["at"],
        kind=hit["kind"],
        promoter=hit.get("aff", ""),
        product=hit.get("pid", ""),
        channel=hit.get("channel", ""),
        labels=tuple(hit.get(f"sub{n}", "") for n in range(1, 6)),
        why=why,
    )


def _collapsed(judged: list[Candidate], window: int) -> list[Candidate]:
    """One promoter's touches within the window are one: the latest stays. Touches come in order."""
    if not window:
        return judged
    latest: dict[str, int] = {}
    for place, candidate in enumerate(judged):
        if candidate.why:
            continue
        before = latest.get(candidate.promoter)
        if before is not None and candidate.at - judged[before].at <= window:
            judged[before] = msgspec.structs.replace(judged[before], why="collapsed")
        latest[candidate.promoter] = place
    return judged


def _weighted(candidates: Sequence[Candidate], settings: Mapping[str, Any]) -> list[Candidate]:
    half_life = max(HALF_LIFE_MIN_MS, int(settings["half_life_days"] * DAY_MS))
    times = [candidate.at for candidate in candidates if not candidate.why]
    weights = iter(_core.weights(settings["model"], times, half_life))
    return [
        candidate if candidate.why else msgspec.structs.replace(candidate, weight=next(weights))
        for candidate in candidates
    ]
