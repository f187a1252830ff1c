"""Which touches an order is credited to: candidates, their verdicts and their weights (money.md, section 4)."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tuike import _core
from tuike.books.binding import binding_click
from tuike.books.path_ends import PathEnds
from tuike.books.records import Message
from tuike.books.settings import DAY_MS, Settings
from tuike.books.split import WEIGHT_UNIT
from tuike.books.state import Product, Registry
from tuike.books.touches import Attribution, Candidate, Found, Hit, Key, Touches
from tuike.books.verdicts import NEVER, Judge

FINGERPRINT_MS = DAY_MS
# An order's evidence is one event of the journal, however long its path: so many touches count, and so many
# others are shown with their reasons.
MAX_TOUCHES = 160
MAX_OTHERS = 64
# What nobody knows may be named by any text; codes are no longer.
MAX_CODE = 64
LABELS = tuple(f"sub{n}" for n in range(1, 6))


def attribute(
    order: Message,
    product: Product,
    registry: Registry,
    touches: Touches,
    ends: PathEnds,
    *,
    forgiving: bool = False,
) -> Attribution:
    """Goes through the order's identifiers until one finds any touch, and asks whose customer it is."""
    merchant, settings = product.merchant, product.attribution
    search = Search(order, product, registry, touches)
    own = () if settings.self_purchase else search.own()
    spent = ends.before(merchant, search.visitor, order.at) if settings.path_reset and search.visitor else None
    judge = Judge(registry, settings, order.at, own, NEVER if spent is None else spent, forgiving)
    found_by, seen, hits = _look(search, judge)
    binding = None
    if not (settings.binding_fallback and any(not candidate.why for candidate in seen)):
        binding = binding_click(order, merchant, search.visitor, judge, touches)
    if binding is None:
        candidates = _weighted(_limited(_in_order(seen)), settings)
    else:
        found_by, hits = "binding", [binding]
        candidates = _bound(seen, binding)
    top = Attribution(found_by, tuple(candidates)).top
    main: Hit = {} if top is None else next(hit for hit in hits if hit["id"] == top.id)
    return Attribution(
        found_by,
        _kept(candidates),
        bound="" if binding is None else binding["aff"],
        channel=main.get("channel", ""),
        labels=_labels(main),
        visitor=search.visitor if registry.resets_paths(merchant) else "",
        own=own,
    )


def _look(search: "Search", judge: Judge) -> tuple[Found, list[Candidate], Sequence[Hit]]:
    """What finds a touch, be it one that counts or not, all hits that were looked at on the way, and those it found.

    What the order itself names (coupon, `aff`) is no part of its visitor's path: an earlier order does not spend it."""
    seen: dict[tuple[str, str], Candidate] = {}
    for asked, hits in search.paths():
        named = asked in ("coupon", "aff")
        whys = [judge.never(hit) for hit in hits] if named else judge.path(hits)
        for hit, why in zip(hits, whys, strict=True):
            seen[hit["id"], hit["kind"]] = _candidate(hit, hit["kind"], why)
        if any(named or judge.is_touch(hit) for hit in hits):
            return asked, list(seen.values()), hits
    return "", list(seen.values()), ()


