"""Attribution (money.md section 4): which promoters an order credits, and with what weight.

Everything is found anew from the plain list of all touches. Windows are inclusive at both ends; the protection of
a binding (`mixed`) is not at its last: a click exactly `protect_days` after it takes over.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from reference.clock import DAY, HOUR, MINUTE
from reference.money import WHOLE, largest_remainder

FINGERPRINT_WINDOW = 24 * HOUR


# --- weights -------------------------------------------------------------------------------------


def decay(age: int, half_life: int) -> Fraction:
    """2^(-age / half_life) to 80 digits; whole half-lives exactly."""
    halvings, rest = divmod(age, half_life)
    with localcontext(prec=80):
        power: Decimal = Decimal(2) ** (Decimal(-rest) / half_life)
        return Fraction(power) * Fraction(1, 2**halvings)


def weights(model: str, times: Sequence[int], half_life: int) -> list[int]:
    """In units of 1e-9, for touches at these times, ascending."""
    n = len(times)
    if n == 0:
        return []
    if model == "first":
        exact = [Fraction(1)] + [Fraction(0)] * (n - 1)
    elif model == "last":
        exact = [Fraction(0)] * (n - 1) + [Fraction(1)]
    elif model == "time_decay":
        exact = [decay(times[-1] - time, half_life) for time in times]
    elif model == "position" and n > 2:
        exact = [Fraction(40, 100), *[Fraction(20, 100) / (n - 2)] * (n - 2), Fraction(40, 100)]
    else:
        exact = [Fraction(1, n)] * n
    return largest_remainder(WHOLE, exact)


# --- touches, settings, orders -------------------------------------------------------------------


@dataclass(frozen=True)
class Touch:
    """A click or a view. `id`: the event id, whatever compares; `click`: the click id that an order can name;
    `dest`: its Sec-Fetch-Dest, "" where absent. `made_up`: stands for a coupon or an `aff`, at the order's instant."""

    id: Any
    at: int
    merchant: str
    promoter: str
    kind: str = "click"
    click: str = ""
    visitor: str = ""
    cust: str = ""
    did: str = ""
    fingerprint: str = ""
    dest: str = ""
    bot: bool = False
    prefetch: bool = False
    fraud: bool = False
    made_up: bool = False

    @property
    def place(self) -> tuple[int, Any]:
        return self.at, self.id


@dataclass(frozen=True)
class Settings:
    """The product's `attribution` object."""

    model: str = "last"
    window_days: int = 30
    half_life_days: Any = 7
    binding: str = "none"
    binding_fallback: bool = False
    protect_days: int = 7
    path_reset: bool = False
    view_through: bool = False
    view_window_hours: int = 24
    coupon_first: bool = False
    self_purchase: bool = False
    collapse_minutes: int = 30

    @staticmethod
    def of(settings: Mapping[str, Any]) -> "Settings":
        return Settings(**settings)

    @property
    def half_life(self) -> int:
        return int(Fraction(str(self.half_life_days)) * DAY)


@dataclass(frozen=True)
class Journey:
    """What an order says of its way here. `visitor`: its own, else its click's, else a claim's. `coupon`, `aff`: the
    promoter they name, "" where there is none; `aff` only in a signed or imported order. `of_click`: the visitor is its
    click's alone, so the order says who buys, and names no visitor."""

    merchant: str
    at: int
    click: str = ""
    visitor: str = ""
    cust: str = ""
    did: str = ""
    fingerprint: str = ""
    coupon: str = ""
    aff: str = ""
    of_click: bool = False


@dataclass(frozen=True)
class Judges:
    """Who does not count, as known when the order is booked: blocked promoters, those who bought it themselves
    (empty with `self_purchase`), and the instant of the visitor's previous credited order (`path_reset`)."""

    blocked: Collection[str] = ()
    own: Collection[str] = ()
    spent: int | None = None


@dataclass
class Credit:
    """How it came out: promoter → weight of 1e-9 in the order of the earliest touch, what found the candidates,
    and each candidate's reason not to count ("" where it does)."""

    promoters: dict[str, int] = field(default_factory=dict)
    found_by: str = ""
    why: list[tuple[Touch, str]] = field(default_factory=list)
    looked: bool = False


# --- candidates ----------------------------------------------------------------------------------


def is_touch(touch: Touch, order: Journey, settings: Settings) -> bool:
    """Whether it is a touch of this order's merchant at all: an embedded click is none, a view only where the
    product says so and inside its own window."""
    if touch.kind == "view":
        window = settings.view_window_hours * HOUR
        return settings.view_through and touch.merchant == order.merchant and order.at - window <= touch.at
    return touch.merchant == order.merchant and touch.dest in ("", "document")