class Search:
    """The hits that an order's identifiers lead to."""

    def __init__(self, order: Message, product: Product, registry: Registry, touches: Touches) -> None:
        self._order = order
        self._product = product
        self._registry = registry
        self._touches = touches
        self._click = touches.click(order.click) if order.click else None
        if self._click is not None and self._click.get("merchant") != product.merchant:
            self._click = None
        self.visitor: str = order.visitor or (self._click or {}).get("visitor", "")
        """The buyer's: the order's own, else its click's."""

    def own(self) -> tuple[str, ...]:
        """Promoters who buy here themselves: by the customer that the order names, or by one that its visitor was
        signed in as, as far back as touches are kept."""
        owners = self._registry.owners(self._product.merchant)
        if not owners:
            return ()
        custs = {self._order.cust}
        if self.visitor:
            custs.update(hit.get("cust", "") for hit in self._path("visitor", self.visitor, 0))
        return tuple(sorted({promoter for cust in custs for promoter in owners.get(cust, ())}))

    def paths(self) -> Iterator[tuple[Found, Sequence[Hit]]]:
        """By each identifier of the order in turn, what it finds: the touches of its window, ordered by (time, id)."""
        order, settings = self._order, self._product.attribution
        since = max(0, order.at - settings.window)
        if settings.coupon_first:
            yield "coupon", self._coupon()
        if self._click is not None:
            yield "click", self._click_path(self._click, since)
        if not settings.coupon_first:
            yield "coupon", self._coupon()
        if order.visitor:
            yield "visitor", self._path("visitor", order.visitor, since)
        if order.cust:
            yield "cust", self._path("cust", order.cust, since)
        if order.did:
            yield "did", self._path("did", order.did, since)
        if order.fingerprint:
            yield "fingerprint", self._fingerprint_path(max(since, order.at - FINGERPRINT_MS))
        # a browser's claim may name any promoter: only the merchant's own word is believed
        if order.aff and order.kind == "order":
            yield "aff", [self._named("aff", order.aff, order.pid)]

    def _path(self, kind: Key, key: str, since: int) -> list[Hit]:
        return [*self._touches.path(kind, self._product.merchant, key, since, self._order.at)]

    def _click_path(self, click: Hit, since: int) -> list[Hit]:
        """The visitor's path up to and including the click; an anonymous click is a path of one."""
        if not since <= click["at"] <= self._order.at:
            return []
        if not click.get("visitor"):
            return [click]
        path = self._touches.path("visitor", self._product.merchant, click["visitor"], since, click["at"])
        return [*(hit for hit in path if _order_of(hit) < _order_of(click)), click]

    def _fingerprint_path(self, since: int) -> list[Hit]:
        """A fingerprint is keyed by the day: before midnight the same browser has another."""
        today = self._path("fingerprint", self._order.fingerprint, since)
        if not self._order.fingerprint_before:
            return today
        return sorted([*self._path("fingerprint", self._order.fingerprint_before, since), *today], key=_order_of)

    def _coupon(self) -> list[Hit]:
        order = self._order
        if not order.coupon:
            return []
        coupon = self._registry.coupon(self._product.merchant, order.coupon, self._product.id, order.at)
        if coupon is None:
            return []
        named = self._named("coupon", coupon.promoter, coupon.product)
        return [named | {"channel": coupon.channel} | dict(zip(LABELS, coupon.labels, strict=True))]

    def _named(self, kind: str, promoter: str, product: str) -> dict[str, object]:
        """A touch at the order's instant, by its own word."""
        order = self._order
        return {"id": order.id, "at": order.at, "kind": kind, "aff": promoter, "pid": product, "counted": True}


def _order_of(hit: Hit) -> tuple[int, str]:
    return hit["at"], hit["id"]


def _candidate(hit: Hit, kind: str, why: str = "", weight: int = 0) -> Candidate:
    promoter, product = hit.get("aff", "")[:MAX_CODE], hit.get("pid", "")[:MAX_CODE]
    return Candidate(hit["id"], hit["at"], kind, promoter, product, why, weight)


def _labels(hit: Hit) -> tuple[str, ...]:
    labels = tuple([hit.get(name, "") for name in LABELS])
    return labels if any(labels) else ()


def _in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: (candidate.at, candidate.id))


def _bound(seen: Sequence[Candidate], binding: Hit) -> list[Candidate]:
    """The touches of a customer who is somebody's already: none of them counts, the click that bound him does."""
    touches = [
        candidate if candidate.why else msgspec.structs.replace(candidate, why="bound")
        for candidate in seen
        if (candidate.id, candidate.kind) != (binding["id"], binding["kind"])
    ]
    return _in_order([*touches, _candidate(binding, "binding", weight=WEIGHT_UNIT)])


def _limited(candidates: list[Candidate]) -> list[Candidate]:
    """Of more than `MAX_TOUCHES` that count, the first and the newest still do."""
    counted = [place for place, candidate in enumerate(candidates) if not candidate.why]
    for place in counted[1 : 1 - MAX_TOUCHES]:
        candidates[place] = msgspec.structs.replace(candidates[place], why="too_many_touches")
    return candidates


def _weighted(candidates: Sequence[Candidate], settings: Settings) -> list[Candidate]:
    times = [candidate.at for candidate in candidates if not candidate.why]
    weights = iter(_core.weights(settings.model, times, settings.half_life))
    return [
        candidate if candidate.why else msgspec.structs.replace(candidate, weight=next(weights))
        for candidate in candidates
    ]


def _kept(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """What is kept as evidence: all that count, and the newest of the others."""
    others = [place for place, candidate in enumerate(candidates) if candidate.why]
    left_out = set(others[:-MAX_OTHERS])
    return tuple([candidate for place, candidate in enumerate(candidates) if place not in left_out])