def candidates(touches: Sequence[Touch], order: Journey, settings: Settings) -> tuple[str, list[Touch]]:
    """The first way that finds any, and what it finds, ordered by time then event id.

    Decided: a way finds a touch whether it then counts or not, so an order whose click is a bot's is not looked for
    further; a named click outside the window, of another merchant, or with nothing that is a touch up to it, finds
    nothing, and its visitor's other touches are not looked for in its place: the path ends with the click.
    """
    start = order.at - settings.window_days * DAY
    known = [t for t in touches if start <= t.at <= order.at and is_touch(t, order, settings)]
    named = [t for t in touches if order.click and t.click == order.click]

    def made_up(promoter: str) -> list[Touch]:
        return [Touch(None, order.at, order.merchant, promoter, made_up=True)] if promoter else []

    def path() -> list[Touch]:
        if not named or named[0].merchant != order.merchant or not start <= named[0].at <= order.at:
            return []
        click = named[0]
        return [t for t in known if t == click or (t.visitor and t.visitor == click.visitor and t.place < click.place)]

    def same(key: str) -> Callable[[], list[Touch]]:
        return lambda: [t for t in known if getattr(order, key) and getattr(t, key) == getattr(order, key)]

    def visitor() -> list[Touch]:
        return [] if order.of_click else same("visitor")()

    def fingerprint() -> list[Touch]:
        return [t for t in same("fingerprint")() if order.at - FINGERPRINT_WINDOW <= t.at]

    ways: dict[str, Callable[[], list[Touch]]] = {
        "click_id": path,
        "coupon": lambda: made_up(order.coupon),
        "visitor": visitor,
        "cust": same("cust"),
        "did": same("did"),
        "fingerprint": fingerprint,
        "aff": lambda: made_up(order.aff),
    }
    names = ["coupon", *ways] if settings.coupon_first else list(ways)
    for name in names:
        if found := ways[name]():
            return name, sorted(found, key=lambda t: t.place)
    return "", []


# --- what counts ---------------------------------------------------------------------------------


def fault(touch: Touch, judges: Judges) -> str:
    """Why it never counts, "" where it may."""
    if touch.bot:
        return "bot"
    if touch.prefetch:
        return "prefetch"
    if touch.fraud:
        return "fraud"
    if touch.promoter in judges.blocked:
        return "blocked"
    return "own" if touch.promoter in judges.own else ""


def judge(found: Sequence[Touch], judges: Judges, settings: Settings) -> list[tuple[Touch, str]]:
    """Each candidate with its reason not to count.

    A made-up touch is never spent. A view never counts where a click does. Decided: collapsing comes last, among
    those that count: a touch is `collapsed` into a later one of its promoter that follows by at most
    `collapse_minutes`, and that one into a later one, and so on.
    """
    verdicts = [(touch, fault(touch, judges)) for touch in found]
    if judges.spent is not None:
        spent = judges.spent
        verdicts = [(t, v or ("spent" if t.at <= spent and not t.made_up else "")) for t, v in verdicts]
    if any(touch.kind == "click" and not verdict for touch, verdict in verdicts):
        verdicts = [(t, v or ("view" if t.kind == "view" else "")) for t, v in verdicts]
    left = [touch for touch, verdict in verdicts if not verdict]
    within = settings.collapse_minutes * MINUTE

    def absorbed(touch: Touch) -> bool:
        later = [t for t in left if t.promoter == touch.promoter and t.place > touch.place]
        return within > 0 and any(t.at - touch.at <= within for t in later)

    return [(t, v or ("collapsed" if absorbed(t) else "")) for t, v in verdicts]


def bound(
    touches: Sequence[Touch], order: Journey, settings: Settings, judges: Judges, customer: tuple[str, str]
) -> str:
    """The promoter to whom this customer (("cust" | "visitor", who)) is bound at the order's instant, or "".

    Decided: eligible are clicks of the merchant, ever, that are touches and have no fault for this order; the
    order's product says how they bind.
    """
    key, who = customer
    eligible = [
        t
        for t in sorted((t for t in touches if t.at <= order.at), key=lambda t: t.place)
        if t.kind == "click" and who and getattr(t, key) == who
        if is_touch(t, order, settings) and not fault(t, judges)
    ]
    holder, since = "", 0
    for click in eligible:
        protected = settings.binding == "first" or (
            settings.binding == "mixed" and click.at < since + settings.protect_days * DAY
        )
        if not holder or not protected:
            holder, since = click.promoter, click.at
    return holder


def credit(touches: Sequence[Touch], order: Journey, settings: Settings, judges: Judges) -> Credit:
    """Whom the order credits."""
    unspent = [t for t in touches if judges.spent is None or t.at > judges.spent]
    found_by, found = candidates(unspent, order, settings)
    why = judge(found, judges, settings)
    counting = [touch for touch, reason in why if not reason]
    if settings.binding != "none" and not (settings.binding_fallback and counting):
        by_cust = bound(touches, order, settings, judges, ("cust", order.cust))
        holder = by_cust or bound(touches, order, settings, judges, ("visitor", order.visitor))
        if holder:
            return Credit({holder: WHOLE}, "binding", why, True)
    promoters: dict[str, int] = {}
    times = [touch.at for touch in counting]
    for touch, weight in zip(counting, weights(settings.model, times, settings.half_life), strict=True):
        promoters[touch.promoter] = promoters.get(touch.promoter, 0) + weight
    return Credit({promoter: weight for promoter, weight in promoters.items() if weight}, found_by, why, True)


def confirmed(touch: Touch) -> Touch:
    """The same touch as confirmed fraud."""
    return replace(touch, fraud=True)
